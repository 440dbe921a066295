/**
 * The files of a log in a directory that its checkpoint does not need: incomplete tiles of smaller sizes, which must be
 * the beginning of what is there now, and whatever else lies between them.
 */
import type { LogFiles } from '../tree/log/reader.ts';
import { HASH_BYTES, leafHash } from '../tlog/merkle.ts';
import { BUNDLE_MAX, TILE_BYTES, TILE_WIDTH, bundlePath, tilePath, tileWidth } from '../tlog/tile.ts';
import { trueTile } from './blame.ts';
import type { Truths } from './blame.ts';
import type { Findings } from './finding.ts';
import { divideBundle, readBounded, storedTile } from './stored.ts';

/** The names directly in a directory of the log, files and directories alike. */
export type List = (directory: string) => Promise<readonly string[]>;

/** A tile, or with level null a bundle. */
interface Place {
  readonly level: number | null;
  readonly index: number;
  readonly width: number;
  readonly path: string;
}

export interface Leftovers {
  /** What the checkpoint does not reach yet: whoever wrote it was interrupted, or is at it. */
  readonly beyond: number;
  /** What no log has. */
  readonly strays: readonly string[];
}

interface Looking {
  readonly files: LogFiles;
  readonly list: List;
  readonly size: number;
  readonly truths: Truths;
}

const STRAYS_MAX = 20;

/** Looks at all of them; what is wrong becomes a finding. Throws unable. */
export async function lookAtLeftovers(looking: Looking, findings: Findings): Promise<Leftovers> {
  let beyond = 0;
  const strays: string[] = [];
  for await (const found of walk(looking.list)) {
    if (typeof found === 'string') {
      if (strays.length < STRAYS_MAX) strays.push(found);
      continue;
    }
    const level = found.level ?? 0;
    const width = tileWidth(level, found.index, looking.size);
    if (width === found.width) continue;
    if (width < found.width) beyond += 1;
    if (width > 0) await compare(found, Math.min(width, found.width), looking, findings);
  }
  return { beyond, strays };
}

/** As many hashes as the log has of it. */
async function compare(
  { level, index, width, path }: Place,
  count: number,
  { files, size, truths }: Looking,
  findings: Findings,
): Promise<void> {
  const first = index * TILE_WIDTH;
  const each = TILE_WIDTH ** (level ?? 0);
  const bytes = await readBounded(files, path, level === null ? BUNDLE_MAX : TILE_BYTES);
  const tile = await storedTile(files, level ?? 0, index, tileWidth(level ?? 0, index, size));
  const truth = trueTile(truths, level ?? 0, index, tile.bytes);
  // gone since it was listed; or nobody knows what it should be, which is a finding already
  if (bytes === null || truth === null) return;
  const hashes = bytes === 'too-large' ? null : level === null ? bundleHashes(bytes, width) : bytes;
  const whole = hashes?.length === width * HASH_BYTES;
  let at = 0;
  while (at < count && hashes && isSame(hashes, truth, at)) at += 1;
  if (at === count && whole) return;
  // one that is longer or shorter than it says, and right as far as it goes, is wrong at its end
  const wrong = Math.min(at, count - 1);
  const [from, to] = [(first + wrong) * each, (first + wrong + 1) * each - 1];
  const what =
    level === null
      ? `entry ${from} in it`
      : `its hash of ${each === 1 ? `entry ${from}` : `entries ${from} to ${to}`}`;
  findings.add(
    level === null ? 'entry-changed' : 'tile-changed',
    [from, to],
    path,
    `${path} is of an earlier checkpoint, and ${what} is not what was signed`,
  );
}

const isSame = (one: Buffer, other: Buffer, at: number): boolean =>
  one
    .subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES)
    .equals(other.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES));

/** The leaf hashes of a bundle, as many as can be read; one more if it does not end there. */
function bundleHashes(bytes: Buffer, width: number): Buffer {
  const hashes: Buffer[] = [];
  const { end } = divideBundle(bytes, width, (_, start, stop) =>
    hashes.push(leafHash(bytes.subarray(start, stop))),
  );
  if (end !== bytes.length) hashes.push(Buffer.alloc(HASH_BYTES));
  return Buffer.concat(hashes);
}

/** Every tile and bundle, by the names alone; as text what is neither. */
async function* walk(list: List): AsyncGenerator<Place | string, void, undefined> {
  for (const name of await list('.')) if (name !== 'checkpoint' && name !== 'tile') yield name;
  for (const name of await list('tile')) {
    const level = name === 'entries' ? null : /^(?:0|[1-9][0-9]?)$/.test(name) ? Number(name) : NaN;
    if (Number.isNaN(level)) yield `tile/${name}`;
    else yield* walkLevel(list, `tile/${name}`, level, 0);
  }
}

async function* walkLevel(
  list: List,
  directory: string,
  level: number | null,
  above: number,
): AsyncGenerator<Place | string, void, undefined> {
  for (const name of await list(directory)) {
    const path = `${directory}/${name}`;
    const [, x = '', digits = '', partial = ''] = /^(x?)([0-9]{3})(\.p)?$/.exec(name) ?? [];
    const index = above * 1000 + Number(digits);
    if (digits === '' || (x !== '' && partial !== '')) yield path;
    else if (x !== '') yield* walkLevel(list, path, level, index);
    else if (partial === '') yield place(level, index, TILE_WIDTH, path);
    else
      for (const width of await list(path)) {
        const number = /^[1-9][0-9]{0,2}$/.test(width) ? Number(width) : TILE_WIDTH;
        yield number < TILE_WIDTH ? place(level, index, number, `${path}/${width}`) : `${path}/${width}`;
      }
  }
}

/** One path for each: leading `x000` are none. */
function place(level: number | null, index: number, width: number, path: string): Place | string {
  const right = level === null ? bundlePath(index, width) : tilePath(level, index, width);
  return path === right ? { level, index, width, path } : path;
}
