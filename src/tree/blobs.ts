/**
 * Blobs on their way into a tree: each is what its name says, and all of a build stay within its limits, however many
 * come at the same time.
 */
import { Failure, refused } from '../failure.ts';
import { judgeBlob } from '../policy/gate.ts';
import type { BlobTotals, Upload } from '../policy/gate/blob.ts';
import type { Denied } from '../policy/gate/verdict.ts';
import type { BuildId, Sha256 } from '../records/names.ts';
import { blobFile, buildPath } from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import { DeniedFailure } from './denied.ts';
import type { Heard } from './happening.ts';
import type { KeyedMutex } from './mutex.ts';
import { inParallel } from './parallel.ts';
import { pieceName } from './pieces.ts';
import { Quotas, sumOfSizes } from './quota.ts';
import type { CountedPiece, Quota } from './quota.ts';
import { mismatch, receive } from './receive.ts';
import type { Promised, Reserve } from './reserve.ts';
import type { Blob, BlobRef, PieceKey, PieceStatus, Tally, Tree, Written } from './tree.ts';

/** How many are looked for at a time. */
const LOOKS = 64;
/** How many pieces one sender has of a build: as many as he may send at a time, with room to spare. */
const PIECES_MAX = 64;

/** The right to send blobs, and whose pieces are the sender's. */
export interface Uploader extends Upload {
  readonly holder: string | null;
}

export class Blobs {
  readonly #tree: Tree;
  readonly #locks: KeyedMutex;
  readonly #quotas: Quotas;
  readonly #heard: Heard;
  readonly #reserve: Reserve | null;

  /** `locks` are those of the tree's builds. */
  constructor(tree: Tree, locks: KeyedMutex, heard: Heard, reserve: Reserve | null = null) {
    this.#tree = tree;
    this.#locks = locks;
    this.#heard = heard;
    this.#reserve = reserve;
    this.#quotas = new Quotas(tree);
  }

  /**
   * One that is there already is not received again. With `offset` what is there of it stays when it is cut, and what comes
   * goes behind that. Throws refused('blob-mismatch' | 'upload-offset' | what `judgeBlob` finds).
   */
  async put(
    upload: Uploader,
    build: BuildId,
    blob: BlobRef,
    source: () => AsyncIterable<Buffer>,
    offset: number | null = null,
  ): Promise<Written> {
    const { holder } = upload;
    const key = offset === null || holder === null ? null : { build, holder, sha256: blob.sha256 };
    const { quota, lacking, promised } = await this.#begin(upload, build, [blob], key, offset ?? 0);
    let written: Written = 'same';
    if (lacking.length > 0) {
      const coming = promised ? (): AsyncIterable<Buffer> => counted(source(), promised) : source;
      try {
        written = key
          ? await this.#continue(key, blob, coming, offset ?? 0, quota)
          : await this.#receive(build, blob, coming());
      } finally {
        quota.end(blob.size, written);
        promised?.end();
      }
    }
    if (written === 'new') this.#heard({ kind: 'received', build, bytes: blob.size });
    await this.#dropOf(build, quota, new Set([blob.sha256]));
    return written;
  }

  /** Small ones: all that are not there yet, or none where one of them is refused. Throws as `put`. */
  async putAll(upload: Uploader, build: BuildId, blobs: readonly Blob[]): Promise<void> {
    const distinct = new Map<Sha256, Blob & BlobRef>();
    for (const { sha256, bytes } of blobs) {
      if (sha256Hex(bytes) !== sha256) throw mismatch(sha256, 'another digest');
      distinct.set(sha256, { sha256, bytes, size: bytes.length });
    }
    const { quota, lacking, promised } = await this.#begin(upload, build, [...distinct.values()]);
    const files = lacking.map(({ sha256, bytes }) => [buildPath(build, blobFile(sha256)), bytes] as const);
    let written: Written[] = [];
    try {
      written = await this.#tree.writeAll(files);
    } catch (error) {
      // those that are there all the same take room
      const present = await this.#sizes(build, lacking).catch(() => new Map<Sha256, number>());
      written = lacking.map(({ sha256 }) => (present.has(sha256) ? 'new' : 'same'));
      throw error;
    } finally {
      for (const [at, { size }] of lacking.entries()) quota.end(size, written[at] ?? 'same');
      promised?.end();
    }
    for (const [at, { size }] of lacking.entries())
      if (written[at] === 'new') this.#heard({ kind: 'received', build, bytes: size });
    await this.#dropOf(build, quota, distinct);
  }

