import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hashArtifact, readSubject } from '../../src/builder/hash.ts';
import { toArtifactName } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';

const name = toArtifactName('artifact', 'test');
const CHANGED = { kind: 'refused', code: 'artifact-changed', message: expect.stringContaining('artifact') };
let directory = '';
let path = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cs-hash-'));
  path = join(directory, 'artifact');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('one pass over a file', () => {
  test.each([0, 1, 1024 * 1024, 3 * 1024 * 1024 + 7])('of %i bytes', async (size) => {
    const bytes = Buffer.alloc(size, 'abcdefg');
    writeFileSync(path, bytes);
    const seen: number[] = [];
    expect(await hashArtifact({ name, path }, (done) => seen.push(done))).toEqual({
      name,
      sha256: sha256Hex(bytes),
      size,
    });
    expect(seen.at(-1) ?? 0).toBe(size);
  });

  test('it can be stopped', async () => {
    writeFileSync(path, Buffer.alloc(4 * 1024 * 1024));
    const controller = new AbortController();
    const reason = new Error('stopped');
    await expect(
      hashArtifact({ name, path }, () => controller.abort(reason), controller.signal),
    ).rejects.toBe(reason);
  });
});

describe('a file that changes while it is read is noticed', () => {
  // the first report comes after the first of several chunks
  const duringRead = (change: () => void): Promise<unknown> => {
    writeFileSync(path, Buffer.alloc(3 * 1024 * 1024));
    let first = true;
    return hashArtifact({ name, path }, () => {
      if (first) change();
      first = false;
    });
  };

  test.each([
    ['it grows', () => appendFileSync(path, 'more')],
    ['it shrinks', () => truncateSync(path, 2 * 1024 * 1024)],
    [
      'it is written in place, at the same length',
      () => writeFileSync(path, Buffer.alloc(3 * 1024 * 1024, 1)),
    ],
    [
      'another file is renamed over it',
      () => {
        writeFileSync(`${path}.new`, Buffer.alloc(3 * 1024 * 1024));
        renameSync(`${path}.new`, path);
      },
    ],
    ['it is removed', () => rmSync(path)],
  ])('%s', async (_, change) => {
    await expect(duringRead(change)).rejects.toMatchObject(CHANGED);
  });

  test.each([
    ['a symlink', () => symlinkSync('/etc/hostname', path)],
    ['a FIFO, without waiting for its writer', () => execFileSync('mkfifo', [path])],
    ['nothing', () => {}],
  ])('%s stands there now', async (_, place) => {
    place();
    await expect(hashArtifact({ name, path })).rejects.toMatchObject(CHANGED);
  });
});

describe('reading again for the upload', () => {
  const subjectOf = (bytes: Buffer) => ({ name, sha256: sha256Hex(bytes), size: bytes.length });

  test.each([0, 5, 2 * 1024 * 1024 + 1])('gives the same %i bytes', async (size) => {
    const bytes = Buffer.alloc(size, 'xyz');
    writeFileSync(path, bytes);
    expect((await buffer(readSubject(path, subjectOf(bytes)))).equals(bytes)).toBe(true);
  });

  test('never gives all of a file that is another now', async () => {
    const signed = Buffer.alloc(2 * 1024 * 1024, 'a');
    const now = Buffer.from(signed);
    now[now.length - 1] = 0;
    writeFileSync(path, now);
    const got: Buffer[] = [];
    const read = async (): Promise<void> => {
      for await (const chunk of readSubject(path, subjectOf(signed))) got.push(chunk as Buffer);
    };
    await expect(read()).rejects.toMatchObject(CHANGED);
    expect(Buffer.concat(got).length).toBeLessThan(signed.length);
  });
});
