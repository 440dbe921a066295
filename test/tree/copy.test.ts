import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { copyDurably } from '../../src/tree/copy.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'copy-'));
  await writeFile(join(root, 'secret'), 'secret');
});
afterEach(() => rm(root, { recursive: true }));

test('a file of more than one chunk is copied as it is, and never over another', async () => {
  const bytes = Buffer.alloc(3 * 1024 * 1024 + 1, 'some bytes');
  await writeFile(join(root, 'from'), bytes);
  await copyDurably(join(root, 'from'), join(root, 'to'));
  expect((await readFile(join(root, 'to'))).equals(bytes)).toBe(true);
  await expect(copyDurably(join(root, 'from'), join(root, 'secret'))).rejects.toMatchObject({ code: 'disk' });
  expect(await readFile(join(root, 'secret'), 'utf8')).toBe('secret');
});

test.each<[string, (path: string) => unknown]>([
  ['a symlink to a secret', (path) => symlink('secret', path)],
  ['a FIFO', (path) => execFileSync('mkfifo', [path])],
  ['a directory', (path) => mkdir(path)],
  ['nothing', () => {}],
])('%s is not followed, waited for or copied', async (_, put) => {
  await put(join(root, 'from'));
  const copied = copyDurably(join(root, 'from'), join(root, 'to'));
  await expect(copied).rejects.toMatchObject({ kind: 'unable', code: 'missing' });
  expect(await readdir(root)).not.toContain('to');
});
