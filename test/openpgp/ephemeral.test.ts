/** A build's own key: one shape, and what gpgv and others make of what it signs. */
import { verify } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import {
  MAX_EPHEMERAL_BYTES,
  makeEphemeral,
  parseEphemeralCertificate,
  parseEphemeralSecret,
} from '../../src/openpgp/ephemeral.ts';
import { encodePacket } from '../../src/openpgp/packet.ts';
import { encodeSubpacket, uint32 } from '../../src/openpgp/subpacket.ts';
import { verifyDetached } from '../../src/openpgp/verify.ts';
import { asCraftKey, craftKey, craftSignature, curveNumbers, nowSeconds } from '../harness/craft.ts';
import { craftCertificate } from '../harness/craft-certificate.ts';
import type { CraftParts } from '../harness/craft-certificate.ts';
import { gpgvAccepts } from '../harness/gpgv-accepts.ts';

const now = new Date();
const created = nowSeconds() - 3600;
const userId = 'build 01jd2y0000000000000000000 slot b1';
const statement = Buffer.from('{"_type":"https://in-toto.io/Statement/v1"}');
const { certificate, secretKey } = makeEphemeral({ userId, created });

test('gpgv and we accept the statement that it signs', async () => {
  const secret = parseEphemeralSecret(secretKey);
  const signature = secret.sign(statement, created + 60);
  const { fingerprint } = secret;
  const good = {
    ok: true,
    primary: fingerprint,
    signingKey: fingerprint,
    created: created + 60,
    hash: 'sha256',
  };
  expect(verifyDetached(signature, statement, parseEphemeralCertificate(certificate), now)).toEqual(good);
  expect(await gpgvAccepts(certificate, signature, statement)).toBe(true);
  expect(await gpgvAccepts(certificate, signature, Buffer.from('another'))).toBe(false);
});

test('gpgv accepts every one of 200 keys: numbers with leading zeros are among them', async () => {
  for (let count = 0; count < 200; count += 1) {
    const fresh = makeEphemeral({ userId, created });
    const signature = parseEphemeralSecret(fresh.secretKey).sign(statement, created);
    expect(await gpgvAccepts(fresh.certificate, signature, statement)).toBe(true);
  }
});

test('it signs plainly too, for a DSSE envelope', () => {
  const secret = parseEphemeralSecret(secretKey);
  const key = parseEphemeralCertificate(certificate).primary.keyObject;
  if (key === null) throw new Error('no key');
  expect(verify(null, statement, key, secret.signRaw(statement))).toBe(true);
});

test('the certificate is small, has the one user id, and is read as any certificate is', () => {
  const special = parseEphemeralCertificate(certificate);
  const general = parseCertificate(certificate);
  expect(certificate.length).toBeLessThan(256);
  expect(special.userIds).toEqual([userId]);
  expect(special.primary.created).toBe(created);
  expect({ ...special, primary: null, keys: null }).toEqual({ ...general, primary: null, keys: null });
  expect(special.keys.map(({ groups }) => groups)).toEqual(general.keys.map(({ groups }) => groups));
  expect(parseEphemeralSecret(secretKey).certificate).toEqual(certificate);
});

test('two keys made in the same second are two keys', () => {
  const [one, two] = [makeEphemeral({ userId, created }), makeEphemeral({ userId, created })];
  expect(parseEphemeralSecret(one.secretKey).fingerprint).not.toBe(
    parseEphemeralSecret(two.secretKey).fingerprint,
  );
});

