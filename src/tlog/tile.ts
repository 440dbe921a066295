/**
 * The files of a log (C2SP tlog-tiles): tiles, each the hashes of 256 neighbouring subtrees of one height, and
 * bundles, the entries of 256 leaves. Paths are relative to the log's prefix.
 */
import { refused } from '../failure.ts';
import { HASH_BYTES, nodeHash } from './merkle.ts';

/** How many hashes a full tile has, and how many entries a full bundle. */
export const TILE_WIDTH = 256;
/** A full tile, in bytes. */
export const TILE_BYTES = TILE_WIDTH * HASH_BYTES;
/** A full bundle of the longest entries, in bytes. */
export const BUNDLE_MAX = TILE_WIDTH * (2 + 65_535);

/** A tile: its place, and its hashes, from 1 to 256. */
export interface Tile {
  readonly level: number;
  readonly index: number;
  readonly hashes: readonly Buffer[];
}

/** `001` to `x001/x234/067`. */
function indexPath(index: number): string {
  const groups = [String(index % 1000).padStart(3, '0')];
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000))
    groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`);
  return groups.join('/');
}

const widthPath = (width: number): string => (width === TILE_WIDTH ? '' : `.p/${width}`);

/** `tile/0/x001/234.p/17`; full unless a width from 1 to 255 is given. */
export const tilePath = (level: number, index: number, width = TILE_WIDTH): string =>
  `tile/${level}/${indexPath(index)}${widthPath(width)}`;

/** `tile/entries/x001/234.p/17`, likewise. */
export const bundlePath = (index: number, width = TILE_WIDTH): string =>
  `tile/entries/${indexPath(index)}${widthPath(width)}`;

/** How many hashes the tile has in a log of `size` entries, 0 to 256. */
export function tileWidth(level: number, index: number, size: number): number {
  const hashes = Math.floor(size / TILE_WIDTH ** level);
  return Math.max(0, Math.min(TILE_WIDTH, hashes - index * TILE_WIDTH));
}

/** Reads a tile's hashes, of which there are 1 to 256. Throws refused(`tile-malformed`). */
export function parseTile(bytes: Buffer): Buffer[] {
  const width = bytes.length / HASH_BYTES;
  if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH)
    throw refused('tile-malformed', `a tile of ${bytes.length} bytes`);
  return Array.from({ length: width }, (_, at) => bytes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES));
}

/** The root over the hashes of neighbouring subtrees of one height, a power of two of them: of a full tile, say. */
export function perfectRoot(hashes: readonly Buffer[]): Buffer {
  let level = hashes;
  while (level.length > 1) {
    const above: Buffer[] = [];
    for (let at = 0; at < level.length; at += 2) {
      const [left, right] = [level[at], level[at + 1]];
      if (left === undefined || right === undefined)
        throw new RangeError(`a tree of ${hashes.length} hashes`);
      above.push(nodeHash(left, right));
    }
    level = above;
  }
  const [root] = level;
  if (root === undefined) throw new RangeError('a tree of no hashes');
  return root;
}

/** Entries as a bundle has them: each behind its length, two bytes. Throws RangeError for an entry above 65,535 bytes. */
export function encodeBundle(entries: readonly Uint8Array[]): Buffer {
  const parts = entries.flatMap((entry) => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(entry.length);
    return [length, entry];
  });
  return Buffer.concat(parts);
}

/** The entries of a bundle, or of a piece of one. Throws refused(`bundle-malformed`) where one is cut off. */
export function* bundleEntries(bytes: Buffer): Generator<Buffer, void, undefined> {
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const end = at + 2 <= bytes.length ? at + 2 + bytes.readUInt16BE(at) : Infinity;
    if (end > bytes.length) throw refused('bundle-malformed', `entry ${index} of it is cut off`);
    yield bytes.subarray(at + 2, end);
    at = end;
  }
}

const LEVEL_MAX = 63;
const PATH = /^tile\/(?:entries|(0|[1-9][0-9]?))\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/;

/** Whether this is a path that a log may have: the checkpoint, or a tile or bundle in the one way to write it. */
export function isLogPath(path: string): boolean {
  if (path === 'checkpoint') return true;
  const [whole, level, groups = '', width = `${TILE_WIDTH}`] = PATH.exec(path) ?? [];
  if (whole === undefined || Number(level ?? 0) > LEVEL_MAX || Number(width) > TILE_WIDTH) return false;
  const index = Number(groups.replace(/[x/]/g, ''));
  if (!Number.isSafeInteger(index)) return false;
  const [tile, bundle] = [tilePath(Number(level), index, Number(width)), bundlePath(index, Number(width))];
  return path === (level === undefined ? bundle : tile);
}