  /** Drops the pieces that nobody will go on with. Says how much that was. */
  async sweep(isOver: (piece: PieceStatus) => Promise<boolean>): Promise<Tally> {
    let [files, bytes] = [0, 0];
    for (const piece of await this.#tree.pieces.list(null)) {
      if (!(await isOver(piece))) continue;
      const isIt = (counted: PieceKey): boolean => pieceName(counted) === pieceName(piece);
      const dropped = await this.#locks.run(piece.build, async () =>
        this.#dropPieces(await this.#quotas.of(piece.build), isIt),
      );
      if (!dropped) continue;
      files += 1;
      bytes += piece.size;
    }
    return { files, bytes };
  }

  /** Whether one of the build is being received; to be asked under its lock. */
  isReceiving(build: BuildId): boolean {
    return this.#quotas.isReceiving(build);
  }

  /** What is known of the build's blobs: they went. */
  forget(build: BuildId): void {
    this.#quotas.forget(build);
  }

  /**
   * Drops those of a build's blobs that `choose` finds among the ones that are there: asked under the build's lock, and not
   * while one is being received, when it says null. Says how much that was.
   */
  async drop(
    build: BuildId,
    choose: (present: readonly string[]) => Promise<readonly string[]>,
  ): Promise<Tally | null> {
    return this.#locks.run(build, async () => {
      if (this.#quotas.isReceiving(build)) return null;
      const directory = `${buildPath(build)}/blobs`;
      const present = await this.#tree.list(directory);
      const going = await choose(present);
      const bytes = await sumOfSizes(this.#tree, directory, going);
      if (going.length === present.length && going.length > 0) await this.#tree.remove(directory);
      else for (const name of going) await this.#tree.remove(`${directory}/${name}`);
      if (going.length > 0) this.#quotas.forget(build);
      return { files: going.length, bytes };
    });
  }

  /**
   * Counts those that are not there yet against the build's limits, and against the room on the disk, before their first
   * byte is written; of one that is gone on with, `offset` bytes are there.
   */
  #begin<B extends BlobRef>(
    upload: Uploader,
    build: BuildId,
    blobs: readonly B[],
    key: PieceKey | null = null,
    offset = 0,
  ): Promise<{ quota: Quota; lacking: readonly B[]; promised: Promised | null }> {
    return this.#locks.run(build, async () => {
      const present = await this.#sizes(build, blobs);
      const lacking = blobs.filter((blob) => {
        const size = present.get(blob.sha256);
        if (size !== undefined && size !== blob.size) throw otherSize(build, blob, size);
        return size === undefined;
      });
      const quota = await this.#quotas.of(build);
      const isOwn = (piece: PieceKey): boolean => key !== null && pieceName(piece) === pieceName(key);
      let denied = judgeAll(upload, lacking, quota.totalsWithout(isOwn));
      // what it has left of other blobs must not be in its way
      if (denied && (await this.#dropPieces(quota, (p) => p.holder === upload.holder && !isOwn(p))))
        denied = judgeAll(upload, lacking, quota.totalsWithout(isOwn));
      if (denied) throw new DeniedFailure(denied);
      // what the log names is taken as long as there is any room
      const sizes = lacking.filter(({ sha256, size }) => upload.logged.get(sha256) !== size);
      const promised = await this.#promise(sizes.map(({ size }) => Math.max(0, size - offset)));
      if (key && lacking.length > 0) quota.pieces.delete(pieceName(key));
      for (const { size } of lacking) quota.begin(size);
      return { quota, lacking, promised };
    });
  }

  async #promise(sizes: readonly number[]): Promise<Promised | null> {
    return this.#reserve && sizes.length > 0 ? this.#reserve.promise(sizes) : null;
  }

  /** A piece stays; the oldest of too many go. */
  async #leave(quota: Quota, piece: CountedPiece): Promise<void> {
    quota.pieces.set(pieceName(piece), piece);
    await this.#locks.run(piece.build, async () => {
      const own = [...quota.pieces.values()].filter(({ holder }) => holder === piece.holder);
      const over = new Set<PieceKey>(own.slice(0, -PIECES_MAX));
      await this.#dropPieces(quota, (counted) => over.has(counted));
    });
  }

  /** Drops the pieces of blobs that are there. */
  async #dropOf(build: BuildId, quota: Quota, arrived: Pick<Set<Sha256>, 'has'>): Promise<void> {
    const isOf = ({ sha256 }: PieceKey): boolean => arrived.has(sha256);
    if ([...quota.pieces.values()].some(isOf))
      await this.#locks.run(build, () => this.#dropPieces(quota, isOf));
  }

  /**
   * Returns whether there were any to drop; none of them is just being sent, for this process keeps them. To be called under
   * the build's lock.
   */
  async #dropPieces(quota: Quota, which: (piece: PieceKey) => boolean): Promise<boolean> {
    const dropped = [...quota.pieces.values()].filter(which);
    if (dropped.length === 0 || !(await this.#tree.pieces.kept())) return false;
    for (const piece of dropped) {
      await this.#tree.pieces.drop(piece);
      quota.pieces.delete(pieceName(piece));
    }
    return true;
  }

  /** Of those that are there. */
  async #sizes(build: BuildId, blobs: readonly BlobRef[]): Promise<Map<Sha256, number>> {
    const sizes = new Map<Sha256, number>();
    await inParallel(blobs, LOOKS, async ({ sha256 }) => {
      const size = await this.#tree.size(buildPath(build, blobFile(sha256)));
      if (size !== null) sizes.set(sha256, size);
    });
    return sizes;
  }

  async #receive(build: BuildId, blob: BlobRef, source: AsyncIterable<Buffer>): Promise<Written> {
    const stage = await this.#tree.stage();
    try {
      await receive(stage, blob, source);
      return await stage.commit(buildPath(build, blobFile(blob.sha256)));
    } finally {
      await stage.discard();
    }
  }

  /** As `#receive`, behind what is there of it, which stays where it is cut again. */
  async #continue(
    key: PieceKey,
    blob: BlobRef,
    source: () => AsyncIterable<Buffer>,
    offset: number,
    quota: Quota,
  ): Promise<Written> {
    const piece = await this.#tree.pieces.open(key, offset === 0);
    try {
      if (piece.size !== offset) throw otherOffset(key.sha256, piece.size);
      await receive(piece, blob, source(), offset === 0 ? null : piece);
      return await piece.commit(buildPath(key.build, blobFile(blob.sha256)));
    } catch (error) {
      // what can't become the blob goes; and a full disk gets its room back, but where only the reserve is left
      if (error instanceof Failure && !GOES_ON.has(error.code)) await piece.discard();
      throw error;
    } finally {
      const left = await piece.leave();
      if (left === 0) await this.#tree.pieces.drop(key);
      else if (left !== null) await this.#leave(quota, { ...key, size: left });
    }
  }
}

