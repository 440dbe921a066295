/** A depot's log as pushes make it: of every size, in any steps, whatever ends one early. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { edgeWidths } from '../../src/tlog/edge.ts';
import { TILE_WIDTH, bundlePath, tilePath } from '../../src/tlog/tile.ts';
import { extendLog } from '../../src/tree/log/extend.ts';
import type { LogPush } from '../../src/tree/tree.ts';
import { Log, MemoryTree, entry, filesOf, grown, readWhole, readerOf, trust, whole } from './log-scene.ts';

const extend = (tree: MemoryTree, push: LogPush) => extendLog(tree, trust, push);

/** By the specification: all complete tiles, and the incomplete ones of each checkpoint whose complete one is not there yet. */
function expectedFiles(sizes: readonly number[]): string[] {
  const last = sizes.at(-1) ?? 0;
  const files = new Set(['log/checkpoint']);
  for (const [level] of edgeWidths(last).entries()) {
    const complete = Math.floor(last / TILE_WIDTH ** (level + 1));
    for (let index = 0; index < complete; index++) {
      files.add(`log/${tilePath(level, index)}`);
      if (level === 0) files.add(`log/${bundlePath(index)}`);
    }
  }
  for (const size of sizes)
    for (const [level, width] of edgeWidths(size).entries()) {
      const index = Math.floor(size / TILE_WIDTH ** (level + 1));
      if (width === 0 || files.has(`log/${tilePath(level, index)}`)) continue;
      files.add(`log/${tilePath(level, index, width)}`);
      if (level === 0) files.add(`log/${bundlePath(index, width)}`);
    }
  return [...files].sort();
}

describe('it grows', () => {
  test('entry by entry to 600; at each size it is what was signed, and has the files of the specification', async () => {
    const tree = new MemoryTree();
    const sizes: number[] = [];
    for (let size = 1; size <= 600; size++) {
      sizes.push(size);
      expect(await extend(tree, whole.push(size - 1, size))).toBe('new');
      const reader = readerOf(tree);
      const head = await reader.head();
      expect(head?.checkpoint).toMatchObject({ size, root: whole.tree.root(size) });
      if (size % 50 === 0 || (size > 254 && size < 260)) expect(filesOf(tree)).toEqual(expectedFiles(sizes));
    }
    expect(await readWhole(tree)).toEqual(whole.leaves.slice(0, 600));
  });

  test('by any steps, across tiles of two levels', async () => {
    const sizes = fc
      .uniqueArray(
        fc.oneof(
          fc.integer({ min: 1, max: 1100 }),
          fc.integer({ min: 65_500, max: 65_800 }),
          fc.constantFrom(255, 256, 257, 512, 65_535, 65_536, 65_537, 65_792, 66_048),
        ),
        { minLength: 1, maxLength: 6 },
      )
      .map((all) => all.toSorted((one, other) => one - other));
    await fc.assert(
      fc.asyncProperty(sizes, async (steps) => {
        const tree = await grown(...steps);
        const last = steps.at(-1) ?? 0;
        expect(filesOf(tree)).toEqual(expectedFiles(steps));
        const reader = readerOf(tree);
        const head = await reader.head();
        if (!head) throw new Error('no head');
        expect(head.checkpoint.size).toBe(last);
        for (const from of new Set([0, Math.max(0, last - 300)]))
          for await (const { index, leaf } of reader.entries(head, from, Math.min(last, from + 300)))
            expect(leaf).toEqual(whole.leaves[index]);
      }),
      { numRuns: 2, examples: [[[65_535, 65_536, 65_537, 65_793]]] },
    );
  });

  test('from nothing to nothing, and from there', async () => {
    const tree = new MemoryTree();
    expect(await extend(tree, whole.push(0, 0))).toBe('new');
    expect(await readWhole(tree)).toEqual([]);
    expect(await extend(tree, whole.push(0, 0))).toBe('same');
    expect(await extend(tree, whole.push(0, 3))).toBe('new');
    expect(await readWhole(tree)).toHaveLength(3);
  });

  test('with entries of no bytes, and of as many as one may have', async () => {
    const log = new Log(3, (index) => Buffer.alloc(index === 1 ? 65_535 : 0, index));
    const tree = new MemoryTree();
    await extend(tree, log.push(0));
    expect(await readWhole(tree)).toEqual(log.leaves);
  });

  test('what is pushed again is the same; what overlaps is taken from where it is new', async () => {
    const tree = await grown(300);
    expect(await extend(tree, whole.push(0, 300))).toBe('same');
    expect(await extend(tree, whole.push(300, 300))).toBe('same');
    expect(await extend(tree, whole.push(100, 520))).toBe('new');
    expect(await readWhole(tree)).toEqual(whole.leaves.slice(0, 520));
  });
});

describe('whatever ends a push early', () => {
  test.each([
    [0, 3],
    [200, 300],
    [255, 257],
    [256, 700],
    [511, 512],
  ])('from %i to %i: the log is what it was, or has grown; and the next push goes on', async (from, to) => {
    const before = await grown(from);
    const done = new MemoryTree(before.files);
    await extend(done, whole.push(from, to));
    for (let step = 0; step < done.changes; step++) {
      const tree = new MemoryTree(before.files);
      tree.left = step;
      await expect(extend(tree, whole.push(from, to))).rejects.toThrow('power cut');
      const entries = await readWhole(tree);
      expect([from, to]).toContain(entries.length);
      expect(entries).toEqual(whole.leaves.slice(0, entries.length));
      // the signer has gone on meanwhile, or not
      for (const next of [to, to + 1, to + 300]) {
        const again = new MemoryTree(tree.files);
        await extend(again, whole.push(entries.length, next));
        expect(await readWhole(again)).toEqual(whole.leaves.slice(0, next));
      }
    }
  });

  test('entries that change between the first look and the second write nothing that would last', async () => {
    for (const [from, to, changed] of [
      [0, 600, 10],
      [0, 600, 599],
      [300, 400, 350],
    ] as const) {
      const tree = await grown(from);
      let reads = 0;
      const entries = () => {
        const again = reads++ > 0;
        return whole.leaves
          .slice(from, to)
          .map((leaf, at) => (again && from + at === changed ? entry(9999) : leaf));
      };
      await expect(extend(tree, { ...whole.push(from, to), entries })).rejects.toMatchObject({
        kind: 'unable',
        code: 'log-changed',
      });
      expect(await readWhole(tree)).toHaveLength(from);
      await extend(tree, whole.push(from, to));
      expect(await readWhole(tree)).toHaveLength(to);
    }
  });

  test('also when they are so long that tiles are written before the last was read again', async () => {
    const log = new Log(600, (index) => Buffer.alloc(20_000, index));
    const tree = new MemoryTree();
    let reads = 0;
    const entries = () => (reads++ === 0 ? log.leaves : log.leaves.with(10, entry(9999)));
    await expect(extend(tree, { ...log.push(0), entries })).rejects.toMatchObject({ code: 'log-changed' });
    // what has its name has it for good: nothing is in the way of the right ones
    expect(await extend(tree, log.push(0))).toBe('new');
  });
});
