import { execFileSync } from 'node:child_process';
import { linkSync } from 'node:fs';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { temporaryName } from '../../src/host/files.ts';
import { newBuildId } from '../../src/records/names.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';

let root: string;
let tree: DirectoryTree;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tree-'));
  tree = await DirectoryTree.make(join(root, 'data'));
});
afterEach(() => rm(root, { recursive: true }));

const data = (path: string): string => join(root, 'data', path);
const text = (words: string): Buffer => Buffer.from(words);
const opened = async (path: string, range?: { start: number; end: number }): Promise<string | null> => {
  const file = await tree.open(path);
  if (!file || !range) return file && (await buffer(file.stream)).toString();
  return (await buffer(file.chunks(range))).toString();
};

describe('a depot that is gone', () => {
  test.each([
    ['with its directory', (): Promise<void> => rm(join(root, 'data'), { recursive: true })],
    [
      'and left the empty directory that it was mounted on',
      async (): Promise<void> => {
        for (const name of await readdir(join(root, 'data'))) await rm(data(name), { recursive: true });
      },
    ],
  ])(
    '%s is no empty one: whatever is asked of it says so, and nothing is made there',
    async (_what, pull) => {
      await tree.write('builds/x/a', text('first'));
      const stage = await tree.stage();
      await stage.write(text('half'));
      await pull();
      for (const work of [
        () => tree.read('builds/x/a'),
        () => tree.size('builds/x/b'),
        () => tree.list('builds'),
        () => tree.write('builds/x/b', text('other')),
        () => tree.assemble('releases/x/1'),
        () => stage.commit('builds/x/half'),
      ])
        await expect(work()).rejects.toMatchObject({ kind: 'unable', code: 'no-depot' });
      expect(await readdir(join(root, 'data')).catch(() => [])).toEqual([]);
      // put back
      await mkdir(data('builds/x'), { recursive: true });
      await writeFile(data('builds/x/a'), 'first');
      expect(await tree.read('builds/x/a')).toEqual(text('first'));
    },
  );
});

describe('files are written once', () => {
  test('and are there whole, with modes that a web server can read', async () => {
    expect(await tree.write('builds/x/approval.json', text('{}'))).toBe('new');
    expect(await tree.read('builds/x/approval.json')).toEqual(text('{}'));
    expect(await tree.size('builds/x/approval.json')).toBe(2);
    expect((await lstat(data('builds/x/approval.json'))).mode & 0o777).toBe(0o644);
    expect((await lstat(data('builds/x'))).mode & 0o777).toBe(0o755);
    expect(await readdir(data('.tmp'))).toEqual([]);
  });

  test('the same bytes again succeed, other bytes never replace', async () => {
    await tree.write('builds/x/a', text('first'));
    expect(await tree.write('builds/x/a', text('first'))).toBe('same');
    await expect(tree.write('builds/x/a', text('other'))).rejects.toMatchObject({ code: 'conflict' });
    expect(await tree.read('builds/x/a')).toEqual(text('first'));
    expect(await readdir(data('.tmp'))).toEqual([]);
  });

  test('a staged file has no name until it is complete', async () => {
    const stage = await tree.stage();
    await stage.write(text('one '));
    expect(await tree.list('builds/x')).toEqual([]);
    await stage.write(text('two'));
    expect(await stage.commit('builds/x/blob')).toBe('new');
    await stage.discard();
    expect(await opened('builds/x/blob')).toBe('one two');
  });

  test('a discarded one leaves nothing', async () => {
    const stage = await tree.stage();
    await stage.write(text('half'));
    await stage.discard();
    expect(await readdir(data('.tmp'))).toEqual([]);
    await expect(stage.write(text('more'))).rejects.toThrow('after its end');
  });

  test('twenty writers of one file in a new directory agree', async () => {
    const written = await Promise.all(
      Array.from({ length: 20 }, () => tree.write('builds/y/z/a', text('same'))),
    );
    expect(written.filter((how) => how === 'new')).toHaveLength(1);
  });
});

