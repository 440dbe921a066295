/**
 * Who is wrong where a tile and what lies below it disagree: from the top down, the one that makes the hash which was
 * signed, or which the tile above has.
 */
import { flatRoot } from '../tlog/flat.ts';
import { HASH_BYTES } from '../tlog/merkle.ts';
import { TILE_WIDTH } from '../tlog/tile.ts';
import { entriesText } from './finding.ts';
import type { Findings } from './finding.ts';
import { edgeRoot } from './scan.ts';
import type { Dispute, Scan } from './scan.ts';

/** With more differences than this, only all or none of them are tried. */
const MIXED_MAX = 6;

const keyOf = (level: number, index: number): string => `${level}/${index}`;

/** What each tile in dispute should be; null where nothing says. Tiles that are not in it are as they are stored. */
export type Truths = ReadonlyMap<string, Buffer | null>;

/** The tile's right hashes: `stored` unless it was in dispute. Null where nothing says. */
export const trueTile = (
  truths: Truths,
  level: number,
  index: number,
  stored: Buffer | null,
): Buffer | null => (truths.has(keyOf(level, index)) ? (truths.get(keyOf(level, index)) ?? null) : stored);

/** Says of each dispute who is wrong, as findings. Returns what is right. */
export function blame(
  scan: Scan,
  { size, root }: { size: number; root: Buffer },
  findings: Findings,
): Truths {
  return new Blame(scan, size, findings).all(root);
}

class Blame {
  readonly #scan: Scan;
  readonly #size: number;
  readonly #findings: Findings;
  readonly #disputes: ReadonlyMap<string, Dispute>;
  readonly #truths = new Map<string, Buffer | null>();

  constructor(scan: Scan, size: number, findings: Findings) {
    this.#scan = scan;
    this.#size = size;
    this.#findings = findings;
    this.#disputes = new Map(scan.disputes.map((each) => [keyOf(each.level, each.index), each]));
  }

