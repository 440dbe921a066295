/** The files of a log, wherever they lie. None of them is believed: `tiles.ts` holds them against what was signed. */
import { Failure, refused, unable } from '../../failure.ts';
import type { Broken } from '../../host/http.ts';
import { HASH_BYTES } from '../../tlog/merkle.ts';
import { NOTE_MAX } from '../../tlog/note.ts';
import { BUNDLE_MAX, TILE_BYTES, TILE_WIDTH, bundlePath, parseTile, tilePath } from '../../tlog/tile.ts';
import { DirectoryTree } from '../directory.ts';
import { HttpDepot } from '../http.ts';
import type { Location } from '../location.ts';

/** Paths are relative to the log: in a depot they lie below `log/`. */
export interface LogFiles {
  /** Null if it is not there. Throws unable: `too-large` over `maxBytes`, `disk`, `network`. */
  read(path: string, maxBytes: number): Promise<Buffer | null>;
  close(): void;
}

/** The log of a depot, or of a tree, which stays open. */
export const depotLog = (depot: Pick<LogFiles, 'read'>): LogFiles => ({
  read: (path, maxBytes) => depot.read(`log/${path}`, maxBytes),
  close() {},
});

/**
 * The log of the depot that is there; or the log itself, if that is what is there: a mirror, somebody else's log.
 * Throws usage(`depot-url`), unable: `no-depot`, `network`, `disk`.
 */
export async function openLog(location: Location, broken?: Broken): Promise<LogFiles> {
  const itself = await openPlace(location, broken);
  const log = { ...depotLog(itself), close: () => itself.close() };
  try {
    return !(await hasCheckpoint(log)) && (await hasCheckpoint(itself)) ? itself : log;
  } catch (error) {
    itself.close();
    throw error;
  }
}

async function openPlace(location: Location, broken: Broken | undefined): Promise<LogFiles> {
  // without a token: all of a log is public
  if (location.kind === 'url')
    return new HttpDepot({ url: location.url, token: null, insecureHttp: false, broken });
  const tree = await DirectoryTree.open(location.directory);
  return { read: (path, maxBytes) => tree.read(path, maxBytes), close() {} };
}

async function hasCheckpoint(files: LogFiles): Promise<boolean> {
  try {
    return (await files.read('checkpoint', NOTE_MAX)) !== null;
  } catch (error) {
    // stores of plain files answer 403 for what they don't have
    if (error instanceof Failure && error.kind === 'refused') return false;
    throw error;
  }
}

/** What the files hold is not what was signed. */
export const damaged = (problem: string): Failure =>
  refused('log-damaged', `the log is damaged: ${problem}`, 'copy it again from where it is whole');

/** The hashes of a tile. Throws refused(`log-damaged`), unable(`log-incomplete`), and what reading throws. */
export async function readTile(
  files: LogFiles,
  level: number,
  index: number,
  width: number,
): Promise<Buffer[]> {
  const found = await readWidth(files, (wanted) => tilePath(level, index, wanted), width, TILE_BYTES);
  if (found.bytes.length !== found.width * HASH_BYTES)
    throw damaged(`${found.path} has ${found.bytes.length} bytes, not ${found.width * HASH_BYTES}`);
  return parseTile(found.bytes).slice(0, width);
}

/** A bundle's bytes, with the entries that its path says. Throws as `readTile`. */
export const readBundle = (files: LogFiles, index: number, width: number): Promise<Widened> =>
  readWidth(files, (wanted) => bundlePath(index, wanted), width, BUNDLE_MAX);

interface Widened {
  readonly path: string;
  readonly bytes: Buffer;
  /** That of the path: at least the one asked for. */
  readonly width: number;
}

/** An incomplete tile may have gone when there was a complete one, which begins with it. */
async function readWidth(
  files: LogFiles,
  pathOf: (width: number) => string,
  wanted: number,
  maxBytes: number,
): Promise<Widened> {
  for (const width of new Set([wanted, TILE_WIDTH])) {
    const path = pathOf(width);
    const bytes = await files.read(path, maxBytes);
    if (bytes) return { path, bytes, width };
  }
  const hint = 'is it just being copied? try again when all of it is there';
  throw unable('log-incomplete', `the log has no ${pathOf(wanted)}`, hint);
}