describe('refused as an ephemeral certificate', () => {
  const key = craftKey('ed25519', created);
  const shape = { text: userId, flags: 0x02 };
  const crafted = (parts: CraftParts): Buffer => craftCertificate(key, { userIds: [shape], ...parts });
  const lowOrder = Buffer.concat([Buffer.from([0x40, 1]), Buffer.alloc(31)]);
  const lowOrderBody = Buffer.concat([
    Buffer.from([4]),
    uint32(created),
    Buffer.from([22]),
    curveNumbers('2b06010401da470f01', lowOrder),
  ]);
  const subkey = craftKey('ed25519', created);

  test.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['the private half', secretKey],
    ['two of them', Buffer.concat([certificate, certificate])],
    ['trailing zeros', Buffer.concat([certificate, Buffer.alloc(3)])],
    ['RSA', craftCertificate(craftKey('rsa2048', created), { userIds: [shape] })],
    ['P-256', craftCertificate(craftKey('p256', created), { userIds: [shape] })],
    ['a low-order key', craftCertificate(asCraftKey(lowOrderBody, key.privateKey), { userIds: [shape] })],
    ['an expiration', crafted({ userIds: [{ ...shape, keyLifetime: 3600 }] })],
    ['other usage flags', crafted({ userIds: [{ ...shape, flags: 0x03 }] })],
    ['no usage flags', crafted({ userIds: [{ ...shape, flags: null }] })],
    ['a notation', crafted({ userIds: [{ ...shape, hashed: [encodeSubpacket(20, Buffer.alloc(8))] }] })],
    ['another order of subpackets', crafted({})],
    ['a self-signature of another time', crafted({ userIds: [{ ...shape, created: created + 1 }] })],
    ['a self-signature by another key', crafted({ userIds: [{ ...shape, by: subkey }] })],
    ['two user ids', crafted({ userIds: [shape, shape] })],
    ['a subkey', crafted({ subkeys: [{ key: subkey }] })],
    ['a direct-key signature', crafted({ directKey: {} })],
    ['a revocation', crafted({ revoked: true })],
    ['no user id', encodePacket(6, key.body)],
    ['more than 1 KiB', Buffer.concat([certificate, encodePacket(13, Buffer.alloc(MAX_EPHEMERAL_BYTES))])],
    ['a user id of two lines', certificateOf('one\ntwo')],
    ['an old packet header', Buffer.concat([Buffer.from([0x98, 51]), certificate.subarray(2)])],
    ['a statement signature in place of the self-signature', withSignature(craftSignature(key, statement))],
  ])('%s', (_, binary) => {
    const problem = expect.objectContaining({ kind: 'refused', code: 'key-unusable' });
    expect(() => parseEphemeralCertificate(binary)).toThrow(problem);
  });

  test('and each one with an octet changed', () => {
    for (let position = 0; position < certificate.length; position += 1) {
      const binary = Buffer.from(certificate);
      binary.writeUInt8(binary.readUInt8(position) ^ 1, position);
      expect(() => parseEphemeralCertificate(binary), `octet ${position}`).toThrow(/not acceptable/);
    }
  });

  /** The right shape with another user id, not certified. */
  function certificateOf(text: string): Buffer {
    const end = certificate.length - certificate.indexOf(userId) - userId.length;
    return Buffer.concat([
      certificate.subarray(0, 53),
      encodePacket(13, Buffer.from(text)),
      certificate.subarray(-end),
    ]);
  }

  function withSignature(signature: Buffer): Buffer {
    return Buffer.concat([encodePacket(6, key.body), encodePacket(13, Buffer.from(userId)), signature]);
  }
});

describe('refused as a private half, without a word of it', () => {
  const foreign = makeEphemeral({ userId, created }).secretKey;
  const number = secretKey.subarray(2 + 51);

  test.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['the certificate', certificate],
    ['the number of another key', Buffer.concat([secretKey.subarray(0, 53), foreign.subarray(53)])],
    ['a wrong checksum', change(secretKey, 2 + 51 + 1 + 2 + 32 + 1)],
    ['an encrypted one', change(secretKey, 2 + 51)],
    ['one cut short', secretKey.subarray(0, 60)],
    ['trailing bytes', Buffer.concat([secretKey, Buffer.alloc(1)])],
  ])('%s', (_, bytes) => {
    try {
      parseEphemeralSecret(bytes);
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ kind: 'refused', code: 'key-unusable' });
      const told = String(error);
      for (const encoding of ['hex', 'base64', 'base64url'] as const) {
        expect(told).not.toContain(number.subarray(3, 19).toString(encoding).slice(0, 16));
      }
    }
  });

  function change(bytes: Buffer, position: number): Buffer {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(position) ^ 1, position);
    return changed;
  }
});

test('a user id must be one printable line', () => {
  for (const text of ['', 'one\ntwo', '\u001b[31mred', 'ä', 'x'.repeat(256)]) {
    expect(() => makeEphemeral({ userId: text, created })).toThrow('one printable line');
  }
});

test('its shape is fixed, octet by octet', () => {
  const { primary } = parseEphemeralCertificate(certificate);
  const named = certificate
    .toString('hex')
    .replaceAll(uint32(created).toString('hex'), ' TIME ')
    .replaceAll(primary.fingerprint.toLowerCase(), ' FINGERPRINT ')
    .replace(primary.keyId.toLowerCase(), ' KEYID ')
    .replace(primary.body.subarray(-32).toString('hex'), ' POINT ')
    .replace(Buffer.from(userId).toString('hex'), ' USERID ');
  const digestAndNumbers = named.indexOf(' KEYID ') + ' KEYID '.length;
  expect(named.slice(0, digestAndNumbers).split(' ')).toEqual([
    // a public key packet of 51 octets, version 4
    'c63304',
    'TIME',
    // EdDSA, Ed25519, a point of 263 bits with its prefix
    '16092b06010401da470f01010740',
    'POINT',
    // a user id packet
    `cd${userId.length.toString(16)}`,
    'USERID',
    // a signature packet: version 4, positive certification, EdDSA, SHA-256, 32 hashed octets; creation time
    expect.stringMatching(/^c2..0413160800200502$/),
    'TIME',
    // key flags: for signing; issuer fingerprint
    '021b02162104',
    'FINGERPRINT',
    // ten octets not hashed: the issuer's key id
    '000a0910',
    'KEYID',
    '',
  ]);
});