describe('reading', () => {
  test('what is not there is null, nothing or empty', async () => {
    expect(await tree.read('builds/x/a')).toBeNull();
    expect(await tree.size('builds/x/a')).toBeNull();
    expect(await tree.open('builds/x/a')).toBeNull();
    expect(await tree.list('builds/x')).toEqual([]);
    expect(await tree.builds(null, 10)).toEqual([]);
  });

  test('an open file tells its size and streams it, or one range of it', async () => {
    await tree.write('builds/x/a', text('0123456789'));
    const file = await tree.open('builds/x/a');
    expect(file).toMatchObject({ size: 10, ...(await tree.status('builds/x/a')) });
    file?.stream.destroy();
    expect(await opened('builds/x/a')).toBe('0123456789');
    expect(await opened('builds/x/a', { start: 2, end: 4 })).toBe('234');
    expect(await opened('builds/x/a', { start: 9, end: 9 })).toBe('9');
    await tree.write('builds/x/empty', text(''));
    expect(await opened('builds/x/empty')).toBe('');
  });

  test('a bound is kept', async () => {
    await tree.write('builds/x/a', text('0123456789'));
    await expect(tree.read('builds/x/a', 9)).rejects.toMatchObject({ kind: 'unable', code: 'too-large' });
  });

  test('a list has the names of files and directories, sorted, and nothing hidden', async () => {
    for (const name of ['c', 'a', 'b/d']) await tree.write(`builds/x/${name}`, text(''));
    await writeFile(data('builds/x/.hidden'), '');
    await symlink('a', data('builds/x/link'));
    execFileSync('mkfifo', [data('builds/x/fifo')]);
    expect(await tree.list('builds/x')).toEqual(['a', 'b', 'c']);
  });

  test('builds come in order, a page at a time, and only what has the name of one', async () => {
    const ids = [1, 2, 3].map((day) => newBuildId(new Date(2026, 0, day), Buffer.alloc(10, day)));
    for (const id of [...ids].reverse()) await tree.write(`builds/${id}/approval.json`, text('{}'));
    await mkdir(data('builds/lost+found'));
    expect(await tree.builds(null, 2)).toEqual(ids.slice(0, 2));
    expect(await tree.builds(ids[1] ?? null, 2)).toEqual(ids.slice(2));
  });

  test('what a crash left in the middle of an approval is no build yet', async () => {
    const id = newBuildId(new Date(), Buffer.alloc(10));
    await mkdir(data(`builds/${id}`), { recursive: true });
    expect(await tree.builds(null, 2)).toEqual([]);
    await tree.write(`builds/${id}/approval.json.${'A'.repeat(40)}.sig`, text('signature'));
    expect(await tree.builds(null, 2)).toEqual([]);
    await tree.write(`builds/${id}/approval.json`, text('{}'));
    expect(await tree.builds(null, 2)).toEqual([id]);
  });

  test('a build that has lost its approval is shown: somebody must hear of it', async () => {
    const id = newBuildId(new Date(), Buffer.alloc(10));
    await tree.write(`builds/${id}/statements/b1.json`, text('{}'));
    expect(await tree.builds(null, 2)).toEqual([id]);
  });
});

describe('nothing leads out of the directory', () => {
  const bad = ['', '.', '..', '../x', '/etc/passwd', 'builds//x', 'builds/x/', 'builds/../x', 'builds/./x'];
  bad.push(
    'builds\\x',
    'builds/x\0',
    'builds/x\n',
    '.tmp/x',
    'builds/.x',
    'builds/é',
    '-x',
    'a/'.repeat(600) + 'a',
  );

  test.each(bad)('%j is no path', async (path) => {
    const refusal = { kind: 'refused', code: 'path-malformed' };
    await expect(tree.read(path)).rejects.toMatchObject(refusal);
    await expect(tree.size(path)).rejects.toMatchObject(refusal);
    await expect(tree.open(path)).rejects.toMatchObject(refusal);
    await expect(tree.list(path)).rejects.toMatchObject(refusal);
    await expect(tree.write(path, text('x'))).rejects.toMatchObject(refusal);
    expect(await readdir(data('.tmp'))).toEqual([]);
  });

  test('a link to a file is not there, and no write goes through it', async () => {
    await writeFile(join(root, 'secret'), 'secret');
    await tree.write('builds/x/a', text('a'));
    await symlink(join(root, 'secret'), data('builds/x/link'));
    expect(await tree.read('builds/x/link')).toBeNull();
    expect(await tree.open('builds/x/link')).toBeNull();
    expect(await tree.size('builds/x/link')).toBeNull();
    await expect(tree.write('builds/x/link', text('secret'))).rejects.toMatchObject({ kind: 'unable' });
    expect(await readFile(join(root, 'secret'), 'utf8')).toBe('secret');
  });

  test('nor is what lies behind a link to a directory, not even one inside', async () => {
    await mkdir(join(root, 'outside'));
    await writeFile(join(root, 'outside/a'), 'secret');
    await tree.write('builds/x/a', text('a'));
    await symlink(join(root, 'outside'), data('builds/out'));
    await symlink('x', data('builds/in'));
    await symlink('nowhere', data('builds/dangling'));
    for (const name of ['out', 'in', 'dangling']) {
      expect(await tree.read(`builds/${name}/a`)).toBeNull();
      expect(await tree.size(`builds/${name}/a`)).toBeNull();
      expect(await tree.list(`builds/${name}`)).toEqual([]);
      await expect(tree.write(`builds/${name}/b`, text('b'))).rejects.toMatchObject({ code: 'disk' });
    }
    expect(await readdir(join(root, 'outside'))).toEqual(['a']);
  });

  test('a name that no file can have is not there, nor is a link that leads to itself', async () => {
    await symlink('loop', data('loop'));
    for (const path of [`builds/${'x'.repeat(300)}`, `${'x'.repeat(300)}/x`, 'loop', 'loop/x']) {
      expect(await tree.read(path)).toBeNull();
      expect(await tree.size(path)).toBeNull();
      await expect(tree.write(path, text('x'))).rejects.toMatchObject({ kind: 'unable', code: 'disk' });
    }
  });

  test('a FIFO or a directory in place of a file is not there, and nobody waits for it', async () => {
    await mkdir(data('builds/x/dir'), { recursive: true });
    execFileSync('mkfifo', [data('builds/x/fifo')]);
    for (const name of ['dir', 'fifo']) {
      expect(await tree.read(`builds/x/${name}`)).toBeNull();
      expect(await tree.open(`builds/x/${name}`)).toBeNull();
      expect(await tree.size(`builds/x/${name}`)).toBeNull();
    }
  });
});

