/**
 * Uploads of large blobs that go on where they were cut (protocol §4): one connection at a time for each piece. What an
 * upload finds taken it sends from the start, beside the other.
 */
import type { Readable } from 'node:stream';
import { Failure, unable } from '../failure.ts';
import { attempt } from '../policy/attempt.ts';
import { isExpired } from '../policy/approval-policy.ts';
import { parseApproval } from '../records/approval.ts';
import { approvalFile, buildPath } from '../records/paths.ts';
import { otherOffset } from './blobs.ts';
import type { Blobs, Uploader } from './blobs.ts';
import { pieceName } from './pieces.ts';
import type { BlobRef, PieceKey, PieceStatus, Tally, Tree, Written } from './tree.ts';

/** A connection that brings nothing for so long makes way for another of the same sender. */
const STALLED_MS = 2_000;
/** Hashing what is whole and making it last: who asks meanwhile waits for the outcome. */
const OUTCOME_MS = 20_000;
const ABANDONED_MS = 24 * 3600 * 1000;

export class Uploads {
  readonly #tree: Tree;
  readonly #blobs: Blobs;
  readonly #now: () => Date;
  readonly #writers = new Map<string, Writer>();

  constructor(tree: Tree, blobs: Blobs, now: () => Date) {
    this.#tree = tree;
    this.#blobs = blobs;
    this.#now = now;
  }

  /**
   * How many bytes are there to go on from; null where that can't be: another connection is sending them.
   * Throws unable('busy' | 'disk').
   */
  async offset(key: PieceKey): Promise<number | null> {
    if (!(await this.#tree.pieces.kept())) return null;
    const writer = this.#writers.get(pieceName(key));
    if (writer && !(await writer.makeWay())) return null;
    return this.#tree.pieces.size(key);
  }

  /** All of a blob but its first `offset` bytes. Throws as `Blobs.put`. */
  async put(
    upload: Uploader,
    key: PieceKey,
    blob: BlobRef,
    offset: number,
    source: Readable,
  ): Promise<Written> {
    const name = pieceName(key);
    const kept = await this.#tree.pieces.kept();
    if (!kept || this.#writers.has(name)) {
      if (offset > 0) throw otherOffset(blob.sha256, null);
      return this.#blobs.put(upload, key.build, blob, () => source);
    }
    const writer = new Writer(source);
    this.#writers.set(name, writer);
    try {
      return await this.#blobs.put(upload, key.build, blob, () => writer.coming(), offset);
    } finally {
      this.#writers.delete(name);
      writer.end();
    }
  }

  /** Drops what nobody goes on with: abandoned for a day, or of a build that takes no more. Says how much that was. */
  sweep(): Promise<Tally> {
    return this.#blobs.sweep(async ({ build, written }: PieceStatus) => {
      const now = this.#now();
      if (now.getTime() - written.getTime() > ABANDONED_MS) return true;
      const bytes = await this.#tree.read(buildPath(build, approvalFile));
      const approval = bytes && attempt(() => parseApproval(bytes));
      return approval === null || approval instanceof Failure || isExpired(approval, now);
    });
  }
}

/** A connection that is sending. */
class Writer {
  readonly #source: Readable;
  /** Since when it is waited for what comes next; null while that is written. */
  #waiting: number | null = performance.now();
  #whole = false;
  readonly #ended: Promise<void>;
  /** To be called at the end. */
  end = (): void => {};

  constructor(source: Readable) {
    this.#source = source;
    this.#ended = new Promise((resolve) => {
      this.end = resolve;
    });
  }

  async *coming(): AsyncGenerator<Buffer, void, undefined> {
    // a fault of ours leaves the connection, which the answer goes on
    const chunks: AsyncIterable<Buffer> = this.#source.iterator({ destroyOnReturn: false });
    for await (const chunk of chunks) {
      this.#waiting = null;
      yield chunk;
      this.#waiting = performance.now();
    }
    this.#waiting = null;
    this.#whole = true;
  }

  get #stalledMs(): number {
    return this.#waiting === null ? 0 : performance.now() - this.#waiting;
  }

  /** Waits for its end, and ends it if nothing comes. False if it goes on. */
  async makeWay(): Promise<boolean> {
    // the disk may have taken until now what came long ago, and timers fire a little early
    for (const asked = performance.now(); !this.#whole && this.#stalledMs < STALLED_MS;) {
      if (performance.now() - asked > 2 * STALLED_MS) return false;
      if (await this.#endsWithin(STALLED_MS - this.#stalledMs)) return true;
    }
    if (!this.#whole) this.#source.destroy(new Error('another connection goes on with this upload'));
    if (await this.#endsWithin(OUTCOME_MS)) return true;
    throw unable('busy', 'what was sent is still being checked', 'ask again');
  }
  async #endsWithin(milliseconds: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), Math.max(0, milliseconds));
    });
    try {
      return await Promise.race([this.#ended.then(() => true), late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
