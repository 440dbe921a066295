/**
 * The tree of a log, read from its tiles under one checkpoint, from the top down: the incomplete tiles, at the right,
 * make the root that was signed, and every other tile is what the one above it says.
 */
import type { Checkpoint } from '../../tlog/checkpoint.ts';
import { RightEdge, edgeWidths } from '../../tlog/edge.ts';
import { completeRanges, emptyRoot, joinRoots } from '../../tlog/merkle.ts';
import type { Range } from '../../tlog/merkle.ts';
import { TILE_WIDTH, perfectRoot, tileWidth } from '../../tlog/tile.ts';
import type { Tile } from '../../tlog/tile.ts';
import { findDamage } from './damage.ts';
import { readTile } from './files.ts';
import type { LogFiles } from './files.ts';

export class LogTiles {
  readonly checkpoint: Checkpoint;
  readonly #files: LogFiles;
  /** By level, the hashes of the incomplete tile. */
  readonly edge: readonly (readonly Buffer[])[];
  /** By level, the complete tile that was read last: what is asked for next is near. */
  readonly #last = new Map<number, Tile>();

  private constructor(files: LogFiles, checkpoint: Checkpoint, edge: readonly (readonly Buffer[])[]) {
    this.#files = files;
    this.checkpoint = checkpoint;
    this.edge = edge;
  }

  /** Reads the incomplete tiles. Throws refused(`log-damaged`) unless they make the root, and as `readTile`. */
  static async open(files: LogFiles, checkpoint: Checkpoint): Promise<LogTiles> {
    const { size, root } = checkpoint;
    const edge: Tile[] = [];
    for (const [level, width] of edgeWidths(size).entries()) {
      const index = Math.floor(size / TILE_WIDTH ** (level + 1));
      const hashes = width === 0 ? [] : await readTile(files, level, index, width);
      edge.push({ level, index, hashes });
    }
    const levels = edge.map(({ hashes }) => hashes);
    if (!RightEdge.at(size, levels).root().equals(root))
      throw await findDamage(files, edge, `they are not the ${size} entries of the checkpoint`);
    return new LogTiles(files, checkpoint, levels);
  }

  /** The hashes of a tile, as many as this tree has of it, at least one. Throws refused(`log-damaged`), and as `readTile`. */
  async tile(level: number, index: number): Promise<readonly Buffer[]> {
    const width = tileWidth(level, index, this.checkpoint.size);
    if (width < TILE_WIDTH) return this.edge[level] ?? [];
    const last = this.#last.get(level);
    if (last?.index === index) return last.hashes;
    const above = await this.tile(level + 1, Math.floor(index / TILE_WIDTH));
    const tile = { level, index, hashes: await readTile(this.#files, level, index, width) };
    if (above[index % TILE_WIDTH]?.equals(perfectRoot(tile.hashes)) !== true)
      throw await findDamage(this.#files, [tile], 'they are not the entries that the tile above has');
    this.#last.set(level, tile);
    return tile.hashes;
  }

  /** The root over entries that this tree's own division, or that of its beginning, makes one range. Throws as `tile`. */
  async root(range: Range): Promise<Buffer> {
    const roots: Buffer[] = [];
    for (const { start, end } of completeRanges(range)) {
      let level = 0;
      while (TILE_WIDTH ** (level + 1) <= end - start) level += 1;
      const [first, count] = [start / TILE_WIDTH ** level, (end - start) / TILE_WIDTH ** level];
      const hashes = await this.tile(level, Math.floor(first / TILE_WIDTH));
      roots.push(perfectRoot(hashes.slice(first % TILE_WIDTH, (first % TILE_WIDTH) + count)));
    }
    return roots.length === 0 ? emptyRoot() : joinRoots(roots);
  }
}