  all(root: Buffer): Truths {
    this.#edge(root);
    // from the top: what a tile should be, the one above says
    for (const dispute of this.#scan.disputes.toSorted((one, other) => other.level - one.level)) {
      const { level, index, computed, stored } = dispute;
      if (this.#truths.has(keyOf(level, index))) continue;
      const wanted = this.#wanted(dispute);
      const truth = wanted && mixture(computed, stored ?? computed, (each) => rootOf(each).equals(wanted));
      this.#judge(dispute, truth);
    }
    return this.#truths;
  }

  /** The incomplete tiles together make the root that was signed. */
  #edge(root: Buffer): void {
    const computed = this.#scan.edge;
    const indexAt = (level: number): number => Math.floor(this.#size / TILE_WIDTH ** (level + 1));
    const disputes = computed.map((_, level) => this.#disputes.get(keyOf(level, indexAt(level))));
    const stored = computed.map((tile, level) => disputes[level]?.stored ?? tile);
    const divide = (all: Buffer): Buffer[] => {
      let at = 0;
      return computed.map(({ length }) => all.subarray(at, (at += length)));
    };
    const truth = mixture(Buffer.concat(computed), Buffer.concat(stored), (all) =>
      edgeRoot(this.#size, divide(all)).equals(root),
    );
    const right = truth && divide(truth);
    computed.forEach((tile, level) => {
      const dispute = disputes[level] ?? {
        level,
        index: indexAt(level),
        path: '',
        computed: tile,
        stored: tile,
      };
      if (tile.length > 0) this.#judge(dispute, right?.[level] ?? null);
    });
    if (right === null && disputes.every((each) => each === undefined))
      this.#findings.add(
        'range-changed',
        [0, this.#size - 1],
        'checkpoint',
        `${entriesText(0, this.#size - 1)} and their tiles agree with one another, but are not what the checkpoint says`,
      );
  }

  /** The hash that the tile must make; null where the tile above is in doubt itself. */
  #wanted({ level, index, computed }: Dispute): Buffer | null {
    const above = keyOf(level + 1, Math.floor(index / TILE_WIDTH));
    if (!this.#truths.has(above)) return rootOf(computed);
    const at = (index % TILE_WIDTH) * HASH_BYTES;
    return this.#truths.get(above)?.subarray(at, at + HASH_BYTES) ?? null;
  }

  #judge(dispute: Dispute, truth: Buffer | null): void {
    const { level, index, path, computed, stored } = dispute;
    this.#truths.set(keyOf(level, index), truth);
    for (let at = 0; at < computed.length; at += HASH_BYTES) {
      const place = index * TILE_WIDTH + at / HASH_BYTES;
      const same = (one: Buffer, other: Buffer): boolean =>
        one.compare(other, at, at + HASH_BYTES, at, at + HASH_BYTES) === 0;
      if (truth === null) {
        if (stored !== null && !same(stored, computed)) this.#undecided(level, place, path);
        continue;
      }
      if (stored !== null && !same(stored, truth)) this.#wrongTile(level, place, path);
      if (!same(computed, truth)) this.#wrongBelow(level, place);
    }
  }

  #range(level: number, place: number): [number, number] {
    const each = TILE_WIDTH ** level;
    return [place * each, (place + 1) * each - 1];
  }

  #wrongTile(level: number, place: number, path: string): void {
    const [first, last] = this.#range(level, place);
    this.#findings.add(
      'tile-changed',
      [first, last],
      path,
      `the hash of ${entriesText(first, last)} is not what was signed`,
    );
  }

  #wrongBelow(level: number, place: number): void {
    const [first, last] = this.#range(level, place);
    if (level > 0) {
      // its own dispute says where
      if (this.#disputes.has(keyOf(level - 1, place))) return;
      const text = `${entriesText(first, last)} and their tiles agree with one another, but are not what was signed`;
      this.#truths.set(keyOf(level - 1, place), null);
      this.#findings.add('range-changed', [first, last], null, text);
    } else if (!this.#isCut(place)) {
      this.#findings.add('entry-changed', [first, first], null, `entry ${first} is not what was signed`);
    }
  }

  #undecided(level: number, place: number, path: string): void {
    const [first, last] = this.#range(level, place);
    if (level > 0 && this.#disputes.has(keyOf(level - 1, place))) return;
    if (level === 0 && this.#isCut(place)) return;
    const text = `${entriesText(first, last)} and the hash in the tile do not agree; what was signed is neither, or cannot be found out`;
    this.#findings.add('entry-or-tile-changed', [first, last], path, text);
  }

  /** Its bundle is a finding already. */
  #isCut(entry: number): boolean {
    return entry >= (this.#scan.cuts.get(Math.floor(entry / TILE_WIDTH)) ?? Infinity);
  }
}

function rootOf(tile: Buffer): Buffer {
  const root = Buffer.alloc(HASH_BYTES);
  flatRoot(tile, root, 0);
  return root;
}

/** Of two rows of hashes, and what can be mixed of them, the first that is right; null if none is. */
function mixture(one: Buffer, other: Buffer, isRight: (hashes: Buffer) => boolean): Buffer | null {
  const places: number[] = [];
  for (let at = 0; at < one.length; at += HASH_BYTES)
    if (one.compare(other, at, at + HASH_BYTES, at, at + HASH_BYTES) !== 0) places.push(at);
  for (const whole of [one, other]) if (isRight(whole)) return whole;
  if (places.length > MIXED_MAX) return null;
  for (let choice = 1; choice < 2 ** places.length - 1; choice++) {
    const mixed = Buffer.from(one);
    places.forEach((at, bit) => {
      if (Math.floor(choice / 2 ** bit) % 2 === 1) other.copy(mixed, at, at, at + HASH_BYTES);
    });
    if (isRight(mixed)) return mixed;
  }
  return null;
}
