/**
 * A whole log from the bottom up: every entry hashed, every tile made again from what lies below and compared with the
 * one that is stored.
 */
import { RightEdge, edgeWidths } from '../tlog/edge.ts';
import { flatRoot, leafHashInPlace } from '../tlog/flat.ts';
import { HASH_BYTES } from '../tlog/merkle.ts';
import { TILE_BYTES, TILE_WIDTH, tileWidth } from '../tlog/tile.ts';
import type { LogFiles } from '../tree/log/files.ts';
import { entriesText } from './finding.ts';
import type { Findings } from './finding.ts';
import { ahead, divideBundle, storedBundle, storedTile } from './stored.ts';
import type { Stored } from './stored.ts';

/** A tile that is stored otherwise than it comes out of what lies below. */
export interface Dispute {
  readonly level: number;
  readonly index: number;
  readonly path: string;
  readonly computed: Buffer;
  /** Null if there is none. */
  readonly stored: Buffer | null;
}

export interface Scan {
  /** By level, the incomplete tile as it comes out of the entries. */
  readonly edge: readonly Buffer[];
  readonly disputes: readonly Dispute[];
  /** By bundle, the first entry that cannot be read, where there is one: from there on the tile stands for it. */
  readonly cuts: ReadonlyMap<number, number>;
}

/** Bundles and tiles that are asked for before they are needed. */
const AHEAD = 16;
/** A log of which more is in dispute is not worth more memory. */
const DISPUTES_MAX = 2_000;

/** Called with each entry that can be read, in order, whether it is the right one or not. */
export type Visit = (index: number, leaf: Buffer) => void;

/** Reads the log up to `size`. Files that are missing or malformed are findings at once. Throws unable. */
export async function scanLog(
  files: LogFiles,
  size: number,
  findings: Findings,
  visit: Visit,
): Promise<Scan> {
  const scanner = new Scanner(files, size, findings);
  const bundles = Math.ceil(size / TILE_WIDTH);
  const read = (index: number): Promise<[Stored, Stored]> => {
    const width = tileWidth(0, index, size);
    return Promise.all([storedBundle(files, index, width), storedTile(files, 0, index, width)]);
  };
  let index = 0;
  for await (const [bundle, tile] of ahead(bundles, AHEAD, read)) {
    scanner.takeBundle(index, bundle, tile.bytes, visit);
    await scanner.settle(0, index, tile);
    if (scanner.disputes.length > DISPUTES_MAX) {
      const rest = Math.min(size, (index + 1) * TILE_WIDTH);
      findings.add(
        'too-much',
        [rest, size - 1],
        null,
        `so much is wrong up to here that the rest was not read`,
      );
      break;
    }
    index += 1;
  }
  await scanner.settleEdge();
  return scanner;
}

class Scanner implements Scan {
  readonly disputes: Dispute[] = [];
  readonly cuts = new Map<number, number>();
  edge: Buffer[] = [];
  readonly #files: LogFiles;
  readonly #size: number;
  readonly #findings: Findings;
  /** By level, the tile that is being made; how full it is follows from its place. */
  readonly #making: Buffer[] = [];

  constructor(files: LogFiles, size: number, findings: Findings) {
    this.#files = files;
    this.#size = size;
    this.#findings = findings;
  }

  takeBundle(index: number, bundle: Stored, tile: Buffer | null, visit: Visit): void {
    const first = index * TILE_WIDTH;
    const width = tileWidth(0, index, this.#size);
    const into = this.#tile(0);
    const { bytes, path, whole } = bundle;
    const { count, end } = divideBundle(bytes ?? Buffer.alloc(0), width, (at, start, stop) => {
      if (bytes === null) return;
      visit(first + at, bytes.subarray(start, stop));
      leafHashInPlace(bytes, start, stop, into, at * HASH_BYTES);
    });
    if (bytes === null) {
      const code = bundle.problem === 'missing' ? 'bundle-missing' : 'bundle-malformed';
      const what = `${entriesText(first, first + width - 1)}: their bundle is ${bundle.problem ?? 'missing'}`;
      this.#findings.add(code, [first, first + width - 1], path, what);
    } else if (count < width) {
      const what = `${entriesText(first + count, first + width - 1)}: the bundle is cut off, or a length in it is wrong`;
      this.#findings.add('bundle-malformed', [first + count, first + width - 1], path, what);
    } else if (end !== bytes.length && (!whole || width === TILE_WIDTH)) {
      const last = first + width - 1;
      this.#findings.add(
        'bundle-malformed',
        [last, last],
        path,
        `entry ${last}: bytes behind it, or a wrong length`,
      );
    }
    if (count === width) return;
    this.cuts.set(index, first + count);
    into.fill(0, count * HASH_BYTES);
    tile?.copy(into, count * HASH_BYTES, count * HASH_BYTES);
  }

  /** Compares the tile that has been made with the stored one; a full one goes into the tile above. */
  async settle(level: number, index: number, stored: Stored): Promise<void> {
    const { bytes, path, problem } = stored;
    const width = tileWidth(level, index, this.#size);
    const computed = this.#tile(level).subarray(0, width * HASH_BYTES);
    const first = index * TILE_WIDTH ** (level + 1);
    const last = first + width * TILE_WIDTH ** level - 1;
    if (problem !== null)
      this.#findings.add(
        problem === 'missing' ? 'tile-missing' : 'tile-malformed',
        [first, last],
        path,
        `the tile over ${entriesText(first, last)} is ${problem}`,
      );
    if (bytes === null || !bytes.equals(computed))
      this.disputes.push({ level, index, path, computed: Buffer.from(computed), stored: bytes });
    if (width < TILE_WIDTH) return;
    flatRoot(computed, this.#tile(level + 1), (index % TILE_WIDTH) * HASH_BYTES);
    if (index % TILE_WIDTH < TILE_WIDTH - 1) return;
    const above = Math.floor(index / TILE_WIDTH);
    await this.settle(level + 1, above, await storedTile(this.#files, level + 1, above, TILE_WIDTH));
  }

  /** The incomplete tiles above the entries. */
  async settleEdge(): Promise<void> {
    for (const [level, width] of edgeWidths(this.#size).entries()) {
      const index = Math.floor(this.#size / TILE_WIDTH ** (level + 1));
      if (level > 0 && width > 0)
        await this.settle(level, index, await storedTile(this.#files, level, index, width));
      this.edge.push(Buffer.from(this.#tile(level).subarray(0, width * HASH_BYTES)));
    }
  }

  #tile(level: number): Buffer {
    return (this.#making[level] ??= Buffer.alloc(TILE_BYTES));
  }
}

/** The hashes of a tile. */
const hashesOf = (tile: Buffer): Buffer[] =>
  Array.from({ length: tile.length / HASH_BYTES }, (_, at) =>
    tile.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES),
  );

/** The root of a log of `size` entries by its incomplete tiles. */
export const edgeRoot = (size: number, edge: readonly Buffer[]): Buffer =>
  RightEdge.at(size, edge.map(hashesOf)).root();
