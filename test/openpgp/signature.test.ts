/** Which signature files are read at all, and that what is left of them is one unambiguous packet. */
import { expect, test } from 'vitest';
import { encodeArmor } from '../../src/openpgp/armor.ts';
import { encodePacket } from '../../src/openpgp/packet.ts';
import {
  MAX_SIGNATURE_BYTES,
  encodeSignature,
  hashedPart,
  parseSignature,
} from '../../src/openpgp/signature.ts';
import { encodeSubpacket, uint32 } from '../../src/openpgp/subpacket.ts';
import {
  armored,
  clearsigned,
  compressed,
  craftKey,
  craftSignature,
  critical,
  inlineMessage,
  notation,
  nowSeconds,
} from '../harness/craft.ts';
import type { CraftOptions } from '../harness/craft.ts';

const data = Buffer.from('a statement');
const key = craftKey('ed25519', nowSeconds() - 3600);
const other = craftKey('ed25519', nowSeconds() - 3600);
const good = craftSignature(key, data);
const crafted = (options: CraftOptions): Buffer => craftSignature(key, data, options);
const twice = (type: number, value: Buffer): Buffer[] => [
  encodeSubpacket(type, value),
  encodeSubpacket(type, value),
];
/** S with the group order added: the same signature to a verifier that does not look. */
const ORDER = (1n << 252n) + 27742317777372353535851937790883648493n;
const aboveOrder = (numbers: Buffer[]): Buffer[] => {
  const s =
    BigInt(
      `0x${Buffer.from(numbers[1] ?? '')
        .reverse()
        .toString('hex')}`,
    ) + ORDER;
  return [numbers[0] ?? Buffer.alloc(0), Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()];
};

test.each<[string, Buffer]>([
  ['binary', good],
  ['one armor block', Buffer.from(encodeArmor('PGP SIGNATURE', good))],
  ['SHA-384', crafted({ hash: 'sha384' })],
  ['SHA-512', crafted({ hash: 'sha512' })],
  ['the issuer as fingerprint alone', crafted({ issuerKeyId: false })],
  ['the issuer as key id alone', crafted({ issuerFingerprint: false })],
  [
    'the key id protected, as some tools write it',
    crafted({ hashed: [encodeSubpacket(16, Buffer.from(key.keyId, 'hex'))] }),
  ],
  [
    'an unknown notation that is not critical',
    crafted({ hashed: [encodeSubpacket(20, notation('a@example.org', 'b'))] }),
  ],
  ['an expiration of zero, which means never', crafted({ expiresAfter: 0 })],
  ['a critical policy URI', crafted({ hashed: [critical(26, Buffer.from('https://example.org'))] })],
  ['an old packet header', Buffer.concat([Buffer.from([0x88]), good.subarray(1)])],
])('accepted: %s', (_, file) => {
  const signature = parseSignature(file);
  expect(signature.issuerKeyId).toBe(key.keyId);
  // Re-written it means the same, and nothing changes any more.
  const again = parseSignature(signature.rewritten);
  expect(again.rewritten).toEqual(signature.rewritten);
  expect(again.hashedPart).toEqual(signature.hashedPart);
  expect(again.mpis).toEqual(signature.mpis);
});

test('what stood unprotected is gone from the re-written packet, but for the key id', () => {
  const noisy = parseSignature(
    crafted({ unhashed: [encodeSubpacket(20, notation('a@example.org', 'injected'))] }),
  );
  expect(noisy.rewritten.includes('injected')).toBe(false);
  expect(noisy.rewritten.includes(Buffer.from(key.keyId, 'hex'))).toBe(true);
});

test('the signature that we write is read back to the same bytes', () => {
  const about = { algorithmId: 22, hash: 'sha512', created: 1_800_000_000, issuer: key.fingerprint } as const;
  const digest = Buffer.alloc(64, 0xab);
  const written = encodeSignature(hashedPart(about), digest, [Buffer.alloc(32, 3), Buffer.alloc(32, 5)]);
  const read = parseSignature(written);
  expect(read.rewritten).toEqual(written);
  expect(read).toMatchObject({ hash: 'sha512', created: 1_800_000_000, issuerFingerprint: key.fingerprint });
  expect(read.digestPrefix).toEqual(Buffer.from([0xab, 0xab]));
});

