import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packTar, tarEntries } from '../../src/tree/tar.ts';

const LIMITS = { files: 100, fileBytes: 100_000, bytes: 200_000 };
const LONG = `${'directory/'.repeat(7)}${'n'.repeat(180)}`;

type Files = { name: string; bytes: Buffer }[];

/** Reads a tar whose bytes come in pieces of any size. */
async function unpack(tar: Buffer, piece = tar.length, limits = LIMITS): Promise<Files> {
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let at = 0; at < tar.length; at += piece) yield tar.subarray(at, at + piece);
  }
  const files: Files = [];
  for await (const file of tarEntries(pieces(), limits)) files.push(file);
  return files;
}

const file = (name: string, text = 'text'): Files[number] => ({ name, bytes: Buffer.from(text) });

/** A header block changed by hand, with a checksum that is right again. */
function forge(tar: Buffer, change: (header: Buffer) => void, at = 0): Buffer {
  const forged = Buffer.from(tar);
  const header = forged.subarray(at, at + 512);
  change(header);
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return forged;
}

test('what is packed is unpacked, whatever the names, the bytes and the pieces they come in', async () => {
  const name = fc.stringMatching(/^[A-Za-z0-9_+~@=/é.-]{1,300}$/);
  const content = fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes));
  const files = fc.array(fc.record({ name, bytes: content }), { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(files, fc.integer({ min: 1, max: 3000 }), async (some, piece) => {
      expect(await unpack(packTar(some), piece)).toEqual(some);
    }),
  );
});

describe('the tar of others', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'tar-'));
    mkdirSync(join(directory, LONG, '..'), { recursive: true });
    writeFileSync(join(directory, LONG), 'long');
    writeFileSync(join(directory, 'short'), 'short');
    writeFileSync(join(directory, 'empty'), '');
    writeFileSync(join(directory, 'holes'), '');
    truncateSync(join(directory, 'holes'), 1_000_000);
    symlinkSync('short', join(directory, 'link'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));
  const gnuTar = (...args: string[]): Buffer => execFileSync('tar', ['-C', directory, '-c', ...args]);

  test.each(['gnu', 'pax', 'posix', 'oldgnu', 'ustar'])('GNU tar, format %s, is read', async (format) => {
    const long = format === 'ustar' ? [] : [file(LONG, 'long')];
    const names = ['short', 'empty', ...long.map(({ name }) => name)];
    expect(await unpack(gnuTar(`--format=${format}`, ...names))).toEqual([
      file('short', 'short'),
      file('empty', ''),
      ...long,
    ]);
  });

  test('a ustar name in two parts is put together', async () => {
    const name = `${'d'.repeat(100)}/${'n'.repeat(90)}`;
    mkdirSync(join(directory, 'd'.repeat(100)));
    writeFileSync(join(directory, name), 'two parts');
    expect(await unpack(gnuTar('--format=ustar', name))).toEqual([file(name, 'two parts')]);
  });

  test('GNU tar reads ours', () => {
    const tar = packTar([file('short', 'short'), file(LONG, 'long')]);
    const names = execFileSync('tar', ['-t'], { input: tar, encoding: 'utf8' });
    expect(names.trim().split('\n')).toEqual(['short', LONG]);
    expect(execFileSync('tar', ['-xO', LONG], { input: tar, encoding: 'utf8' })).toBe('long');
  });

  test.each([
    ['a symbolic link', ['link']],
    ['a directory', ['directory']],
    ['a name for all that follows', ['--format=pax', '--pax-option=path=evil', 'short']],
    ['a sparse file', ['--format=pax', '--sparse', 'holes']],
    ['a size beside the header', ['--format=pax', '--pax-option=size:=7', 'short']],
    ['a format without its magic', ['--format=v7', 'short']],
  ])('%s is refused', async (_what, args) => {
    await expect(unpack(gnuTar(...args))).rejects.toMatchObject({ kind: 'refused', code: 'tar-malformed' });
  });
});

describe('a bad tar is refused', () => {
  const good = packTar([file('a'), file('b')]);
  const long = packTar([file(LONG)]);
  const bad: [string, Buffer][] = [
    ['nothing', Buffer.alloc(0)],
    ['a header cut off', good.subarray(0, 100)],
    ['a file cut off', good.subarray(0, 514)],
    ['its end missing', good.subarray(0, 2048)],
    ['half of its end missing', good.subarray(0, 2560)],
    ['bytes after its end', Buffer.concat([good, Buffer.from('x')])],
    ['a second tar after its end', Buffer.concat([good, good])],
    ['a wrong checksum', Buffer.concat([Buffer.from('b'), good.subarray(1)])],
    [
      'padding with something in it',
      Buffer.concat([good.subarray(0, 1000), Buffer.from('x'), good.subarray(1001)]),
    ],
    ['a size that is no number', forge(good, (header) => header.write('0000000000z', 124))],
    ['a negative size', forge(good, (header) => header.write('-0000000004', 124))],
    ['a size in binary', forge(good, (header) => header.writeUInt8(0x80, 124))],
    ['a hard link', forge(good, (header) => header.write('1', 156))],
    ['a FIFO', forge(good, (header) => header.write('6', 156))],
    ['NUL inside a name', forge(good, (header) => header.write('a\0b', 0))],
    ['a name that is not UTF-8', forge(good, (header) => header.writeUInt8(0xff, 0))],
    ['a long name without a file', Buffer.concat([long.subarray(0, 1024), Buffer.alloc(1024)])],
    ['two long names for a file', Buffer.concat([long.subarray(0, 1024), long])],
    ['an endless long name', forge(long, (header) => header.write('77777777777', 124))],
    ['a pax record too short', Buffer.concat([long.subarray(0, 512), Buffer.from('9'), long.subarray(513)])],
  ];
  test.each(bad)('%s', async (_what, tar) => {
    await expect(unpack(tar)).rejects.toMatchObject({ kind: 'refused', code: 'tar-malformed' });
  });

  test.each([
    ['too many files', { ...LIMITS, files: 1 }],
    ['a file too large', { ...LIMITS, fileBytes: 3 }],
    ['too much in all', { ...LIMITS, bytes: 7 }],
  ])('%s', async (_what, limits) => {
    await expect(unpack(good, 512, limits)).rejects.toMatchObject({ code: 'tar-too-large' });
  });

  test('a size far over the limit is not waited for', async () => {
    const tar = forge(good, (header) => header.write('77777777777', 124));
    await expect(unpack(tar)).rejects.toMatchObject({ code: 'tar-too-large' });
  });
});
