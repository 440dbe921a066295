/** The right edge of a log: it grows as the tree does, and the tiles that it gives are the tree's. */
import { describe, expect, test } from 'vitest';
import { RightEdge, edgeWidths } from '../../src/tlog/edge.ts';
import { emptyRoot, leafHash, treeOf } from '../../src/tlog/merkle.ts';
import { TILE_WIDTH } from '../../src/tlog/tile.ts';
import type { Tile } from '../../src/tlog/tile.ts';

const SIZE = 66_200;
const leaves = Array.from({ length: SIZE }, (_, index) => leafHash(Buffer.from(`${index}`)));
const tree = treeOf(leaves);

/** The hashes that a tile has by the definition: MTH(D[(n * 256 + i) * 256**l : (n * 256 + i + 1) * 256**l]). */
const defined = ({ level, index, hashes }: Tile): Buffer[] =>
  hashes.map((_, at) => {
    const each = TILE_WIDTH ** level;
    const start = (index * TILE_WIDTH + at) * each;
    return treeOf(leaves.slice(start, start + each)).root();
  });

test('has the root of the tree at every size, and gives each tile once, when it is full', () => {
  const edge = RightEdge.empty();
  expect(edge.root()).toEqual(emptyRoot());
  const full: Tile[] = [];
  for (const leaf of leaves) {
    full.push(...edge.append(leaf));
    const { size } = edge;
    if (size < 600 || size % 97 === 0 || (size > 65_500 && size < 65_600))
      expect(edge.root()).toEqual(tree.root(size));
  }
  const complete = [0, 1].flatMap((level) =>
    Array.from({ length: Math.floor(SIZE / TILE_WIDTH ** (level + 1)) }, (_, index) => `${level}/${index}`),
  );
  expect(full.map(({ level, index }) => `${level}/${index}`).sort()).toEqual(complete.sort());
  for (const tile of [...full.filter(({ index }) => index % 50 === 0), ...edge.tiles()])
    expect(tile.hashes).toEqual(defined(tile));
  expect(edge.tiles().map(({ level, index, hashes }) => [level, index, hashes.length])).toEqual([
    [0, 258, 152],
    [1, 1, 2],
    [2, 0, 1],
  ]);
});

describe('goes on from what was kept of it', () => {
  test.each([1, 255, 256, 257, 511, 65_535, 65_536, 65_537, 65_792])('at %i entries', (size) => {
    const before = RightEdge.empty();
    for (const leaf of leaves.slice(0, size)) before.append(leaf);
    const levels = edgeWidths(size).map(
      (_, level) => before.tiles().find((tile) => tile.level === level)?.hashes ?? [],
    );
    const edge = RightEdge.at(size, levels);
    expect([edge.size, edge.root()]).toEqual([size, tree.root(size)]);
    for (const leaf of leaves.slice(size, size + 300)) edge.append(leaf);
    expect([edge.size, edge.root()]).toEqual([size + 300, tree.root(size + 300)]);
    // the one that was kept is not changed by it
    expect(RightEdge.at(size, levels).root()).toEqual(tree.root(size));
  });

  test('and of too many or too few hashes there is none', () => {
    expect(() => RightEdge.at(1, [])).toThrow(RangeError);
    expect(() => RightEdge.at(0, [leaves.slice(0, 1)])).toThrow(RangeError);
    expect(() => RightEdge.at(256, [leaves.slice(0, 256)])).toThrow(RangeError);
    expect(() => RightEdge.at(257, [leaves.slice(0, 1), []])).toThrow(RangeError);
    expect(RightEdge.at(257, [leaves.slice(256, 257), [tree.root(256)]]).root()).toEqual(tree.root(257));
  });
});
