/**
 * Blobs on their way into a tree: each is what its name says, and all of a build stay within its limits, however many
 * come at the same time.
 */
import { refused } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { judgeBlob } from '../policy/gate.ts';
import type { Upload } from '../policy/gate/blob.ts';
import type { BuildId, Sha256 } from '../records/names.ts';
import { blobFile, buildPath } from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import { DeniedFailure } from './denied.ts';
import type { KeyedMutex } from './mutex.ts';
import { inParallel } from './parallel.ts';
import { Quotas } from './quota.ts';
import type { Quota } from './quota.ts';
import { mismatch, receive } from './receive.ts';
import type { Blob, BlobRef, Tree, Written } from './tree.ts';

/** How many are looked for at a time. */
const LOOKS = 64;

export class Blobs {
  readonly #tree: Tree;
  readonly #locks: KeyedMutex;
  readonly #quotas: Quotas;

  /** `locks` are those of the tree's builds. */
  constructor(tree: Tree, locks: KeyedMutex) {
    this.#tree = tree;
    this.#locks = locks;
    this.#quotas = new Quotas(tree);
  }

  /** One that is there already is not received again. Throws refused('blob-mismatch' | what `judgeBlob` finds). */
  async put(
    upload: Upload,
    build: BuildId,
    blob: BlobRef,
    source: () => AsyncIterable<Buffer>,
  ): Promise<Written> {
    const begun = await this.#begin(upload, build, [blob]);
    if (begun.lacking.length === 0) return 'same';
    let written: Written = 'same';
    try {
      written = await this.#receive(build, blob, source());
      return written;
    } finally {
      begun.quota.end(blob.size, written);
    }
  }

  /** Small ones: all that are not there yet, or none where one of them is refused. Throws as `put`. */
  async putAll(upload: Upload, build: BuildId, blobs: readonly Blob[]): Promise<void> {
    const distinct = new Map<Sha256, Blob & BlobRef>();
    for (const { sha256, bytes } of blobs) {
      if (sha256Hex(bytes) !== sha256) throw mismatch(sha256, 'another digest');
      distinct.set(sha256, { sha256, bytes, size: bytes.length });
    }
    const { quota, lacking } = await this.#begin(upload, build, [...distinct.values()]);
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
    }
  }

  /** Counts those that are not there yet against the build's limits, before their first byte is written. */
  #begin<B extends BlobRef>(
    upload: Upload,
    build: BuildId,
    blobs: readonly B[],
  ): Promise<{ quota: Quota; lacking: readonly B[] }> {
    return this.#locks.run(build, async () => {
      const present = await this.#sizes(build, blobs);
      const lacking = blobs.filter((blob) => {
        const size = present.get(blob.sha256);
        if (size !== undefined && size !== blob.size) throw otherSize(build, blob, size);
        return size === undefined;
      });
      const quota = await this.#quotas.of(build);
      let { count, bytes } = quota.totals;
      for (const blob of lacking) {
        const denied = judgeBlob(upload, blob, { count, bytes });
        if (denied) throw new DeniedFailure(denied);
        count += 1;
        bytes += blob.size;
      }
      for (const { size } of lacking) quota.begin(size);
      return { quota, lacking };
    });
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
      await receive(stage, blob, { coming: () => source });
      return await stage.commit(buildPath(build, blobFile(blob.sha256)));
    } finally {
      await stage.discard();
    }
  }
}

/** A lie, or what a copy past the gate or a failing disk left behind. */
const otherSize = (build: BuildId, { sha256, size }: BlobRef, present: number): Failure =>
  refused(
    'blob-mismatch',
    `${buildPath(build, blobFile(sha256))} is there with ${present} bytes, not ${size}`,
    'if the depot has a broken copy, remove that file there and send it again',
  );