describe('a directory becomes visible whole', () => {
  test('with links to what is there and files of its own', async () => {
    await tree.write('builds/x/blobs/b', text('bytes'));
    const release = await tree.assemble('releases/p/1.0');
    await release.link('builds/x/blobs/b', 'dist/file');
    await release.write('countersign/release.proof', text('proof'));
    expect(await tree.list('releases')).toEqual([]);
    expect(await release.commit()).toBe(true);
    expect(await opened('releases/p/1.0/dist/file')).toBe('bytes');
    expect(await opened('releases/p/1.0/countersign/release.proof')).toBe('proof');
    expect((await lstat(data('releases/p/1.0/dist/file'))).nlink).toBe(2);
    expect(await readdir(data('.tmp'))).toEqual([]);
  });

  test('of two, the second finds the first and changes nothing', async () => {
    const [one, two] = [await tree.assemble('releases/p/1.0'), await tree.assemble('releases/p/1.0')];
    await one.write('a', text('one'));
    await two.write('a', text('two'));
    await two.write('b', text('two'));
    expect([await one.commit(), await two.commit()]).toEqual([true, false]);
    expect(await tree.list('releases/p/1.0')).toEqual(['a']);
    expect(await opened('releases/p/1.0/a')).toBe('one');
    expect(await readdir(data('.tmp'))).toEqual([]);
  });

  test('what cannot be linked any more is copied', async () => {
    await tree.write('builds/x/blobs/empty', text(''));
    let links = 1;
    for (; ; links++) {
      try {
        linkSync(data('builds/x/blobs/empty'), join(root, `link-${links}`));
      } catch {
        break;
      }
      if (links > 70_000) return; // this file system has no such limit
    }
    const release = await tree.assemble('releases/p/1.0');
    await release.link('builds/x/blobs/empty', 'empty');
    expect(await release.commit()).toBe(true);
    expect((await lstat(data('releases/p/1.0/empty'))).nlink).toBe(1);
  });

  test('a discarded one leaves nothing, and bad names and missing files have no place in it', async () => {
    const release = await tree.assemble('releases/p/1.0');
    await expect(release.write('../x', text('x'))).rejects.toMatchObject({ code: 'path-malformed' });
    await expect(release.link('builds/x/missing', 'x')).rejects.toMatchObject({ code: 'missing' });
    await release.discard();
    expect(await readdir(data('.tmp'))).toEqual([]);
    expect(await tree.list('releases')).toEqual([]);
  });
});

test.each([
  ['a symbolic link', (place: string): Promise<void> => symlink('/etc/passwd', place)],
  ['a FIFO', (place: string): unknown => execFileSync('mkfifo', [place])],
])('%s in the place of a file gets no second name: then nothing becomes visible', async (_what, make) => {
  await tree.write('builds/x/b', text('b'));
  await make(data('builds/x/odd'));
  const release = await tree.assemble('releases/p/1.0');
  await release.link('builds/x/b', 'dist/b');
  await release.link('builds/x/odd', 'dist/odd');
  await expect(release.commit()).rejects.toMatchObject({ kind: 'unable', code: 'missing' });
  expect(await readdir(data('.tmp'))).toEqual([]);
  expect(await tree.list('releases')).toEqual([]);
});

test('what a crash left half-written is dropped after a day', async () => {
  const yesterday = Date.now() / 1000 - 25 * 3600;
  const [old, fresh, directory] = [temporaryName(), temporaryName(), temporaryName()];
  await mkdir(data(`.tmp/${directory}/releases`), { recursive: true });
  for (const name of [old, fresh, 'lock']) await writeFile(data(`.tmp/${name}`), 'half');
  for (const name of [old, directory, 'lock']) await utimes(data(`.tmp/${name}`), yesterday, yesterday);
  await tree.read('builds/x/a');
  expect(await readdir(data('.tmp'))).toHaveLength(4);
  await tree.write('builds/x/a', text('a'));
  expect((await readdir(data('.tmp'))).sort()).toEqual([fresh, 'lock'].sort());
});

test('the data directory itself may be reached through a link', async () => {
  await symlink(join(root, 'data'), join(root, 'link'));
  await tree.write('builds/x/a', text('a'));
  const other = await DirectoryTree.make(join(root, 'link'));
  expect(await other.read('builds/x/a')).toEqual(text('a'));
});

test.skipIf(process.getuid?.() === 0)('a directory that may not be written says so', async () => {
  await chmod(data('.tmp'), 0o500);
  await expect(tree.stage()).rejects.toMatchObject({ kind: 'unable', code: 'disk' });
  await chmod(data('.tmp'), 0o700);
});
