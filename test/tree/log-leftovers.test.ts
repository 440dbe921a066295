/**
 * What a push leaves that ended before its checkpoint was there, and another log came of it: a signer that was restored
 * from a backup, or a second one that lost. It is in nobody's way, and nobody sees it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { TILE_WIDTH, bundlePath, tilePath } from '../../src/tlog/tile.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { extendLog } from '../../src/tree/log/extend.ts';
import { Log, MemoryTree, entry, grown, readWhole, readerOf, trust, whole } from './log-scene.ts';

const directories: string[] = [];
afterEach(async () => {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true });
});

/** The log up to there, and then another. */
const forkAt = (size: number, length: number): Log =>
  new Log(length, (index) => (index < size ? entry(index) : Buffer.from(`other ${index}`)));

/** Every state that a push of the log leaves the store in when it ends early. */
async function* brokenOff(before: MemoryTree, log: Log, from: number): AsyncGenerator<MemoryTree> {
  for (let step = 1; ; step++) {
    const tree = new MemoryTree(before.files);
    tree.left = step;
    const ended = await extendLog(tree, trust, log.push(from)).then(
      () => false,
      () => true,
    );
    if (
      !ended ||
      !tree.files.get('log/checkpoint')?.equals(before.files.get('log/checkpoint') ?? Buffer.alloc(0))
    )
      return;
    tree.left = Infinity;
    yield tree;
  }
}

const CASES: readonly (readonly [from: number, stale: number, to: readonly number[]])[] = [
  [3, 5, [4, 5, 6, 256, 257]],
  [200, 300, [255, 256, 257, 300, 512]],
  [255, 257, [256, 257, 258, 513]],
  [256, 512, [257, 511, 512, 513]],
  [300, 600, [400, 511, 512, 513, 600, 601]],
  [65_279, 65_537, [65_280, 65_535, 65_536, 65_537]],
  [65_400, 65_800, [65_536, 65_537, 65_800]],
  [65_536, 65_793, [65_792, 65_793]],
];

test.each(CASES)(
  'of %i entries on the way to %i others: the log goes on',
  { timeout: 60_000 },
  async (from, stale, to) => {
    const before = await grown(from);
    let states = 0;
    for await (const left of brokenOff(before, forkAt(from, stale), from)) {
      states += 1;
      expect((await readerOf(left).head())?.checkpoint.size).toBe(from);
      for (const next of to) {
        const tree = new MemoryTree(left.files);
        expect(await extendLog(tree, trust, whole.push(from, next))).toBe('new');
        await expectWhole(tree, next, from);
        // and on, over whatever else lies there
        await extendLog(tree, trust, whole.push(next, next + 300 > 66_300 ? 66_300 : next + 300));
        await expectWhole(tree, Math.min(next + 300, 66_300), from);
      }
    }
    expect(states).toBeGreaterThanOrEqual(2);
  },
);

/** All from a little before `from`, and the root of all. */
async function expectWhole(tree: MemoryTree, size: number, from: number): Promise<void> {
  const reader = readerOf(tree);
  const head = await reader.head();
  if (head === null) throw new Error('no log');
  expect(head.checkpoint.size).toBe(size);
  const first = Math.max(0, from - 2);
  const leaves: Buffer[] = [];
  for await (const { leaf } of reader.entries(head, first)) leaves.push(leaf);
  expect(leaves).toEqual(whole.leaves.slice(first, size));
}

test('of two pushes, one over the other, at every step of both', async () => {
  const before = await grown(250);
  const [one, other] = [forkAt(250, 520), forkAt(253, 520)];
  for await (const left of brokenOff(before, one, 250))
    for await (const twice of brokenOff(left, other, 250)) {
      await extendLog(twice, trust, whole.push(250, 515));
      expect(await readWhole(twice)).toEqual(whole.leaves.slice(0, 515));
    }
});

test('whoever reads by the checkpoint that is there reads it at every step, also from complete tiles alone', async () => {
  const before = await grown(300);
  const fork = forkAt(300, 600);
  for await (const left of brokenOff(before, fork, 300)) {
    // as a copy that was made without what is incomplete
    const bare = new MemoryTree(left.files);
    const complete = [tilePath(0, 1), bundlePath(1)].every((path) => left.files.has(`log/${path}`));
    if (complete) for (const path of [tilePath(0, 1), bundlePath(1)]) await bare.remove(`log/${path}.p`);
    for (const start of complete ? [left, bare] : [left]) {
      const done = new MemoryTree(start.files);
      await extendLog(done, trust, whole.push(300, 2 * TILE_WIDTH + 9));
      for (let step = 0; step < done.changes; step++) {
        const tree = new MemoryTree(start.files);
        tree.left = step;
        await extendLog(tree, trust, whole.push(300, 2 * TILE_WIDTH + 9)).catch(() => null);
        const leaves = await readWhole(tree);
        expect([300, 521]).toContain(leaves.length);
        expect(leaves).toEqual(whole.leaves.slice(0, leaves.length));
      }
    }
  }
});

test('two that write one directory, each another log: one of them is there, whole, and the other is told', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'cs-leftovers-'));
  directories.push(directory);
  const trees = [await DirectoryTree.make(directory), await DirectoryTree.make(directory)];
  const [first] = trees;
  if (!first) throw new Error('no tree');
  let base = new Log(7);
  await extendLog(first, trust, base.push(0));
  for (let round = 1; round <= 12; round++) {
    const from = base.tree.size;
    const logs = trees.map((_, which) => {
      const log = new Log(0);
      for (const leaf of base.leaves) log.add(leaf);
      for (let at = 0; at < 60; at++) log.add(Buffer.from(`${round} ${which} ${at}`));
      return log;
    });
    const settled = await Promise.allSettled(
      logs.map((log, which) => extendLog(trees[which] ?? first, trust, log.push(from))),
    );
    expect(settled.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(settled.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'log-conflict' },
    });
    const won = logs[settled.findIndex(({ status }) => status === 'fulfilled')];
    if (!won) throw new Error('nobody');
    base = won;
    expect(await readWhole(first)).toEqual(base.leaves);
  }
});
