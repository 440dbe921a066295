/**
 * Certificates made by hand: which of their keys may sign, and which files are no certificate of ours.
 * Each case is shown to gpgv too: it must call good whatever we call good.
 */
import { describe, expect, test } from 'vitest';
import {
  allSigningFingerprints,
  keyProblem,
  parseCertificate,
  signingKeys,
} from '../../src/openpgp/certificate.ts';
import { encodePacket } from '../../src/openpgp/packet.ts';
import { verifyDetached } from '../../src/openpgp/verify.ts';
import {
  asCraftKey,
  craftKey,
  craftSignature,
  critical,
  curveNumbers,
  notation,
  nowSeconds,
} from '../harness/craft.ts';
import type { CraftKey } from '../harness/craft.ts';
import { craftCertificate } from '../harness/craft-certificate.ts';
import type { CraftParts, CraftStatement } from '../harness/craft-certificate.ts';
import { gpgvAccepts } from '../harness/gpgv-accepts.ts';

const now = new Date();
const hourAgo = nowSeconds() - 3600;
const primary = craftKey('ed25519', hourAgo);
const stranger = craftKey('ed25519', hourAgo);
const sub = craftKey('p256', hourAgo + 60);
const data = Buffer.from('what is signed');

/** What we say about a signature by `key`, having seen that gpgv is not stricter. */
async function verdictOf(parts: CraftParts, key: CraftKey): Promise<string> {
  const binary = craftCertificate(primary, parts);
  const signature = craftSignature(key, data);
  const verdict = verifyDetached(signature, data, parseCertificate(binary), now);
  if (verdict.ok) expect(await gpgvAccepts(binary, signature, data)).toBe(true);
  return verdict.ok ? 'good' : verdict.code;
}

const ada = (statement: CraftStatement & { revokedAt?: number }) => ({
  text: 'Ada <ada@example.org>',
  ...statement,
});
const withSubkey = (binding: object): CraftParts => ({ subkeys: [{ key: sub, ...binding }] });
const revoker = { flags: null, hashed: [revocationKey(stranger)] };

/** The subpacket by which a key names another that may revoke it. */
function revocationKey(key: CraftKey): Buffer {
  return Buffer.concat([Buffer.from([23, 12, 0x80, key.algorithmId]), Buffer.from(key.fingerprint, 'hex')]);
}

describe('the primary key', () => {
  test.each<[string, CraftParts, string]>([
    ['for signing', {}, 'good'],
    ['for signing alone', { userIds: [ada({ flags: 0x02 })] }, 'good'],
    ['not yet expired', { userIds: [ada({ keyLifetime: 7200 })] }, 'good'],
    [
      'with a user id that is revoked and one that is not',
      { userIds: [ada({ revokedAt: hourAgo + 1 }), { text: 'Ada' }] },
      'good',
    ],
    [
      'with a flag-less statement beside one with flags',
      { userIds: [ada({})], directKey: { flags: null } },
      'good',
    ],
    [
      'with a user id certified again after its revocation',
      { userIds: [ada({ created: hourAgo + 2, revokedAt: hourAgo + 1 })] },
      'good',
    ],
    ['with another person as one who may revoke', { directKey: revoker }, 'good'],
    ['that another key says is revoked', { revoked: true, revokedBy: stranger }, 'good'],
    ['revoked', { revoked: true }, 'key-revoked'],
    ['revoked with an old digest', { revoked: true, revocationHash: 'sha1' }, 'key-revoked'],
    ['revoked by one who may', { directKey: revoker, revoked: true, revokedBy: stranger }, 'key-revoked'],
    ['expired', { userIds: [ada({ keyLifetime: 60 })] }, 'key-expired'],
    [
      'expired by one of two user ids',
      { userIds: [ada({ keyLifetime: 60 }), { text: 'Ada' }] },
      'key-expired',
    ],
    ['without usage flags', { userIds: [ada({ flags: null })] }, 'key-cannot-sign'],
    ['for certifying alone', { userIds: [ada({ flags: 0x01 })] }, 'key-cannot-sign'],
    ['for encryption alone', { userIds: [ada({ flags: 0x0c })] }, 'key-cannot-sign'],
    [
      'for signing by one of two user ids',
      { userIds: [ada({ flags: 0x01 }), { text: 'Ada' }] },
      'key-cannot-sign',
    ],
    ['whose self-signature has ended', { userIds: [ada({ expiresAfter: 60 })] }, 'key-unusable'],
    [
      'whose self-signature is dated in the future',
      { userIds: [ada({ created: nowSeconds() + 3600 })] },
      'key-unusable',
    ],
  ])('%s', async (_, parts, verdict) => {
    expect(await verdictOf(parts, primary)).toBe(verdict);
  });

  test('dated in the future', () => {
    const young = craftKey('ed25519', nowSeconds() + 60);
    const certificate = parseCertificate(craftCertificate(young));
    const signature = craftSignature(young, data, { created: nowSeconds() + 60 });
    expect(verifyDetached(signature, data, certificate, now)).toMatchObject({ code: 'key-not-yet-valid' });
    expect(signingKeys(certificate, new Date(Date.now() + 120_000))).toHaveLength(1);
  });
});

