/** Many small files written together: each as by `write`, whatever happens to one of them. */
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, symlinkSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { canMount, SmallDisk } from '../faults/room.ts';

type Files = [string, Buffer][];
const text = (words: string): Buffer => Buffer.from(words);
/** Files in three directories. */
const some = (count: number, words = 'file'): Files =>
  Array.from({ length: count }, (_, at) => [`builds/x/d${at % 3}/f${at}`, text(`${words} ${at}`)]);

let root: string;
let tree: DirectoryTree;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'batch-'));
  tree = await DirectoryTree.make(join(root, 'data'));
});
afterEach(() => rm(root, { recursive: true }));

const data = (path: string): string => join(root, 'data', path);
const litter = (): string[] => readdirSync(data('.tmp')).filter((name) => name !== 'lock');
const count = (): number =>
  ['d0', 'd1', 'd2']
    .map((name) => data(`builds/x/${name}`))
    .reduce((sum, place) => sum + (existsSync(place) ? readdirSync(place).length : 0), 0);
/** Returns when so many are there. */
const under = async (many: number): Promise<void> => {
  while (count() < many) await new Promise((resolve) => setImmediate(resolve));
};

describe('files that are written together', () => {
  test('are there whole, each said to be new or the same, in the order given', async () => {
    const files = some(60);
    expect(new Set(await tree.writeAll(files))).toEqual(new Set(['new']));
    for (const [path, bytes] of files) expect(await tree.read(path)).toEqual(bytes);
    expect(lstatSync(data('builds/x/d0/f0')).mode & 0o777).toBe(0o644);
    const again = await tree.writeAll([...files.slice(0, 2), ['builds/x/d0/more', text('')], ...files]);
    expect(again.slice(0, 4)).toEqual(['same', 'same', 'new', 'same']);
    expect(litter()).toEqual([]);
    expect(await tree.writeAll([])).toEqual([]);
  });

  test('one with other bytes than are there is named, and replaces nothing', async () => {
    await tree.write('builds/x/d1/f40', text('first'));
    await expect(tree.writeAll(some(100))).rejects.toMatchObject({
      kind: 'refused',
      code: 'conflict',
      message: expect.stringContaining('builds/x/d1/f40'),
    });
    expect(await tree.read('builds/x/d1/f40')).toEqual(text('first'));
    // what is there is whole: a second time it is the same
    await tree.writeAll(some(100).filter(([path]) => path !== 'builds/x/d1/f40'));
    expect(litter()).toEqual([]);
  });

  test('of one name and two contents, one is there', async () => {
    const both: Files = [
      ['builds/x/a', text('one')],
      ['builds/x/a', text('two')],
    ];
    await expect(tree.writeAll(both)).rejects.toMatchObject({ code: 'conflict' });
    expect((await tree.read('builds/x/a'))?.toString()).toMatch(/^(one|two)$/);
    expect(litter()).toEqual([]);
  });

  test('twenty writers of the same files agree', async () => {
    const written = await Promise.all(Array.from({ length: 20 }, () => tree.writeAll(some(10))));
    for (const at of some(10).keys()) expect(written.filter((each) => each[at] === 'new')).toHaveLength(1);
  });

  test('a name that is none is refused', async () => {
    const files = [...some(10), ['builds/../x', text('x')] as [string, Buffer]];
    await expect(tree.writeAll(files)).rejects.toMatchObject({ code: 'path-malformed' });
    expect(readdirSync(root)).toEqual(['data']);
    expect(litter()).toEqual([]);
  });
});

describe('a link in the place of a directory', () => {
  beforeEach(() => mkdirSync(join(root, 'outside')));

  test('is not followed', async () => {
    mkdirSync(data('builds/x'), { recursive: true });
    symlinkSync(join(root, 'outside'), data('builds/x/d1'));
    await expect(tree.writeAll(some(30))).rejects.toMatchObject({ kind: 'unable', code: 'disk' });
    expect(readdirSync(join(root, 'outside'))).toEqual([]);
    expect(litter()).toEqual([]);
  });

  test('that comes while files go into it: none of them counts as written', async () => {
    await tree.writeAll(some(3));
    const writing = tree.writeAll(some(400, 'later').slice(3));
    await under(40);
    renameSync(data('builds/x/d1'), data('builds/x/moved'));
    symlinkSync(join(root, 'outside'), data('builds/x/d1'));
    await expect(writing).rejects.toMatchObject({ kind: 'unable', code: 'disk' });
    expect(litter()).toEqual([]);
  });
});

test('a depot that is pulled out in the middle is gone', async () => {
  const writing = tree.writeAll(some(400));
  await under(40);
  renameSync(join(root, 'data'), join(root, 'elsewhere'));
  await expect(writing).rejects.toMatchObject({ kind: 'unable', code: 'no-depot' });
  renameSync(join(root, 'elsewhere'), join(root, 'data'));
  await tree.writeAll(some(400));
  expect(count()).toBe(400);
});

test.skipIf(!canMount())(
  'a disk that is full in the middle says so; with room all of it is there',
  async () => {
    const disk = SmallDisk.over(join(root, 'data'));
    try {
      const full = await DirectoryTree.make(join(root, 'data'));
      disk.leave('bytes', 40);
      await expect(full.writeAll(some(100))).rejects.toMatchObject({
        kind: 'unable',
        code: 'disk',
        hint: 'make room and try again',
      });
      expect(litter()).toEqual([]);
      for (const [path, bytes] of some(100))
        expect([null, bytes.toString()]).toContain((await full.read(path))?.toString() ?? null);
      disk.makeRoom();
      await full.writeAll(some(100));
      expect(count()).toBe(100);
    } finally {
      disk.close();
    }
  },
);
