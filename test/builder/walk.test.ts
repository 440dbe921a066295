import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findArtifacts } from '../../src/builder/walk.ts';
import type { ArtifactLimits } from '../../src/records/approval.ts';

const ANY: ArtifactLimits = { patterns: ['**'], maxCount: 100, maxBytes: 1000, maxTotalBytes: 5000 };
let base = '';
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'cs-walk-'));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

function put(name: string, content = name): string {
  mkdirSync(dirname(join(base, name)), { recursive: true });
  writeFileSync(join(base, name), content);
  return join(base, name);
}

const names = async (paths: string[], exclude: string[] = [], limits = ANY): Promise<string[]> =>
  (await findArtifacts({ base, paths, exclude }, limits)).map(({ name }) => name);

const refusedAs = (text: string | RegExp, hint: string | RegExp = '') =>
  expect.objectContaining({
    kind: 'refused',
    code: 'artifacts-refused',
    message: expect.stringMatching(text),
    hint: typeof hint === 'string' ? expect.stringContaining(hint) : expect.stringMatching(hint),
  });

describe('what is found', () => {
  test('directories are walked and names come in byte order, each once', async () => {
    for (const name of ['d/z', 'd/a', 'B', 'a+1~rc.tgz', 'c']) put(name);
    expect(await names([base, join(base, 'c')])).toEqual(['B', 'a+1~rc.tgz', 'c', 'd/a', 'd/z']);
  });

  test('sizes, and where the bytes lie', async () => {
    put('sub/empty', '');
    put('sub/five', '12345');
    const found = await findArtifacts({ base, paths: [join(base, 'sub')], exclude: [] }, ANY);
    expect(found.map(({ size }) => size)).toEqual([0, 5]);
    expect(found[1]?.path.endsWith('/sub/five')).toBe(true);
  });

  test('hard links are files like others', async () => {
    linkSync(put('one'), join(base, 'two'));
    expect(await names([base])).toEqual(['one', 'two']);
  });

  test('a base that is reached through a symlink is fine: the person chose it', async () => {
    put('real/x');
    symlinkSync(join(base, 'real'), join(base, 'link'));
    const found = await findArtifacts(
      { base: join(base, 'link'), paths: [join(base, 'link', 'x')], exclude: [] },
      ANY,
    );
    expect(found.map(({ name }) => name)).toEqual(['x']);
  });

  test('what --exclude names is left out before anything is said about it', async () => {
    for (const name of ['app', '.git/config', 'node_modules/x/.bin', 'notes.asc', 'deep/.cache']) put(name);
    const exclude = ['.git', 'node_modules/**', '*.asc', '**/.cache'];
    expect(await names([base], exclude)).toEqual(['app']);
  });
});

describe('what is an error that names the file', () => {
  test.each([
    ['.env', /^\.env: a dot-file/],
    ['sub/.hidden/x', /^sub\/\.hidden\/: a dot-file/],
    ['sp ace', /^sp ace: a space is not allowed, only letters/],
    ['a\n[GNUPG:] GOODSIG', /^a\n\[GNUPG:\] GOODSIG: U\+000A is not allowed/],
    ['-rf', /^-rf: a segment starts with -, not with a letter/],
    ['CON', /Windows device/],
    ['x.asc', /reserved/],
    ['countersign/x', /reserved at the top/],
    ['Ärger', /^Ärger: U\+00C4 is not allowed/],
    ['back\\slash', /: \\ is not allowed/],
  ])('%j', async (name, expected) => {
    put(name);
    await expect(names([base])).rejects.toEqual(refusedAs(expected));
  });

  test('a symlink, also one that leads to a good file', async () => {
    put('good');
    symlinkSync('good', join(base, 'link'));
    await expect(names([base])).rejects.toEqual(refusedAs(/^link: a symlink/));
  });

  test('a symlink on the way to the file that was named', async () => {
    put('dir/x');
    symlinkSync('dir', join(base, 'way'));
    await expect(names([join(base, 'way', 'x')])).rejects.toEqual(refusedAs(/^way: a symlink/));
  });

  test('a FIFO, which nobody waits for, and a socket', async () => {
    execFileSync('mkfifo', [join(base, 'pipe')]);
    await expect(names([base])).rejects.toEqual(refusedAs(/^pipe: a FIFO/));
    rmSync(join(base, 'pipe'));
    const server = createServer().listen(join(base, 'socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    await expect(names([base])).rejects.toEqual(refusedAs(/^socket: a socket/));
    server.close();
  });

  test('names that a case-folding file system takes for one', async () => {
    put('readme');
    put('README');
    await expect(names([base])).rejects.toEqual(refusedAs(/only in case/));
  });

  test('all of them are counted, the first is told', async () => {
    for (const name of ['.a', '.b', '.c', '.d', '.e', 'good']) put(name);
    await expect(names([base])).rejects.toEqual(
      refusedAs(/^\.a: /, /^4 more: \.b, \.c, \.d, …; nothing was signed/),
    );
  });
});

describe('what the ticket allows', () => {
  test.each<[string, Partial<ArtifactLimits>, RegExp]>([
    ['a name that no pattern matches', { patterns: ['*.tgz', 'a'] }, /^b: not a name that was approved/],
    [
      'a file that was asked for by name and is not there',
      { patterns: ['**', 'c'] },
      /^c: approved, but not here/,
    ],
    ['one file too many', { maxCount: 1 }, /^b: one too many: 1 files were approved/],
    ['a file too large', { maxBytes: 1 }, /^b: 2 bytes; at most 1/],
    ['too much in all', { maxTotalBytes: 2 }, /^b: 3 bytes in all; 2 were approved/],
  ])('%s', async (_, limits, expected) => {
    put('a', '1');
    put('b', '22');
    await expect(names([base], [], { ...ANY, ...limits })).rejects.toEqual(refusedAs(expected));
  });
});

describe('the hint of a name that was not approved', () => {
  test('lists what was, and the base that would fit', async () => {
    put('dist/linux/hello-3.0.tar.gz');
    const limits = { ...ANY, patterns: ['hello-*.tar.gz', '*.deb'] };
    await expect(names([base], [], limits)).rejects.toEqual(
      refusedAs(
        /^dist\/linux/,
        `; approved: hello-*.tar.gz *.deb: --base ${join(base, 'dist/linux')} would fit`,
      ),
    );
  });

  test('no base where none would', async () => {
    put('dist/other');
    await expect(names([base], [], { ...ANY, patterns: ['*.deb'] })).rejects.toEqual(
      refusedAs('', /; approved: \*\.deb$/),
    );
  });
});

describe('wrong usage', () => {
  test.each([
    ['a path that is not there', 'nothing', 'no-such-file'],
    ['a path below a file', 'file/x', 'no-such-file'],
    ['a path outside the base', '..', 'outside-base'],
    ['a neighbour whose name starts with two dots is not outside', '..x', 'no-such-file'],
    ['nothing to attest', 'empty', 'no-artifacts'],
  ])('%s', async (_, path, code) => {
    put('file');
    mkdirSync(join(base, 'empty'));
    await expect(names([join(base, path)])).rejects.toMatchObject({ kind: 'usage', code });
  });

  test('a base that is not there', async () => {
    const places = { base: join(base, 'nothing'), paths: [put('x')], exclude: [] };
    await expect(findArtifacts(places, ANY)).rejects.toMatchObject({
      kind: 'usage',
      message: expect.stringContaining('the base'),
    });
  });
});