test.each<[string, Buffer | string]>([
  ['an empty file', ''],
  ['version 3', crafted({ version: 3 })],
  ['text mode', crafted({ type: 1 })],
  ['a certification', crafted({ type: 0x13 })],
  ['a standalone signature', crafted({ type: 2 })],
  ['SHA-1', crafted({ hash: 'sha1' })],
  ['two signatures', Buffer.concat([good, craftSignature(other, data)])],
  ['the same signature twice', Buffer.concat([good, good])],
  ['20,000 signatures', Buffer.concat(Array.from({ length: 20_000 }, () => good))],
  ['trailing zeros', Buffer.concat([good, Buffer.alloc(8)])],
  ['trailing bytes', Buffer.concat([good, Buffer.from('x')])],
  ['trailing bytes inside the packet', encodePacket(2, Buffer.concat([good.subarray(2), Buffer.from([0])]))],
  ['a cut one', good.subarray(0, -1)],
  ['one level of compression', compressed(good, 1)],
  ['30 levels of compression', compressed(good, 30)],
  ['a whole signed message', inlineMessage(key, data)],
  ['a clearsigned document', clearsigned(key, 'a statement')],
  ['a public key', encodePacket(6, key.body)],
  ['text round the armor', `hello\n${armored('PGP SIGNATURE', good)}`],
  ['the armor twice', armored('PGP SIGNATURE', good).repeat(2)],
  ['two packets in one armor', armored('PGP SIGNATURE', Buffer.concat([good, good]))],
  ['the label of a key', armored('PGP PUBLIC KEY BLOCK', good)],
  ['no issuer at all', crafted({ issuerKeyId: false, issuerFingerprint: false })],
  ['two issuers', crafted({ unhashed: [encodeSubpacket(16, Buffer.from(other.keyId, 'hex'))] })],
  [
    'two issuer fingerprints',
    crafted({ unhashed: [encodeSubpacket(33, Buffer.from(`04${other.fingerprint}`, 'hex'))] }),
  ],
  ['an issuer fingerprint of version 6', crafted({ hashed: [encodeSubpacket(33, Buffer.alloc(33, 6))] })],
  ['two creation times', crafted({ hashed: [encodeSubpacket(2, uint32(1))] })],
  ['an unprotected second creation time', crafted({ unhashed: [encodeSubpacket(2, uint32(1))] })],
  ['an end of validity', crafted({ expiresAfter: 1_000_000 })],
  ['an unprotected end of validity', crafted({ unhashed: [encodeSubpacket(3, uint32(60))] })],
  ['an unknown critical notation', crafted({ hashed: [critical(20, notation('a@example.org', 'b'))] })],
  ['an unknown critical subpacket', crafted({ hashed: [critical(100, Buffer.alloc(1))] })],
  ['an unknown critical subpacket, unprotected', crafted({ unhashed: [critical(100, Buffer.alloc(1))] })],
  ['two target subpackets that are critical', crafted({ hashed: twice(0x80 | 31, Buffer.alloc(34)) })],
  ['an S above the order of the group', crafted({ numbers: aboveOrder })],
  ['an R of 33 bytes', crafted({ numbers: ([, s]) => [Buffer.alloc(33, 1), s ?? Buffer.alloc(0)] })],
  ['one number where two belong', crafted({ numbers: ([r]) => [r ?? Buffer.alloc(0)] })],
  ['more than 4 KiB', crafted({ hashed: [encodeSubpacket(20, Buffer.alloc(MAX_SIGNATURE_BYTES))] })],
])('refused: %s', (_, file) => {
  expect(() => parseSignature(Buffer.from(file))).toThrow(
    expect.objectContaining({ kind: 'refused', code: 'signature-malformed' }),
  );
});

test('refused, and never anything but refused: every signature with one octet changed or missing', () => {
  for (let position = 0; position < good.length; position += 1) {
    for (const change of [0x01, 0x80, 0xff]) {
      const file = Buffer.from(good);
      file.writeUInt8(file.readUInt8(position) ^ change, position);
      try {
        parseSignature(file);
      } catch (error) {
        expect(error).toMatchObject({ kind: 'refused', code: 'signature-malformed' });
      }
    }
    expect(() => parseSignature(good.subarray(0, position))).toThrow('not acceptable');
  }
});
