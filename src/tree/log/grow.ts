/**
 * New entries become tiles and bundles. They are read twice: nothing is written before they are seen to have the root
 * that was signed.
 */
import { Failure, unable } from '../../failure.ts';
import { logConflict, logMalformed } from '../../policy/gate/log.ts';
import type { Checkpoint } from '../../tlog/checkpoint.ts';
import { RightEdge } from '../../tlog/edge.ts';
import { leafHash } from '../../tlog/merkle.ts';
import { TILE_WIDTH, bundlePath, encodeBundle, perfectRoot, tilePath } from '../../tlog/tile.ts';
import { DeniedFailure } from '../denied.ts';
import { inParallel } from '../parallel.ts';
import { BATCH } from '../tree.ts';
import type { LogPush, LogStore, Replace } from '../tree.ts';

const ENTRY_MAX = 65_535;
const WRITERS = 8;

/** Where a log ends: what is needed to go on from there. */
export interface LogEnd {
  readonly size: number;
  /** By level, the hashes of the incomplete tile. */
  readonly edge: readonly (readonly Buffer[])[];
  /** The entries of the incomplete bundle. */
  readonly bundle: readonly Buffer[];
}

export interface Growth {
  readonly tree: LogStore;
  readonly replace: Replace;
  readonly end: LogEnd;
  /** Of the log with the new entries; of more than it has now. */
  readonly checkpoint: Checkpoint;
  readonly push: LogPush;
}

/**
 * Writes all but the checkpoint. Throws refused: `log-conflict` for entries that have another root than the checkpoint
 * says, `log-malformed` for too few or too many; unable.
 */
export async function grow(growth: Growth): Promise<void> {
  const writer = new TileWriter(growth, await judgeEntries(growth));
  for await (const leaf of newEntries(growth)) await writer.append(leaf);
  await writer.finish();
}

const begin = ({ end }: Growth): RightEdge => RightEdge.at(end.size, end.edge);

/** Those that the log does not have yet. */
async function* newEntries({ end, push }: Growth): AsyncGenerator<Buffer, void, undefined> {
  let index = push.from;
  for await (const leaf of push.entries()) {
    if (leaf.length > ENTRY_MAX)
      throw new DeniedFailure(logMalformed(`entry ${index} has ${leaf.length} bytes`));
    if (index >= end.size) yield leaf;
    index += 1;
  }
}

/** The root of each complete tile of entries that there will be. */
async function judgeEntries(growth: Growth): Promise<Buffer[]> {
  const { size, root } = growth.checkpoint;
  const edge = begin(growth);
  const roots: Buffer[] = [];
  for await (const leaf of newEntries(growth)) {
    if (edge.size === size) throw new DeniedFailure(logMalformed(`there are more entries than ${size}`));
    const [lowest] = edge.append(leafHash(leaf));
    if (lowest) roots.push(perfectRoot(lowest.hashes));
  }
  if (edge.size < size)
    throw new DeniedFailure(logMalformed(`the entries end at ${edge.size}, the checkpoint has ${size}`));
  if (edge.root().equals(root)) return roots;
  throw new DeniedFailure(
    logConflict(
      `the log here has ${growth.end.size} entries; with those that came it is not the one of ${size} that was signed`,
    ),
  );
}

class TileWriter {
  readonly #growth: Growth;
  readonly #edge: RightEdge;
  /** What the complete tiles of entries must be. */
  readonly #roots: Iterator<Buffer>;
  #bundle: Buffer[];
  #files: (readonly [string, Buffer])[] = [];
  #bytes = 0;

  constructor(growth: Growth, roots: readonly Buffer[]) {
    this.#growth = growth;
    this.#edge = begin(growth);
    this.#roots = roots.values();
    this.#bundle = [...growth.end.bundle];
  }

  async append(leaf: Buffer): Promise<void> {
    this.#bundle.push(leaf);
    const tiles = this.#edge.append(leafHash(leaf));
    const [lowest] = tiles;
    if (!lowest) return;
    const root = this.#roots.next();
    if (root.done === true || !perfectRoot(lowest.hashes).equals(root.value)) throw changed();
    await this.#put(bundlePath(lowest.index), encodeBundle(this.#bundle));
    for (const { level, index, hashes } of tiles)
      await this.#put(tilePath(level, index), Buffer.concat(hashes));
    this.#bundle = [];
  }

  async finish(): Promise<void> {
    const { size, root } = this.#growth.checkpoint;
    if (this.#edge.size !== size || !this.#edge.root().equals(root)) throw changed();
    if (this.#bundle.length > 0) {
      const path = bundlePath(Math.floor(size / TILE_WIDTH), this.#bundle.length);
      await this.#put(path, encodeBundle(this.#bundle));
    }
    for (const { level, index, hashes } of this.#edge.tiles())
      await this.#put(tilePath(level, index, hashes.length), Buffer.concat(hashes));
    await this.#flush();
  }

  async #put(path: string, bytes: Buffer): Promise<void> {
    this.#files.push([path, bytes]);
    this.#bytes += bytes.length;
    if (this.#bytes > BATCH.bytes) await this.#flush();
  }

  async #flush(): Promise<void> {
    await inParallel(this.#files, WRITERS, async ([path, bytes]) => {
      await this.#write(`log/${path}`, bytes);
    });
    this.#files = [];
    this.#bytes = 0;
  }

  /**
   * What is there with other bytes is of a push that ended early, and another log came of it. Nobody misses it: what the
   * checkpoint that is there needs was read for `end`, so a file that has a place in both is the same, or longer than
   * what it needs and begins like this one.
   */
  async #write(path: string, bytes: Buffer): Promise<void> {
    const { tree, replace } = this.#growth;
    try {
      await tree.write(path, bytes);
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'conflict') throw error;
      await replace(path, bytes);
    }
  }
}

const changed = () => unable('log-changed', 'the entries changed while they were read', 'try again');
