/** The words of records: what is taken, and the look-alikes that are not. */
import { describe, expect, test } from 'vitest';
import {
  decodeBase64Strict,
  decodeBase64Url,
  isBuildId,
  isFingerprint,
  isProjectName,
  isSha256,
  isSlot,
  isTimestamp,
  isVersion,
  newBuildId,
  timestamp,
  timestampDate,
  toBuildId,
  toFingerprint,
  toProjectName,
  toSha256,
  toSlot,
  toTimestamp,
  toVersion,
} from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { refusalOf } from '../harness/failure.ts';

const words = [
  {
    word: 'build id',
    is: isBuildId,
    to: toBuildId,
    good: ['01jd9v7q3m4n5p6r7s8t9vwxyz', '00000000000000000000000000', '7zzzzzzzzzzzzzzzzzzzzzzzzz'],
    bad: [
      '01JD9V7Q3M4N5P6R7S8T9VWXYZ',
      '80000000000000000000000000',
      '01jd9v7q3m4n5p6r7s8t9vwxyu',
      '0'.repeat(25),
    ],
  },
  {
    word: 'project',
    is: isProjectName,
    to: toProjectName,
    good: ['a', '0', 'hello', 'lib.so-2_x', 'a..b', 'a'.repeat(64)],
    bad: ['', 'Hello', '.a', '-a', '_a', '..', 'a/b', 'a b', 'a+b', 'ä', 'a'.repeat(65)],
  },
  {
    word: 'version',
    is: isVersion,
    to: toVersion,
    good: ['1', '1.0', 'v1.0', '9..1', '1.0~rc1+dfsg_2-3', 'A'.repeat(64)],
    bad: ['', '.1', '-1', '~1', '..', '1/2', '1:2', '1 2', '1\n', '1%2f', '１', '1'.repeat(65)],
  },
  {
    word: 'slot',
    is: isSlot,
    to: toSlot,
    good: ['b1', '1', 'debian-amd64', 'constructor', 'a'.repeat(32)],
    bad: ['', 'B1', '-b', 'b_1', 'b.1', 'b/1', '__proto__', 'a'.repeat(33)],
  },
  {
    word: 'SHA-256',
    is: isSha256,
    to: toSha256,
    good: [sha256Hex(''), '0'.repeat(64)],
    bad: ['', '0'.repeat(63), '0'.repeat(65), 'A'.repeat(64), `${'0'.repeat(63)}g`, `0x${'0'.repeat(62)}`],
  },
  {
    word: 'fingerprint',
    is: isFingerprint,
    to: toFingerprint,
    good: ['0123456789ABCDEF0123456789ABCDEF01234567'],
    bad: [
      '',
      'a'.repeat(40),
      'A'.repeat(39),
      'A'.repeat(64),
      '0123 4567 89AB CDEF 0123  4567 89AB CDEF 0123 4567',
    ],
  },
  {
    word: 'timestamp',
    is: isTimestamp,
    to: toTimestamp,
    good: ['2026-11-22T12:00:00Z', '2024-02-29T23:59:59Z', '0000-01-01T00:00:00Z', '9999-12-31T23:59:59Z'],
    bad: [
      '2026-02-30T00:00:00Z',
      '2025-02-29T00:00:00Z',
      '2026-13-01T00:00:00Z',
      '2026-00-10T00:00:00Z',
      '2026-01-00T00:00:00Z',
      '2026-11-22T24:00:00Z',
      '2026-11-22T12:60:00Z',
      '2026-12-31T23:59:60Z',
      '2026-11-22T12:00:00.000Z',
      '2026-11-22T12:00:00+00:00',
      '2026-11-22 12:00:00Z',
      '2026-11-22T12:00Z',
      '20261122T120000Z',
      '+02026-11-22T12:00:00Z',
      '2026-11-22',
    ],
  },
];

describe.each(words)('$word', ({ is, to, good, bad }) => {
  test.each(good)('%s', (text) => {
    expect(is(text)).toBe(true);
    expect(to(text, 'here')).toBe(text);
  });

  test.each([
    ...bad,
    `${good[0]}\n`,
    ` ${good[0]}`,
    `${good[0]}\0`,
    null,
    5,
    undefined,
    {},
    [good[0]],
    Object('b1'),
  ])('not %j', (value) => {
    if (typeof value === 'string') expect(is(value)).toBe(false);
    expect(refusalOf(() => to(value, 'here')).message).toMatch(/^here: not a /);
  });
});

describe('build ids', () => {
  test('begin as the ULIDs of others do', () => {
    // README of github.com/ulid/javascript: ulid(1469918176385) is 01ARYZ6S41TSV4RRFFQ69G5FAV.
    const id = newBuildId(new Date(1_469_918_176_385), Buffer.alloc(10));
    expect(id).toBe('01aryz6s410000000000000000');
  });

  test('sort by the time they were made, and hold every random bit', () => {
    const moments = [0, 1, 1023, 1024, 1_763_812_800_000, 2 ** 48 - 1];
    const ids = moments.map((time) => newBuildId(new Date(time), Buffer.alloc(10, 0xff)));
    expect(ids.toSorted()).toEqual(ids);
    expect(ids.at(-1)).toBe('7'.padEnd(26, 'z'));
    expect(ids[0]).toBe('0000000000zzzzzzzzzzzzzzzz');
  });

  test('are made of a time and ten bytes', () => {
    expect(() => newBuildId(new Date(0), Buffer.alloc(9))).toThrow(RangeError);
    expect(() => newBuildId(new Date(-1), Buffer.alloc(10))).toThrow(RangeError);
    expect(() => newBuildId(new Date(NaN), Buffer.alloc(10))).toThrow(RangeError);
  });
});

describe('times', () => {
  test('are cut to the second, and come back', () => {
    const time = timestamp(new Date('2026-11-22T12:00:00.999Z'));
    expect(time).toBe('2026-11-22T12:00:00Z');
    expect(timestampDate(time).toISOString()).toBe('2026-11-22T12:00:00.000Z');
  });

  test('have four digits for the year', () => {
    expect(() => timestamp(new Date(253_402_300_800_000))).toThrow(RangeError);
    expect(() => timestamp(new Date(NaN))).toThrow(RangeError);
  });
});

describe('base64', () => {
  test.each(['', 'YQ==', 'YWI=', 'YWJj', '+/+/'])('%j is canonical', (text) => {
    expect(decodeBase64Strict(text, 'here').toString('base64')).toBe(text);
  });

  test.each(['', 'YQ', 'YWI', 'YWJj', '-_-_'])('%j is canonical base64url', (text) => {
    expect(decodeBase64Url(text, 'here').toString('base64url')).toBe(text);
  });

  test.each(['YQ', 'YQ=', 'YQ===', 'YR==', 'Y Q==', 'YQ==\n', '-_-_', 'Y!Q==', '=', 'YQ==YQ==', null, 5])(
    '%j is not',
    (value) => {
      const error = refusalOf(() => decodeBase64Strict(value, 'here'));
      expect(error.message).toBe('here: not canonical base64');
    },
  );

  test.each(['YQ==', 'YR', 'A', '+/+/', 'YQ\n', 'Y.Q', undefined])('%j is not base64url', (value) => {
    expect(refusalOf(() => decodeBase64Url(value, 'here')).message).toBe('here: not canonical base64url');
  });
});
