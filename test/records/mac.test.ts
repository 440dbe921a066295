/** The MAC of scheme `mac`: as the protocol writes it, as openssl computes it, and nothing near it. */
import { execFileSync } from 'node:child_process';
import { createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isMac, MAC_FILE_BYTES, macOf } from '../../src/records/mac.ts';
import type { MacPurpose } from '../../src/records/mac.ts';
import { toBuildId, toSlot } from '../../src/records/names.ts';
import { sharedVectors } from '../harness/vectors.ts';

const build = toBuildId('01jd9v7q3m4n5p6r7s8t9vwxyz', 'test');
const slot = toSlot('b1', 'test');
const nonce = Buffer.from(Array.from({ length: 32 }, (_, at) => at));
const key = { purpose: 'statement', nonce, build, slot } as const;
const bytes = Buffer.from('{"a":1}');
const good = macOf(key, bytes);

const openssl = (input: Buffer, ...args: string[]): Buffer =>
  execFileSync('openssl', args, { input, stdio: ['pipe', 'pipe', 'pipe'] });

/** As protocol §2 says it, by openssl alone. */
function opensslMac(purpose: MacPurpose, secret: Buffer, data: Buffer, of: { build: string; slot: string }) {
  const info = [`countersign/${purpose}-mac/v1`, of.build, of.slot]
    .map((part) => part.length.toString(16).padStart(4, '0') + Buffer.from(part).toString('hex'))
    .join('');
  const hex = (name: string, value: string): string[] => ['-kdfopt', `hex${name}:${value}`];
  const options = ['-keylen', '32', '-kdfopt', 'digest:SHA256', ...hex('key', secret.toString('hex'))];
  // RFC 5869: no salt is one of 32 zero bytes
  const salt = hex('salt', '00'.repeat(32));
  const derived = openssl(
    Buffer.alloc(0),
    'kdf',
    ...options,
    ...salt,
    ...hex('info', info),
    '-binary',
    'HKDF',
  );
  const macKey = ['-digest', 'SHA256', '-macopt', `hexkey:${derived.toString('hex')}`];
  return `${openssl(data, 'mac', ...macKey, '-binary', 'HMAC').toString('base64')}\n`;
}

