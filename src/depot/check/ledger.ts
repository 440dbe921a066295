/**
 * The log as the list of what a depot must have: the entries of each build, read again when they are asked for, so that
 * a long log takes little memory. Only entries that the checkpoint covers are given out.
 */
import { Failure } from '../../failure.ts';
import { attempt } from '../../policy/attempt.ts';
import { parseLogEntry } from '../../records/log-entry.ts';
import type { BuildEntry, LogEntry } from '../../records/log-entry.ts';
import { scanLogEntry } from '../../records/log-entry-scan.ts';
import type { BuildId } from '../../records/names.ts';
import { RightEdge } from '../../tlog/edge.ts';
import { leafHash } from '../../tlog/merkle.ts';
import { formatProof } from '../../tlog/proof.ts';
import type { LogTrust } from '../../tlog/proof.ts';
import { TILE_WIDTH, bundleEntries } from '../../tlog/tile.ts';
import type { Tile } from '../../tlog/tile.ts';
import { LogReader, depotLog } from '../../tree/log/reader.ts';
import type { Head } from '../../tree/log/reader.ts';
import { readBundle } from '../../tree/log/files.ts';
import type { Tree } from '../../tree/tree.ts';

/** An entry with its bytes and its place. */
export interface Line {
  readonly index: number;
  readonly leaf: Buffer;
  readonly entry: BuildEntry;
}

/** How many bundles are kept: builds are looked at in the order in which the log has most of them. */
const BUNDLES_KEPT = 64;

export class Ledger {
  readonly head: Head;
  readonly #tree: Pick<Tree, 'read'>;
  readonly #reader: LogReader;
  readonly #lines = new Map<BuildId, number[]>();
  readonly #projects = new Set<string>();
  readonly #bundles = new Map<number, readonly Buffer[]>();

  private constructor(tree: Pick<Tree, 'read'>, reader: LogReader, head: Head) {
    this.#tree = tree;
    this.#reader = reader;
    this.head = head;
  }

  /** Null where there is no log, or none that can be believed: its own check says why. Throws unable('disk'). */
  static async open(tree: Pick<Tree, 'read'>, trust: LogTrust): Promise<Ledger | null> {
    const reader = new LogReader(depotLog(tree), trust);
    const head = await unlessRefused(reader.head());
    if (head === null) return null;
    const ledger = new Ledger(tree, reader, head);
    const whole = await rebuild(tree, head, () => {});
    const { size } = head.checkpoint;
    for (let bundle = 0; bundle * TILE_WIDTH < size; bundle++) {
      const leaves = whole ? await ledger.#read(bundle) : await ledger.#believed(bundle);
      for (const [at, leaf] of leaves.entries()) ledger.#take(leaf, bundle * TILE_WIDTH + at);
    }
    return ledger;
  }

  /** Those that an entry names. */
  builds(): Iterable<BuildId> {
    return this.#lines.keys();
  }

  /** Those that an entry names: a log key may serve several. */
  get projects(): ReadonlySet<string> {
    return this.#projects;
  }

  /** The build's entries, in their order. Throws unable('disk'). */
  async lines(build: BuildId): Promise<Line[]> {
    const lines: Line[] = [];
    for (const index of this.#lines.get(build) ?? []) {
      const bundle = Math.floor(index / TILE_WIDTH);
      const leaf = (await this.#read(bundle))[index % TILE_WIDTH];
      const entry = leaf && entryOf(leaf);
      if (leaf && entry?.build === build) lines.push({ index, leaf, entry });
    }
    return lines;
  }

  /** A proof of an entry, as the signer makes it; null where the log is not whole. Throws unable('disk'). */
  async proof(index: number, extra: Buffer | null): Promise<Buffer | null> {
    const hashes = await unlessRefused(this.#reader.inclusionProof(this.head, index));
    return hashes && formatProof({ extra, index, hashes, checkpoint: this.head.note });
  }

  #take(leaf: Buffer, index: number): void {
    const entry = entryOf(leaf);
    if (entry === null) return;
    this.#projects.add(entry.project);
    const lines = this.#lines.get(entry.build);
    if (lines) lines.push(index);
    else this.#lines.set(entry.build, [index]);
  }

  /** Of a log that is not whole, what its tiles vouch for. */
  async #believed(bundle: number): Promise<readonly Buffer[]> {
    const leaves: Buffer[] = [];
    const to = Math.min((bundle + 1) * TILE_WIDTH, this.head.checkpoint.size);
    const reading = async (): Promise<null> => {
      for await (const { leaf } of this.#reader.entries(this.head, bundle * TILE_WIDTH, to))
        leaves.push(leaf);
      return null;
    };
    await unlessRefused(reading());
    this.#keep(bundle, leaves);
    return leaves;
  }

  async #read(bundle: number): Promise<readonly Buffer[]> {
    const known = this.#bundles.get(bundle);
    if (known) return known;
    const leaves = (await leavesOf(this.#tree, bundle, this.head.checkpoint.size)) ?? [];
    this.#keep(bundle, leaves);
    return leaves;
  }

  #keep(bundle: number, leaves: readonly Buffer[]): void {
    this.#bundles.set(bundle, leaves);
    const [oldest] = this.#bundles.keys();
    if (this.#bundles.size > BUNDLES_KEPT && oldest !== undefined) this.#bundles.delete(oldest);
  }
}

/**
 * Makes all tiles again from the entries, and hands them over, with the leaves of each bundle. Returns whether they are
 * the log that was signed: before that nothing of it is to be believed. Throws unable('disk').
 */
export async function rebuild(
  tree: Pick<Tree, 'read'>,
  { checkpoint: { size, root } }: Head,
  each: (tile: Tile, leaves: readonly Buffer[]) => void,
): Promise<boolean> {
  const edge = RightEdge.empty();
  let last: readonly Buffer[] = [];
  for (let bundle = 0; bundle * TILE_WIDTH < size; bundle++) {
    const leaves = await leavesOf(tree, bundle, size);
    if (leaves === null) return false;
    for (const leaf of leaves) for (const tile of edge.append(leafHash(leaf))) each(tile, leaves);
    last = leaves;
  }
  for (const tile of edge.tiles()) each(tile, last);
  return edge.size === size && edge.root().equals(root);
}

/** The entries of a bundle, as many as the log has of it; null where they are not there. */
async function leavesOf(tree: Pick<Tree, 'read'>, bundle: number, size: number): Promise<Buffer[] | null> {
  const width = Math.min(TILE_WIDTH, size - bundle * TILE_WIDTH);
  const found = await unlessRefused(readBundle(depotLog(tree), bundle, width));
  const leaves = found && attempt(() => [...bundleEntries(found.bytes)]);
  if (leaves === null || leaves instanceof Failure || leaves.length < width) return null;
  return leaves.slice(0, width);
}

function entryOf(leaf: Buffer): BuildEntry | null {
  const entry: LogEntry | Failure = attempt(() => scanLogEntry(leaf) ?? parseLogEntry(leaf));
  return entry instanceof Failure || entry.type === 'heartbeat' ? null : entry;
}

/** What is wrong with the log is no fault here. Throws what keeps it from being read at all. */
async function unlessRefused<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof Failure && (error.kind === 'refused' || ABSENT.includes(error.code))) return null;
    throw error;
  }
}
const ABSENT = ['log-incomplete', 'too-large'];
