/** A log's files as they lie there, none of them believed, and what is wrong with one taken alone. */
import { Failure } from '../failure.ts';
import type { LogFiles } from '../tree/log/files.ts';
import { HASH_BYTES } from '../tlog/merkle.ts';
import { BUNDLE_MAX, TILE_BYTES, TILE_WIDTH, bundlePath, tilePath } from '../tlog/tile.ts';

export interface Stored {
  /** The one that is there, else the one that should be. */
  readonly path: string;
  /** Null if there is none that can be read. */
  readonly bytes: Buffer | null;
  /** It is a complete one where an incomplete one would do: it may hold more than was asked for. */
  readonly whole: boolean;
  readonly problem: 'missing' | 'malformed' | null;
}

/** The tile with `width` hashes, or more. Throws unable. */
export async function storedTile(
  files: LogFiles,
  level: number,
  index: number,
  width: number,
): Promise<Stored> {
  const stored = await read(files, (each) => tilePath(level, index, each), width, TILE_BYTES);
  const expected = (stored.whole ? TILE_WIDTH : width) * HASH_BYTES;
  if (stored.bytes !== null && stored.bytes.length !== expected)
    return { ...stored, bytes: null, problem: 'malformed' };
  return { ...stored, bytes: stored.bytes && stored.bytes.subarray(0, width * HASH_BYTES) };
}

/** The bundle with `width` entries, or more; into how many it divides is not looked at. Throws unable. */
export const storedBundle = (files: LogFiles, index: number, width: number): Promise<Stored> =>
  read(files, (each) => bundlePath(index, each), width, BUNDLE_MAX);

/** The incomplete file, or the complete one that has replaced it. */
async function read(
  files: LogFiles,
  pathOf: (width: number) => string,
  width: number,
  maxBytes: number,
): Promise<Stored> {
  for (const each of width === TILE_WIDTH ? [TILE_WIDTH] : [width, TILE_WIDTH]) {
    const path = pathOf(each);
    const whole = each === TILE_WIDTH;
    const bytes = await readBounded(files, path, maxBytes);
    if (bytes === 'too-large') return { path, bytes: null, whole, problem: 'malformed' };
    if (bytes !== null) return { path, bytes, whole, problem: null };
  }
  return { path: pathOf(width), bytes: null, whole: width === TILE_WIDTH, problem: 'missing' };
}

/** Longer than any such file is a verdict here, not a fault. */
export async function readBounded(
  files: LogFiles,
  path: string,
  maxBytes: number,
): Promise<Buffer | 'too-large' | null> {
  try {
    return await files.read(path, maxBytes);
  } catch (error) {
    if (error instanceof Failure && error.code === 'too-large') return 'too-large';
    throw error;
  }
}

/** Where each entry of a bundle lies: calls `each` with start and end of the first `width`; returns how many there are. */
export function divideBundle(
  bytes: Buffer,
  width: number,
  each: (at: number, start: number, end: number) => void,
): { count: number; end: number } {
  let end = 0;
  for (let count = 0; count < width; count++) {
    const start = end + 2;
    const next = start <= bytes.length ? start + bytes.readUInt16BE(end) : Infinity;
    if (next > bytes.length) return { count, end };
    each(count, start, next);
    end = next;
  }
  return { count: width, end };
}

/** What `read` gives for each number below `count`, in order, `limit` of them under way. */
export async function* ahead<T>(
  count: number,
  limit: number,
  read: (index: number) => Promise<T>,
): AsyncGenerator<T, void, undefined> {
  const under: Promise<T>[] = [];
  for (let next = 0; next < count || under.length > 0;) {
    while (next < count && under.length < limit) {
      const reading = read(next++);
      // it is thrown where it is waited for
      reading.catch(() => {});
      under.push(reading);
    }
    const first = under.shift();
    if (first) yield await first;
  }
}