describe('a subkey', () => {
  test.each<[string, CraftParts, string]>([
    ['bound both ways', withSubkey({}), 'good'],
    [
      'beside a primary key that certifies alone',
      { ...withSubkey({}), userIds: [ada({ flags: 0x01 })] },
      'good',
    ],
    ['without its own signature of the binding', withSubkey({ backSigned: false }), 'key-cannot-sign'],
    ['for encryption alone', withSubkey({ flags: 0x0c }), 'key-cannot-sign'],
    ['without usage flags', withSubkey({ flags: null }), 'key-cannot-sign'],
    ['revoked', withSubkey({ revoked: true }), 'key-revoked'],
    ['expired', withSubkey({ keyLifetime: 60 }), 'key-expired'],
    ['bound by a stranger', withSubkey({ by: stranger }), 'key-unusable'],
    ['bound with SHA-1', withSubkey({ hash: 'sha1' }), 'key-unusable'],
    [
      'bound with something critical that is unknown',
      withSubkey({ hashed: [critical(20, notation('a@b.org', 'c'))] }),
      'key-unusable',
    ],
    ['of a revoked primary key', { ...withSubkey({}), revoked: true }, 'key-revoked'],
    ['of an expired primary key', { ...withSubkey({}), userIds: [ada({ keyLifetime: 60 })] }, 'key-expired'],
  ])('%s', async (_, parts, verdict) => {
    expect(await verdictOf(parts, sub)).toBe(verdict);
  });

  test('of somebody else, grafted on with its binding, signs nothing here', () => {
    const theirs = craftCertificate(stranger, withSubkey({}));
    const start = theirs.indexOf(encodePacket(14, sub.body));
    const grafted = Buffer.concat([craftCertificate(primary), theirs.subarray(start)]);
    const verdict = verifyDetached(craftSignature(sub, data), data, parseCertificate(grafted), now);
    expect(verdict).toMatchObject({ ok: false, code: 'key-unusable' });
  });

  test('the newest of several binding signatures counts', () => {
    const first = craftCertificate(primary, withSubkey({}));
    const later = craftCertificate(primary, withSubkey({ keyLifetime: 600, created: hourAgo + 120 }));
    const start = later.indexOf(encodePacket(14, sub.body)) + encodePacket(14, sub.body).length;
    const both = parseCertificate(Buffer.concat([first, later.subarray(start)]));
    expect(keyProblem(both, sub.public, now)).toMatchObject({ code: 'key-expired' });
    expect(keyProblem(both, sub.public, new Date((hourAgo + 90) * 1000))).toBeNull();
  });
});

test('what may sign and what must not stand in two roles', () => {
  const encrypting = craftKey('rsa2048', hourAgo);
  const revoked = craftKey('ed25519', hourAgo);
  const certificate = parseCertificate(
    craftCertificate(primary, {
      userIds: [{ text: 'Ada' }, { text: 'Ada Lovelace' }],
      subkeys: [{ key: sub }, { key: encrypting, flags: 0x0c }, { key: revoked, revoked: true }],
    }),
  );
  expect(certificate.userIds).toEqual(['Ada', 'Ada Lovelace']);
  const fingerprints = signingKeys(certificate, now).map(({ fingerprint }) => fingerprint);
  expect(fingerprints).toEqual([sub.fingerprint, primary.fingerprint]);
  expect(allSigningFingerprints(certificate)).toEqual([
    primary.fingerprint,
    sub.fingerprint,
    revoked.fingerprint,
  ]);
});

