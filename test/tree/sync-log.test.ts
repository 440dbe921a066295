/** The log from one depot into another: what goes on is carried, what does not is a fork, and nothing is lost. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { carryLog } from '../../src/tree/sync.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { project } from '../policy/scene.ts';
import { kept } from './carry.ts';
import { Directories, contentsOf, copyFiles, filesOf } from './copies.ts';
import { Log, cosigned, readWhole, trust, whole } from './log-scene.ts';

const rules = { ...project, log: trust };
const directories = new Directories();
afterEach(() => directories.remove());

/** A depot whose log was pushed in these steps. */
async function depot(sizes: readonly number[] = [], log: Log = whole): Promise<string> {
  const directory = await directories.make();
  const gated = await kept(directory, rules);
  for (const [at, size] of sizes.entries()) await gated.pushLog(log.push(sizes[at - 1] ?? 0, size));
  return directory;
}

const carry = async (from: string, to: string) =>
  carryLog(await kept(from, rules), await kept(to, rules), trust);
const entriesIn = async (directory: string): Promise<Buffer[]> =>
  readWhole(await DirectoryTree.open(directory));
const checkpoint = (directory: string): string => join(directory, 'log', 'checkpoint');

describe('a log that goes on', () => {
  test.each([[[]], [[3]], [[256]], [[200, 299]], [[300]]])('from %j to 700', async (sizes) => {
    const [from, to] = [await depot([300, 700]), await depot(sizes)];
    const entries = 700 - (sizes.at(-1) ?? 0);
    expect(await carry(from, to)).toMatchObject({ state: 'carried', code: null, size: 700, entries });
    expect(await entriesIn(to)).toEqual(whole.leaves.slice(0, 700));
    expect(await carry(from, to)).toMatchObject({ state: 'same', size: 700, entries: 0 });
    // and back: the other end has all of it
    const before = await contentsOf(from);
    expect(await carry(to, from)).toMatchObject({ state: 'same', size: 700 });
    expect(await contentsOf(from)).toEqual(before);
  });

  test('where the other end is ahead there is nothing to carry; where there is none, there is nothing to say', async () => {
    expect(await carry(await depot([300]), await depot([300, 520]))).toMatchObject({
      state: 'same',
      size: 520,
    });
    expect(await carry(await depot(), await depot([300]))).toBeNull();
  });

  test('cosignatures travel, and only when there is news', async () => {
    const [from, to] = [await depot([5]), await depot([5])];
    const note = whole.note(5);
    await (await kept(from, rules)).pushLog(whole.push(5, 5, cosigned(note, 0, 100)));
    await (await kept(to, rules)).pushLog(whole.push(5, 5, cosigned(note, 1, 50)));
    expect(await carry(from, to)).toMatchObject({ state: 'carried', entries: 0 });
    expect(await readFile(checkpoint(to), 'utf8')).toBe(cosigned(cosigned(note, 0, 100), 1, 50));
    expect(await carry(from, to)).toMatchObject({ state: 'same' });
  });
});

describe('a log that does not', () => {
  const fork = new Log(600, (index) => whole.leaves[index < 250 ? index : index + 1] ?? Buffer.alloc(0));

  test.each([
    ['is longer', [600], [300]],
    ['is shorter', [300], [600]],
    ['is as long', [300], [300]],
  ])('is a fork, whether it %s: refused with both sizes, and nothing is changed', async (_, ours, theirs) => {
    const [from, to] = [await depot(ours, fork), await depot(theirs)];
    const before = await contentsOf(to);
    const result = await carry(from, to);
    expect(result).toMatchObject({ state: 'refused', code: 'log-fork', size: theirs[0], entries: 0 });
    for (const size of [ours[0], theirs[0]]) expect(result?.text).toContain(`${size} entries`);
    expect(await contentsOf(to)).toEqual(before);
  });

  test('is no fork while both are the same so far', async () => {
    expect(await carry(await depot([200], fork), await depot([249]))).toMatchObject({ state: 'same' });
  });
});

describe('of the sending end nothing is believed', () => {
  test('a file that is missing: unfinished, and carried when it is there; the checkpoint of a copy may come first', async () => {
    const [from, copy, to] = [await depot([300, 700]), await directories.make(), await depot([100])];
    const files = (await filesOf(from)).filter((path) => path !== 'log/checkpoint');
    await copyFiles(from, copy, ['log/checkpoint']);
    const before = await contentsOf(to);
    for (const path of files) {
      const result = await carry(copy, to);
      expect(result).toMatchObject({ state: 'unfinished', code: 'log-incomplete' });
      expect(await contentsOf(to)).toEqual(before);
      await copyFiles(from, copy, [path]);
    }
    expect(await carry(copy, to)).toMatchObject({ state: 'carried', size: 700 });
  });

  test('a file that is damaged: refused, nothing is carried', async () => {
    const [from, to] = [await depot([700]), await depot([100])];
    const before = await contentsOf(to);
    for (const path of await filesOf(from)) {
      const bytes = await readFile(join(from, path));
      const damage = Buffer.from(bytes);
      damage[30] = (damage[30] ?? 0) ^ 1;
      await writeFile(join(from, path), damage);
      const code = path === 'log/checkpoint' ? 'checkpoint-invalid' : 'log-damaged';
      expect([path, await carry(from, to)]).toMatchObject([path, { state: 'refused', code }]);
      expect(await contentsOf(to)).toEqual(before);
      await writeFile(join(from, path), bytes);
    }
    expect(await carry(from, to)).toMatchObject({ state: 'carried' });
  });

  test('a depot that is gone: unfinished', async () => {
    const [from, to] = [await depot([7]), await depot([3])];
    const [sender, receiver] = [await kept(from, rules), await kept(to, rules)];
    await rm(from, { recursive: true });
    expect(await carryLog(sender, receiver, trust)).toMatchObject({ state: 'unfinished', code: 'no-depot' });
  });
});
