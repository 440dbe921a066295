/** The paths and files of tlog-tiles: one way to write each, and nothing else is one. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { leafHash, treeRoot } from '../../src/tlog/merkle.ts';
import {
  bundleEntries,
  bundlePath,
  encodeBundle,
  isLogPath,
  parseTile,
  perfectRoot,
  tilePath,
  tileWidth,
} from '../../src/tlog/tile.ts';
import { refusalOf } from '../harness/failure.ts';

const index = fc.oneof(fc.nat(3_000_000), fc.maxSafeNat());
const width = fc.integer({ min: 1, max: 256 });

describe('paths', () => {
  test('are those of the specification', () => {
    expect(tilePath(0, 1_234_067)).toBe('tile/0/x001/x234/067');
    expect(tilePath(3, 0, 17)).toBe('tile/3/000.p/17');
    expect(bundlePath(999)).toBe('tile/entries/999');
    expect(bundlePath(1000, 255)).toBe('tile/entries/x001/000.p/255');
  });

  test('each that is written is one', () => {
    fc.assert(
      fc.property(fc.nat(63), index, width, (level, at, wide) => {
        expect(isLogPath(tilePath(level, at, wide))).toBe(true);
        expect(isLogPath(bundlePath(at, wide))).toBe(true);
      }),
    );
    expect(isLogPath('checkpoint')).toBe(true);
  });

  test.each([
    '',
    'tile',
    'tile/',
    'tile/0',
    'tile/0/',
    'tile/0/1',
    'tile/0/1000',
    'tile/0/x1/002',
    'tile/0/x001',
    'tile/0/x001/x002',
    'tile/0/x000/001',
    'tile/0/001/002',
    'tile/0/001.p',
    'tile/0/001.p/',
    'tile/0/001.p/0',
    'tile/0/001.p/01',
    'tile/0/001.p/256',
    'tile/0/001.p/1000',
    'tile/0/001.p/1/2',
    'tile/00/001',
    'tile/-1/001',
    'tile/64/001',
    'tile/100/001',
    'tile/x/001',
    'tile/entries/1',
    'tile/entries/x000/000',
    'tile/entries/001.p/256',
    'tile/Entries/001',
    'tile/0/../checkpoint',
    'tile/0/x999/x999/x999/x999/x999/x999/999',
    'tile//001',
    '/tile/0/001',
    'tile/0/001/',
    'tile/0/001\n',
    'tile/0/٠٠١',
    'checkpoint/',
    'checkpoint.0',
    'Checkpoint',
  ])('%j is none', (path) => {
    expect(isLogPath(path)).toBe(false);
  });
});

test('a tile is as wide as the specification says', () => {
  // its example: 70,000 entries
  expect([tileWidth(0, 272, 70_000), tileWidth(0, 273, 70_000)]).toEqual([256, 112]);
  expect([tileWidth(1, 0, 70_000), tileWidth(1, 1, 70_000), tileWidth(2, 0, 70_000)]).toEqual([256, 17, 1]);
  expect([tileWidth(0, 0, 256), tileWidth(0, 1, 256), tileWidth(1, 0, 256)]).toEqual([256, 0, 1]);
  expect(tileWidth(3, 0, 70_000)).toBe(0);
});

test('a tile is 1 to 256 hashes', () => {
  for (const bytes of [0, 1, 31, 33, 257 * 32])
    expect(refusalOf(() => parseTile(Buffer.alloc(bytes))).code).toBe('tile-malformed');
  expect(parseTile(Buffer.alloc(256 * 32))).toHaveLength(256);
});

test('the root over a complete tile is that of the tree over its hashes; of other numbers there is none', () => {
  const hashes = Array.from({ length: 256 }, (_, at) => leafHash(Buffer.of(at)));
  for (const count of [1, 2, 4, 64, 256])
    expect(perfectRoot(hashes.slice(0, count))).toEqual(treeRoot(hashes.slice(0, count)));
  for (const count of [0, 3, 255]) expect(() => perfectRoot(hashes.slice(0, count))).toThrow(RangeError);
});

describe('bundles', () => {
  const entries = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 });

  test('hold what was put in', () => {
    fc.assert(
      fc.property(entries, (some) => {
        const back = [...bundleEntries(encodeBundle(some))];
        expect(back).toEqual(some.map((bytes) => Buffer.from(bytes)));
      }),
    );
    const long = Buffer.alloc(65_535, 1);
    expect([...bundleEntries(encodeBundle([long]))]).toEqual([long]);
    expect(() => encodeBundle([Buffer.alloc(65_536)])).toThrow(RangeError);
  });

  test('one that is cut off gives the entries before, and says which is not whole', () => {
    const bundle = encodeBundle([Buffer.from('one'), Buffer.from('two')]);
    for (let end = 0; end < bundle.length; end++) {
      const found: Buffer[] = [];
      const read = () => {
        for (const entry of bundleEntries(bundle.subarray(0, end))) found.push(entry);
      };
      if (end === 0 || end === 5) read();
      else expect(refusalOf(read).message).toContain(`entry ${end < 5 ? 0 : 1} of it`);
      expect(found).toHaveLength(end < 5 ? 0 : 1);
    }
  });
});
