/**
 * The incomplete tiles at the right of a log, one a level: all of the tree that is needed to go on from where it is
 * (C2SP tlog-tiles, "Partial Tiles").
 */
import { completeRanges, emptyRoot, joinRoots } from './merkle.ts';
import { TILE_WIDTH, perfectRoot, tileWidth } from './tile.ts';
import type { Tile } from './tile.ts';

export class RightEdge {
  /** By level, the hashes of its incomplete tile: 0 to 255. */
  readonly #levels: Buffer[][];
  #size: number;

  private constructor(size: number, levels: Buffer[][]) {
    this.#size = size;
    this.#levels = levels;
  }

  /** Of a log without entries. */
  static empty(): RightEdge {
    return new RightEdge(0, []);
  }

  /**
   * Of a log of `size` entries. `levels` are the hashes of its incomplete tiles, by level; those of a level without
   * one are empty. Throws RangeError when they are not as many as a log of that size has.
   */
  static at(size: number, levels: readonly (readonly Buffer[])[]): RightEdge {
    const widths = edgeWidths(size);
    if (levels.length !== widths.length || widths.some((width, level) => levels[level]?.length !== width))
      throw new RangeError(`not the right edge of a log of ${size} entries`);
    return new RightEdge(
      size,
      levels.map((hashes) => [...hashes]),
    );
  }

  /** How many entries the log has. */
  get size(): number {
    return this.#size;
  }

  /** Adds an entry by its leaf hash. Returns the tiles that became full by it, from the lowest level up. */
  append(leaf: Buffer): Tile[] {
    const full: Tile[] = [];
    let hash = leaf;
    for (let level = 0; ; level++) {
      const hashes = (this.#levels[level] ??= []);
      hashes.push(hash);
      if (hashes.length < TILE_WIDTH) break;
      const index = Math.floor(this.#size / TILE_WIDTH ** (level + 1));
      full.push({ level, index, hashes });
      this.#levels[level] = [];
      hash = perfectRoot(hashes);
    }
    this.#size += 1;
    return full;
  }

  /** The incomplete tiles, from the lowest level up. */
  tiles(): Tile[] {
    return this.#levels.flatMap((hashes, level) => {
      const index = Math.floor(this.#size / TILE_WIDTH ** (level + 1));
      return hashes.length === 0 ? [] : [{ level, index, hashes: [...hashes] }];
    });
  }

  /** The root over all entries. */
  root(): Buffer {
    if (this.#size === 0) return emptyRoot();
    return joinRoots(
      this.#levels.toReversed().flatMap((hashes) =>
        // A tile's hashes are themselves leaves of a tree.
        completeRanges({ start: 0, end: hashes.length }).map(({ start, end }) =>
          perfectRoot(hashes.slice(start, end)),
        ),
      ),
    );
  }
}

/** How many hashes the incomplete tile of each level has in a log of `size` entries. */
export function edgeWidths(size: number): number[] {
  const widths: number[] = [];
  for (let hashes = size, level = 0; hashes > 0; hashes = Math.floor(hashes / TILE_WIDTH), level++)
    widths.push(tileWidth(level, Math.floor(hashes / TILE_WIDTH), size));
  return widths;
}
