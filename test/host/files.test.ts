import { execFileSync } from 'node:child_process';
import { mkdtemp, open, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { appendDurably, createOnce, makeDirectory, readFileBounded } from '../../src/host/files.ts';
import { writeFileDurably } from '../../src/host/files.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'files-'));
});
afterEach(() => rm(directory, { recursive: true }));

const at = (name: string): string => join(directory, name);
const text = (words: string): Buffer => Buffer.from(words);

describe('reading', () => {
  test('gives the bytes, or null where there is no file', async () => {
    await writeFile(at('here'), 'bytes');
    expect(await readFileBounded(at('here'), 5)).toEqual(text('bytes'));
    expect(await readFileBounded(at('missing'), 5)).toBeNull();
    expect(await readFileBounded(at('here/below'), 5)).toBeNull();
  });

  test('stops at the bound', async () => {
    await writeFile(at('six'), '123456');
    await expect(readFileBounded(at('six'), 5)).rejects.toMatchObject({ kind: 'unable', code: 'too-large' });
  });

  test('a FIFO, a directory or a device is no file, and none of them hangs', async () => {
    execFileSync('mkfifo', [at('fifo')]);
    for (const path of [at('fifo'), directory, '/dev/zero']) {
      await expect(readFileBounded(path, 5)).rejects.toMatchObject({ code: 'not-a-file' });
    }
  });
});

describe('replacing', () => {
  test('leaves the new bytes, the asked mode and nothing else', async () => {
    await writeFileDurably(at('file'), text('old'), 0o644);
    await writeFileDurably(at('file'), text('new'), 0o600);
    expect(await readFile(at('file'), 'utf8')).toBe('new');
    expect((await stat(at('file'))).mode & 0o777).toBe(0o600);
    expect(await readdir(directory)).toEqual(['file']);
  });

  test('says which file could not be written, as a fault of the disk', async () => {
    const writing = writeFileDurably(at('missing/file'), text('x'), 0o644);
    await expect(writing).rejects.toMatchObject({ kind: 'unable', code: 'disk' });
    await expect(writing).rejects.toThrow('missing/file');
  });
});

describe('writing once', () => {
  test('the same bytes again are the same, other bytes never replace', async () => {
    expect(await createOnce(at('file'), text('first'))).toBe('new');
    expect(await createOnce(at('file'), text('first'))).toBe('same');
    for (const other of ['other', 'firs', 'first and more', '']) {
      await expect(createOnce(at('file'), text(other))).rejects.toMatchObject({
        kind: 'refused',
        code: 'conflict',
      });
    }
    expect(await readFile(at('file'), 'utf8')).toBe('first');
    expect(await readdir(directory)).toEqual(['file']);
  });

  test('of many writers at once one is first, and the others agree with it', async () => {
    const written = await Promise.all(
      Array.from({ length: 20 }, () => createOnce(at('file'), text('bytes'))),
    );
    expect(written.filter((how) => how === 'new')).toHaveLength(1);
  });

  test('a link in its place is not followed', async () => {
    await writeFile(at('elsewhere'), 'bytes');
    await symlink(at('elsewhere'), at('file'));
    await expect(createOnce(at('file'), text('bytes'))).rejects.toMatchObject({ code: 'disk' });
  });

  test('files over one comparing step differ in their last byte', async () => {
    const big = Buffer.alloc(2_500_000, 7);
    await createOnce(at('big'), big);
    expect(await createOnce(at('big'), big)).toBe('same');
    big[big.length - 1] = 8;
    await expect(createOnce(at('big'), big)).rejects.toMatchObject({ code: 'conflict' });
  });
});

test('directories are made with all above them, and twice is as good as once', async () => {
  await makeDirectory(at('a/b/c'), 0o700);
  await makeDirectory(at('a/b/c'), 0o700);
  expect((await stat(at('a/b/c'))).mode & 0o777).toBe(0o700);
});

test('appending adds to the end', async () => {
  const file = await open(at('journal'), 'a');
  await appendDurably(file, text('one\n'));
  await appendDurably(file, text('two\n'));
  await file.close();
  expect(await readFile(at('journal'), 'utf8')).toBe('one\ntwo\n');
});
