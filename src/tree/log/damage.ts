/** Where a log is damaged: looked for from below, in files of which none is believed. It says where to look, no more. */
import { Failure } from '../../failure.ts';
import { leafHash } from '../../tlog/merkle.ts';
import { TILE_WIDTH, bundleEntries, perfectRoot, tilePath } from '../../tlog/tile.ts';
import type { Tile } from '../../tlog/tile.ts';
import { damaged, readBundle, readTile } from './files.ts';
import type { LogFiles } from './files.ts';

/** Of tiles that are not what was signed: the first hash that is not of what lies below it; where there is none, `otherwise`. */
export async function findDamage(
  files: LogFiles,
  tiles: readonly Tile[],
  otherwise: string,
): Promise<Failure> {
  for (const tile of tiles) {
    const { level, index, hashes } = tile;
    const path = tilePath(level, index, hashes.length);
    let at = 0;
    try {
      for await (const hash of hashesBelow(files, tile)) {
        if (hashes[at]?.equals(hash) !== true) break;
        at += 1;
      }
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
    }
    const first = (index * TILE_WIDTH + at) * TILE_WIDTH ** level;
    const entries =
      level === 0
        ? `entry ${first} and its`
        : `entries ${first} to ${first + TILE_WIDTH ** level - 1} and their`;
    if (at < hashes.length) return damaged(`${entries} hash in ${path} do not agree`);
  }
  return damaged(otherwise);
}

/** The hashes that the tile would have over what lies below it. */
async function* hashesBelow(files: LogFiles, { level, index, hashes }: Tile): AsyncGenerator<Buffer> {
  if (level === 0) {
    const { bytes } = await readBundle(files, index, hashes.length);
    for (const entry of bundleEntries(bytes)) yield leafHash(entry);
    return;
  }
  for (let at = 0; at < hashes.length; at++)
    yield perfectRoot(await readTile(files, level - 1, index * TILE_WIDTH + at, TILE_WIDTH));
}