describe('refused as a certificate', () => {
  const good = craftCertificate(primary);
  const [userIdAt, key] = [encodePacket(6, primary.body).length, encodePacket(6, primary.body)];
  const bodyOf = (algorithmId: number, numbers: Buffer): Buffer =>
    Buffer.concat([Buffer.from([4, 0x60, 0, 0, 0, algorithmId]), numbers]);
  const ofBody = (body: Buffer): Buffer => craftCertificate(asCraftKey(body, primary.privateKey));
  const ed25519 = (octets: Buffer): Buffer =>
    ofBody(bodyOf(22, curveNumbers('2b06010401da470f01', Buffer.concat([Buffer.from([0x40]), octets]))));

  test.each<[string, Buffer, RegExp]>([
    ['nothing', Buffer.alloc(0), /empty/],
    ['text', Buffer.from('hello'), /not an OpenPGP packet/],
    ['two certificates in one ring', Buffer.concat([good, craftCertificate(stranger)]), /more than one/],
    ['the same one twice', Buffer.concat([good, good]), /more than one/],
    ['a secret key', encodePacket(5, Buffer.concat([primary.body, Buffer.alloc(3)])), /does not start/],
    ['a signature', craftSignature(primary, data), /does not start/],
    ['a key without a user id', key, /no user id/],
    [
      'a user id that the key has not certified',
      Buffer.concat([key, encodePacket(13, Buffer.from('Ada'))]),
      /no user id/,
    ],
    [
      'a user id certified by a stranger',
      craftCertificate(primary, { userIds: [ada({ by: stranger })] }),
      /no user id/,
    ],
    [
      'a user id certified with SHA-1',
      craftCertificate(primary, { userIds: [ada({ hash: 'sha1' })] }),
      /no user id/,
    ],
    [
      'a revoked user id',
      craftCertificate(primary, { userIds: [ada({ revokedAt: hourAgo + 1 })] }),
      /no user id/,
    ],
    [
      'a swapped user id',
      Buffer.concat([key, encodePacket(13, Buffer.from('Eve')), good.subarray(userIdAt + 31)]),
      /no user id/,
    ],
    [
      'a literal packet at its end',
      Buffer.concat([good, encodePacket(11, Buffer.from('b\0    x'))]),
      /packet 11/,
    ],
    ['zeros at its end', Buffer.concat([good, Buffer.alloc(4)]), /not an OpenPGP packet/],
    ['RSA of 1024 bits', craftCertificate(craftKey('rsa1024', hourAgo)), /not supported/],
    ['a point of low order', ed25519(Buffer.concat([Buffer.from([1]), Buffer.alloc(31)])), /not supported/],
    ['a point that is not canonical', ed25519(Buffer.alloc(32, 0xff)), /not supported/],
    [
      'a P-256 point beside the curve',
      ofBody(bodyOf(19, curveNumbers('2a8648ce3d030107', Buffer.alloc(65, 4)))),
      /not supported/,
    ],
    ['a key of algorithm 27', ofBody(bodyOf(27, Buffer.alloc(32, 9))), /not supported/],
    ['a version 3 key', encodePacket(6, Buffer.from([3, ...primary.body.subarray(1)])), /version 3/],
    // gpgv takes none of these either
    ['a signature of version 6', Buffer.concat([good, encodePacket(2, Buffer.from([6, 0x13]))]), /version 6/],
    [
      'a user id behind a subkey',
      Buffer.concat([craftCertificate(primary, withSubkey({})), encodePacket(13, Buffer.from('Eve'))]),
      /behind a subkey/,
    ],
    ['more than 256 KiB', Buffer.concat([good, encodePacket(13, Buffer.alloc(256 * 1024))]), /larger than/],
  ])('%s', (_, binary, message) => {
    const problem = {
      kind: 'refused',
      code: 'certificate-malformed',
      message: expect.stringMatching(message),
    };
    expect(() => parseCertificate(binary)).toThrow(expect.objectContaining(problem));
  });

  test('and never anything but refused: one with any octet changed', () => {
    const whole = craftCertificate(primary, withSubkey({}));
    for (let position = 0; position < whole.length; position += 1) {
      const binary = Buffer.from(whole);
      binary.writeUInt8(binary.readUInt8(position) ^ 0x41, position);
      try {
        // What still reads has no key that may sign but these two.
        for (const { fingerprint } of signingKeys(parseCertificate(binary), now)) {
          expect([primary.fingerprint, sub.fingerprint]).toContain(fingerprint);
        }
      } catch (error) {
        expect(error).toMatchObject({ kind: 'refused', code: 'certificate-malformed' });
      }
    }
  });
});