describe('the MAC of some bytes', () => {
  // Made with openssl kdf and openssl mac as above, and once more with hmac and hashlib of Python.
  test('is for ever what it was', () => {
    expect(good.toString()).toBe('0y7dh+8XWuoOydfWTB7Ql8QzHQeV+YB5ZgHujQHUST8=\n');
    expect(macOf({ ...key, purpose: 'enrolment' }, bytes).toString()).toBe(
      '/2k47SQ9ceCV9T/jFta7VzEuq0olCYInPlh3EIsID9E=\n',
    );
    expect(good).toHaveLength(MAC_FILE_BYTES);
  });

  test('is what openssl makes of them', () => {
    for (const [purpose, name, size] of [
      ['statement', 'b2', 0],
      ['enrolment', '0-linux-x64', 1],
      ['statement', 'a'.repeat(32), 100_000],
    ] as const) {
      const [secret, data] = [randomBytes(32), randomBytes(size)];
      const of = { build, slot: toSlot(name, 'test') };
      expect(macOf({ purpose, nonce: secret, ...of }, data).toString()).toBe(
        opensslMac(purpose, secret, data, of),
      );
    }
  });

  test('is taken, and nothing else is: another nonce, build, slot or purpose, other bytes', () => {
    expect(isMac(good, key, bytes)).toBe(true);
    const others = [
      { ...key, nonce: Buffer.alloc(32) },
      { ...key, nonce: Buffer.from(nonce).reverse() },
      { ...key, build: toBuildId('01jd9v7q3m4n5p6r7s8t9vwxz0', 'test') },
      { ...key, slot: toSlot('b2', 'test') },
      { ...key, slot: toSlot('b', 'test') },
      { ...key, purpose: 'enrolment' as const },
    ];
    for (const other of others) {
      expect(isMac(good, other, bytes)).toBe(false);
      expect(isMac(macOf(other, bytes), key, bytes)).toBe(false);
    }
    for (const more of ['', '{"a":1} ', '{"a":2}', '{"a":1}\n'])
      expect(isMac(good, key, Buffer.from(more))).toBe(false);
  });

  test('any bit of it, of the nonce or of the bytes turned over: none', () => {
    const flips = (whole: Buffer) =>
      Array.from({ length: whole.length * 8 }, (_, bit) => {
        const flipped = Buffer.from(whole);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        return flipped;
      });
    expect(flips(good).filter((file) => isMac(file, key, bytes))).toEqual([]);
    expect(flips(nonce).filter((other) => isMac(good, { ...key, nonce: other }, bytes))).toEqual([]);
    expect(flips(bytes).filter((other) => isMac(good, key, other))).toEqual([]);
  });

  test('is written in one way', () => {
    const text = good.toString();
    const raw = Buffer.from(text, 'base64');
    for (const file of [
      ...['', '\n', text.trimEnd(), `${text}\n`, ` ${text}`, text.replace('\n', '\r\n')],
      ...[text.replace('=', ''), text.replace('+', '-'), text.replace('8=', '9='), text.toLowerCase()],
      ...[raw.toString('hex'), `${raw.toString('base64url')}\n`, `${text.slice(0, 4)}\n${text.slice(4)}`],
    ])
      expect(isMac(Buffer.from(file), key, bytes), JSON.stringify(file)).toBe(false);
    expect(isMac(raw, key, bytes)).toBe(false);
  });

  test('can not be made of what everybody knows: the digest of the nonce, or nothing', () => {
    const digest = createHash('sha256').update(nonce).digest();
    expect(isMac(macOf({ ...key, nonce: digest }, bytes), key, bytes)).toBe(false);
    const hmac = (secret: Buffer) => `${createHmac('sha256', secret).update(bytes).digest('base64')}\n`;
    for (const secret of [digest, Buffer.alloc(0), Buffer.from(digest.toString('hex')), nonce])
      expect(isMac(Buffer.from(hmac(secret)), key, bytes)).toBe(false);
  });

  test.each([0, 1, 16, 31, 33, 64])('has no nonce of %d bytes', (length) => {
    const wrong = { ...key, nonce: Buffer.alloc(length) };
    expect(() => macOf(wrong, bytes)).toThrow(RangeError);
    expect(() => isMac(good, wrong, bytes)).toThrow(RangeError);
  });

  test('leaves the nonce as it was', () => {
    expect(nonce).toEqual(Buffer.from(Array.from({ length: 32 }, (_, at) => at)));
  });
});

interface Vectors<Test> {
  readonly testGroups: readonly { readonly tagSize: number; readonly tests: readonly Test[] }[];
}
type Result = { readonly tcId: number; readonly result: 'valid' | 'invalid' };
type Hmac = Result & { readonly key: string; readonly msg: string; readonly tag: string };
type Hkdf = Result & Readonly<Record<'ikm' | 'salt' | 'info' | 'okm', string>> & { readonly size: number };

const { directory, skipped } = sharedVectors('wycheproof', 2);
const hex = (text: string): Buffer => Buffer.from(text, 'hex');

describe.skipIf(skipped)('Wycheproof: what Node computes is', () => {
  const read = (name: string): unknown => JSON.parse(readFileSync(join(directory, name), 'utf8'));

  test('HMAC-SHA-256', () => {
    const { testGroups } = read('hmac_sha256_test.json') as Vectors<Hmac>;
    const cases = testGroups.flatMap(({ tagSize, tests }) => tests.map((each) => ({ tagSize, ...each })));
    const wrong = cases.filter(({ tagSize, key: secret, msg, tag, result }) => {
      const mac = createHmac('sha256', hex(secret)).update(hex(msg)).digest();
      return mac.subarray(0, tagSize / 8).equals(hex(tag)) !== (result === 'valid');
    });
    expect(wrong.map(({ tcId }) => tcId)).toEqual([]);
    expect(cases.length).toBeGreaterThan(150);
  });

  test('HKDF-SHA-256', () => {
    const { testGroups } = read('hkdf_sha256_test.json') as Vectors<Hkdf>;
    const derive = ({ ikm, salt, info, size }: Hkdf): string => {
      try {
        return Buffer.from(hkdfSync('sha256', hex(ikm), hex(salt), hex(info), size)).toString('hex');
      } catch {
        return 'none';
      }
    };
    const cases = testGroups.flatMap(({ tests }) => tests);
    const wrong = cases.filter((each) => (derive(each) === each.okm) !== (each.result === 'valid'));
    expect(wrong.map(({ tcId }) => tcId)).toEqual([]);
    expect(cases.length).toBeGreaterThan(80);
  });
});
