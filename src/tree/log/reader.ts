/** A log, read by somebody who trusts its key and nobody else: nothing is given out that was not signed. Protocol §7. */
import { Failure } from '../../failure.ts';
import { openCheckpoint } from '../../tlog/checkpoint.ts';
import type { Checkpoint } from '../../tlog/checkpoint.ts';
import { cosignaturesOf } from '../../tlog/cosignature.ts';
import type { Cosignature } from '../../tlog/cosignature.ts';
import { inclusionRanges, leafHash } from '../../tlog/merkle.ts';
import { NOTE_MAX } from '../../tlog/note.ts';
import type { LogTrust } from '../../tlog/proof.ts';
import { TILE_WIDTH, bundleEntries } from '../../tlog/tile.ts';
import { damaged, readBundle } from './files.ts';
import type { LogFiles } from './files.ts';
import type { LogEnd } from './grow.ts';
import { LogTiles } from './tiles.ts';

export { depotLog, openLog } from './files.ts';
export type { LogFiles } from './files.ts';

/** How far the log has come, signed by its key. */
export interface Head {
  readonly checkpoint: Checkpoint;
  /** The signed note, as it lies there. */
  readonly note: string;
  /** Of the witnesses that are trusted, all that are there. */
  readonly cosignatures: readonly Cosignature[];
}

/** An entry's exact bytes, and its place. */
export interface Leaf {
  readonly index: number;
  readonly leaf: Buffer;
}

export class LogReader {
  readonly #files: LogFiles;
  readonly #trust: LogTrust;
  #tiles: Promise<LogTiles> | null = null;
  /** The root that they are of. */
  #root: Buffer | null = null;

  constructor(files: LogFiles, trust: LogTrust) {
    this.#files = files;
    this.#trust = trust;
  }

  /**
   * The newest checkpoint that is there; null where there is no log.
   * Throws refused(`checkpoint-invalid` | `note-invalid`), unable.
   */
  async head(): Promise<Head | null> {
    const bytes = await this.#files.read('checkpoint', NOTE_MAX);
    if (bytes === null) return null;
    const checkpoint = openCheckpoint(bytes, this.#trust);
    const cosignatures = cosignaturesOf(bytes, this.#trust.witnesses);
    return { checkpoint, note: bytes.toString(), cosignatures };
  }

  /**
   * The entries from `from` to before `to`, each after it was found to be under the head's root.
   * Throws RangeError beyond the head's size, refused(`log-damaged`) naming the first entry that is not what was
   * signed, unable(`log-incomplete`), and what reading throws.
   */
  async *entries(head: Head, from: number, to = head.checkpoint.size): AsyncGenerator<Leaf, void, undefined> {
    const { size } = head.checkpoint;
    if (from < 0 || to > size) throw new RangeError(`no entries ${from} to ${to} in a log of ${size}`);
    const tiles = await this.#under(head);
    for (let bundle = Math.floor(from / TILE_WIDTH); bundle * TILE_WIDTH < to; bundle++)
      for (const entry of await this.#bundle(tiles, bundle))
        if (entry.index >= from && entry.index < to) yield entry;
  }

  /** The root of the log when it had `size` entries. Throws RangeError if it has fewer, and as `entries`. */
  async rootAt(head: Head, size: number): Promise<Buffer> {
    if (!Number.isSafeInteger(size) || size < 0 || size > head.checkpoint.size)
      throw new RangeError(`a log of ${head.checkpoint.size} entries never had ${size}`);
    return (await this.#under(head)).root({ start: 0, end: size });
  }

  /** The inclusion proof of the entry under the head, from the leaf up. Throws RangeError if there is none, and as `entries`. */
  async inclusionProof(head: Head, index: number): Promise<Buffer[]> {
    const ranges = inclusionRanges(index, head.checkpoint.size);
    const tiles = await this.#under(head);
    const hashes: Buffer[] = [];
    for (const range of ranges) hashes.push(await tiles.root(range));
    return hashes;
  }

  /** What is needed to go on from the head; null: from nothing. Throws as `entries`. */
  async end(head: Head | null): Promise<LogEnd> {
    if (head === null) return { size: 0, edge: [], bundle: [] };
    const { size } = head.checkpoint;
    const { edge } = await this.#under(head);
    const bundle: Buffer[] = [];
    for await (const { leaf } of this.entries(head, size - (size % TILE_WIDTH))) bundle.push(leaf);
    return { size, edge, bundle };
  }

  #under({ checkpoint }: Head): Promise<LogTiles> {
    if (this.#root?.equals(checkpoint.root) !== true || this.#tiles === null) {
      this.#root = checkpoint.root;
      this.#tiles = LogTiles.open(this.#files, checkpoint);
      // what went wrong may go better next time
      this.#tiles.catch(() => (this.#root = null));
    }
    return this.#tiles;
  }

  async #bundle(tiles: LogTiles, bundle: number): Promise<Leaf[]> {
    const hashes = await tiles.tile(0, bundle);
    const { path, bytes, width } = await readBundle(this.#files, bundle, hashes.length);
    const entries: Leaf[] = [];
    const here = (): number => bundle * TILE_WIDTH + entries.length;
    try {
      for (const leaf of bundleEntries(bytes)) {
        const hash = hashes[entries.length];
        if (hash === undefined) break;
        if (!leafHash(leaf).equals(hash))
          throw damaged(`entry ${here()}, in ${path}, is not what was signed`);
        entries.push({ index: here(), leaf });
      }
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'bundle-malformed') throw error;
      throw damaged(`entry ${here()}, in ${path}, is cut off`);
    }
    if (entries.length < hashes.length) throw damaged(`entry ${here()} is not in ${path}`);
    const length = entries.reduce((sum, { leaf }) => sum + 2 + leaf.length, 0);
    if (width === hashes.length && length < bytes.length)
      throw damaged(`${path} has more than ${width} entries`);
    return entries;
  }
}
