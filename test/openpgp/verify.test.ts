/** Our own verifier on signatures of each kind of key, beside what gpgv says about the same files. */
import { describe, expect, test } from 'vitest';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import { withoutLeadingZeros } from '../../src/openpgp/packet.ts';
import { SignaturePass } from '../../src/openpgp/pass.ts';
import { encodeSignature, hashedPart } from '../../src/openpgp/signature.ts';
import type { HashName } from '../../src/openpgp/signature.ts';
import { beginVerify, verifyDetached } from '../../src/openpgp/verify.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { craftKey, craftSignature, nowSeconds, signBytes } from '../harness/craft.ts';
import type { CraftKind, CraftOptions } from '../harness/craft.ts';
import { craftCertificate } from '../harness/craft-certificate.ts';
import { gpgvAccepts } from '../harness/gpgv-accepts.ts';

const now = new Date();
const hourAgo = nowSeconds() - 3600;
const data = Buffer.from('what is signed\n');
const someone = craftKey('ed25519', hourAgo);

/** A number with `order` added: equal to it for a verifier that only reduces. */
function plus(number: Buffer, addend: Buffer): Buffer {
  const sum = BigInt(`0x${number.toString('hex')}`) + BigInt(`0x${addend.toString('hex')}`);
  const digits = sum.toString(16);
  return Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
}

describe.each<[CraftKind, HashName[]]>([
  ['ed25519', ['sha256', 'sha384', 'sha512']],
  ['rsa2048', ['sha256', 'sha384', 'sha512']],
  ['p256', ['sha256', 'sha384', 'sha512']],
])('%s', (kind, hashes) => {
  const key = craftKey(kind, hourAgo);
  const binary = craftCertificate(key);
  const certificate = parseCertificate(binary);
  const verdict = (signature: Buffer, over = data) => verifyDetached(signature, over, certificate, now);

  test.each(hashes)('a good signature over %s', async (hash) => {
    const signature = craftSignature(key, data, { hash, created: hourAgo });
    const { fingerprint } = key;
    expect(verdict(signature)).toEqual({
      ok: true,
      primary: fingerprint,
      signingKey: fingerprint,
      created: hourAgo,
      hash,
    });
    expect(await gpgvAccepts(binary, signature, data)).toBe(true);
  });

  test('in one pass over pieces of any size: digest, size and verdict', () => {
    const large = Buffer.alloc(100_000, 'abc');
    const signature = craftSignature(key, large, { hash: 'sha512' });
    for (const size of [1, 63, 64, 65, 4096, large.length]) {
      const begun = beginVerify(signature, certificate, now);
      if (!('pass' in begun)) throw new Error(begun.reason);
      for (let at = 0; at < large.length; at += size) begun.pass.update(large.subarray(at, at + size));
      expect(begun.conclude()).toMatchObject({ ok: true, sha256: sha256Hex(large), size: large.length });
    }
  });

  test('nothing at all can be signed too', () => {
    expect(verdict(craftSignature(key, Buffer.alloc(0)), Buffer.alloc(0))).toMatchObject({ ok: true });
  });

  test.each<[string, Buffer, string]>([
    ['over other bytes', craftSignature(key, Buffer.from('something else')), 'signature-bad'],
    [
      'over the same bytes and one more',
      craftSignature(key, Buffer.concat([data, Buffer.alloc(1)])),
      'signature-bad',
    ],
    ['by somebody else', craftSignature(someone, data), 'signature-of-other-key'],
    [
      'dated a year ahead',
      craftSignature(key, data, { created: hourAgo + 31_536_000 }),
      'signature-from-future',
    ],
    ['dated before its key', craftSignature(key, data, { created: hourAgo - 1 }), 'signature-older-than-key'],
    ['in text mode', craftSignature(key, data, { type: 1 }), 'signature-malformed'],
  ])('a signature %s', (_, signature, code) => {
    expect(verdict(signature)).toMatchObject({ ok: false, code });
  });

  test('a clock that is a few minutes behind does not matter', () => {
    const signature = craftSignature(key, data, { created: nowSeconds() + 300 });
    expect(verdict(signature)).toMatchObject({ ok: true });
  });

  test('every change of its protected part or numbers is noticed', () => {
    const signature = craftSignature(key, data);
    const unhashed = 2 + 10 + 2;
    const start =
      signature.indexOf(Buffer.from(`${key.fingerprint}0000`, 'hex').subarray(0, 20)) + 20 + unhashed;
    for (let position = 2; position < signature.length; position += 1) {
      // The unprotected area and the digest's first octets say nothing that gpgv listens to.
      if (position >= start - unhashed && position < start) continue;
      const changed = Buffer.from(signature);
      changed.writeUInt8(changed.readUInt8(position) ^ 1, position);
      expect(verdict(changed), `octet ${position}`).toMatchObject({ ok: false });
    }
  });
});