async function* counted(
  source: AsyncIterable<Buffer>,
  promised: Promised,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of source) {
    await promised.arrived(chunk.length);
    yield chunk;
  }
}

/** Null if all of them fit. */
function judgeAll(upload: Upload, blobs: readonly BlobRef[], present: BlobTotals): Denied | null {
  let { count, bytes } = present;
  for (const blob of blobs) {
    const denied = judgeBlob(upload, blob, { count, bytes });
    if (denied) return denied;
    count += 1;
    bytes += blob.size;
  }
  return null;
}

const OTHER_OFFSET = 'upload-offset';
/** After these a piece stays. */
const GOES_ON: ReadonlySet<string> = new Set([OTHER_OFFSET, 'disk-reserve']);

/** What came does not begin where the piece ends. */
export const otherOffset = (sha256: Sha256, size: number | null): Failure =>
  refused(
    OTHER_OFFSET,
    `of blob ${sha256} ${size === null ? 'nothing' : `${size} bytes`} can be gone on from`,
    'ask with HEAD where to go on, or send it from the start',
  );

/** A lie, or what a copy past the gate or a failing disk left behind. */
const otherSize = (build: BuildId, { sha256, size }: BlobRef, present: number): Failure =>
  refused(
    'blob-mismatch',
    `${buildPath(build, blobFile(sha256))} is there with ${present} bytes, not ${size}`,
    'if the depot has a broken copy, remove that file there and send it again',
  );