test('what gpgv takes but no key can have made is refused by us: an RSA number with the modulus added', async () => {
  const key = craftKey('rsa2048', hourAgo);
  const binary = craftCertificate(key);
  const modulus = key.public.modulus ?? Buffer.alloc(0);
  // Where the sum needs another octet the number stays as it was: try until one fits.
  const seconds = Array.from({ length: 64 }, (_, offset) => hourAgo + offset);
  const stretch = (created: number): Buffer =>
    craftSignature(key, data, { created, numbers: (all) => all.map((number) => plus(number, modulus)) });
  let signature: Buffer | undefined;
  for (const candidate of seconds.map(stretch)) {
    if (await gpgvAccepts(binary, candidate, data)) signature = candidate;
    if (signature !== undefined) break;
  }
  if (signature === undefined) throw new Error('no such number fits into 2048 bits');
  expect(verifyDetached(signature, data, parseCertificate(binary), now)).toMatchObject({
    code: 'signature-malformed',
  });
});

test('a digest shorter than the numbers of its curve is refused, as gpgv refuses it', async () => {
  const key = craftKey('p384', hourAgo);
  const binary = craftCertificate(key, { userIds: [{ text: 'Ada', hash: 'sha384' }] });
  const certificate = parseCertificate(binary);
  const verdict = async (options: CraftOptions) => {
    const signature = craftSignature(key, data, options);
    const { ok } = verifyDetached(signature, data, certificate, now);
    expect(await gpgvAccepts(binary, signature, data)).toBe(ok);
    return ok;
  };
  expect(await verdict({ hash: 'sha384' })).toBe(true);
  expect(await verdict({ hash: 'sha512' })).toBe(true);
  expect(await verdict({ hash: 'sha256' })).toBe(false);
});

/** How a release is signed: one pass, a digest to the agent, its numbers checked and written as a packet. */
test.each<[CraftKind, HashName]>([
  ['ed25519', 'sha256'],
  ['ed25519', 'sha512'],
  ['rsa2048', 'sha256'],
  ['rsa2048', 'sha512'],
  ['p256', 'sha256'],
  ['p384', 'sha512'],
])('gpgv accepts a release signature that we write: %s, %s', async (kind, hash) => {
  const key = craftKey(kind, hourAgo);
  const binary = craftCertificate(key, { userIds: [{ text: 'Release', hash: 'sha512' }] });
  const { algorithmId, fingerprint: issuer } = key;
  const hashed = hashedPart({ algorithmId, hash, created: nowSeconds(), issuer });
  const pass = new SignaturePass(key.public, hash, hashed);
  pass.update(data);
  const { sha256, size, signatureDigest, check } = pass.finish();
  expect([sha256, size]).toEqual([sha256Hex(data), data.length]);

  const [prefix, numbers] = signBytes(
    key,
    hash,
    Buffer.concat([data, hashed, Buffer.from([4, 0xff, 0, 0, 0, hashed.length])]),
  );
  expect(prefix).toEqual(signatureDigest.subarray(0, 2));
  // Agents give numbers with or without leading zeros.
  expect(check(numbers.map(withoutLeadingZeros))).toBe(true);
  const signature = encodeSignature(hashed, signatureDigest, numbers);
  expect(await gpgvAccepts(binary, signature, data)).toBe(true);
  expect(verifyDetached(signature, data, parseCertificate(binary), now)).toMatchObject({ ok: true, hash });
});

test('numbers of the wrong count or size are no signature, and no error', () => {
  for (const kind of ['ed25519', 'rsa2048', 'p256'] as const) {
    const key = craftKey(kind, hourAgo);
    for (const mpis of [
      [],
      [Buffer.alloc(0)],
      [Buffer.alloc(300, 1)],
      [Buffer.alloc(32, 1), Buffer.alloc(0), Buffer.alloc(1)],
    ]) {
      const pass = new SignaturePass(key.public, 'sha256', Buffer.alloc(6));
      expect(pass.finish().check(mpis)).toBe(false);
    }
  }
});
