/** The key that a builder made, and its nonce introduces: taken once it is its own, in time, and nobody else's. */
import { describe, expect, test } from 'vitest';
import { makeEphemeral, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { verifyDetached } from '../../src/openpgp/verify.ts';
import { ephemeralCreation } from '../../src/policy/builder-key.ts';
import { judgeEnrolment } from '../../src/policy/enrolment-verdict.ts';
import type { EnrolmentQuestion } from '../../src/policy/enrolment-verdict.ts';
import { verifiedRecord } from '../../src/policy/verified.ts';
import { encodeApproval } from '../../src/records/approval.ts';
import type { Approval } from '../../src/records/approval.ts';
import { encodeEnrolment } from '../../src/records/enrolment.ts';
import type { Enrolment } from '../../src/records/enrolment.ts';
import { toTimestamp } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { LOW_ORDER, NON_CANONICAL, certificateOf } from '../attacks/odd-key.ts';
import { craftCertificate } from '../harness/craft-certificate.ts';
import { craftKey } from '../harness/craft.ts';
import { ada, approval, b1, b2, build, builderEntry, minutes, notBefore, now, otherBuild } from './scene.ts';

const enrolBy = toTimestamp('2026-11-22T13:00:00Z', 'test');
const nonced = { uploadTokenSha256: sha256Hex('t'), sealedNonce: 'YQ==', nonceSha256: sha256Hex('n') };
const record: Approval = {
  ...approval,
  builders: { [b1]: { scheme: 'enrol', ...nonced, enrolBy }, [b2]: builderEntry('b2') },
};
const created = ephemeralCreation(notBefore);
const own = makeEphemeral({ userId: 'a builder', created });
const secret = parseEphemeralSecret(own.secretKey);
const unix = (date: Date): number => Math.floor(date.getTime() / 1000);
const approvalDigest = sha256Hex(encodeApproval(record));
const enrolment: Enrolment = {
  ...{ build, slot: b1, approval: approvalDigest },
  certificate: own.certificate.toString('base64'),
};

/** The enrolment with these changes, signed by this key at this time. */
function question(change: Partial<Enrolment> = {}, by = secret, at = now): EnrolmentQuestion {
  const bytes = encodeEnrolment({ ...enrolment, ...change });
  const signature = by.sign(bytes, unix(at));
  return {
    ...{ approval: verifiedRecord(record), approvalDigest, slot: b1, bytes, mac: true, firstSeen: now },
    verify: (certificate) => Promise.resolve(verifyDetached(signature, bytes, certificate, minutes(600))),
    keysSeen: new Set(),
  };
}

/** The verdict and the codes of its reasons. */
async function line(asked: EnrolmentQuestion): Promise<string> {
  const verdict = await judgeEnrolment(asked);
  if (verdict.verdict !== 'refuse') return verdict.verdict;
  return ['refuse', ...verdict.reasons.map(({ code }) => code)].join(' ');
}

test('introduced by the nonce, in time, with a key that nobody has: it is taken', async () => {
  const verdict = await judgeEnrolment(question());
  expect(verdict).toMatchObject({ verdict: 'accept', enrolment });
  expect(verdict.verdict === 'accept' && verdict.certificate.primary.fingerprint).toBe(secret.fingerprint);
});

test('who has no nonce can say as much without it', async () => {
  expect(await line({ ...question(), mac: null })).toBe('accept');
});

describe('what is nobody’s word ends nothing', () => {
  const unread = { bytes: Buffer.from('{}') };
  test('a MAC of another nonce, whatever the bytes say', async () => {
    expect(await line({ ...question(), mac: false })).toBe('void');
    expect(await line({ ...question(), ...unread, mac: false })).toBe('void');
  });
  test('late by the signer’s clock, to the second', async () => {
    const at = (milliseconds: number) => new Date(new Date(enrolBy).getTime() + milliseconds);
    expect(await line({ ...question(), firstSeen: at(-1) })).toBe('accept');
    expect(await line({ ...question(), firstSeen: at(0) })).toBe('void');
    expect(await line({ ...question(), firstSeen: at(1) })).toBe('void');
    expect(await line({ ...question(), ...unread, firstSeen: at(0) })).toBe('void');
  });
  test('for a slot of another scheme', async () => {
    expect(await line({ ...question({ slot: b2 }), slot: b2 })).toBe('void');
  });
  test('without possession: another key signed, or nobody', async () => {
    const thief = parseEphemeralSecret(makeEphemeral({ userId: 'a thief', created }).secretKey);
    expect(await line(question({}, thief))).toBe('void');
    const unsigned = () => Promise.resolve({ ok: false, code: 'signature-bad', reason: 'none' } as const);
    expect(await line({ ...question(), verify: unsigned })).toBe('void');
  });
  test('with a signature of the key’s on another enrolment', async () => {
    const signature = secret.sign(question({ build: otherBuild }).bytes, unix(now));
    const asked = question();
    const verify: EnrolmentQuestion['verify'] = (certificate) =>
      Promise.resolve(verifyDetached(signature, asked.bytes, certificate, now));
    expect(await line({ ...asked, verify })).toBe('void');
  });
  test('signed in the future, by more than the clocks may differ', async () => {
    expect(await line(question({}, secret, minutes(10)))).toBe('accept');
    expect(await line(question({}, secret, minutes(11)))).toBe('void');
  });
});

describe('what its nonce did introduce can', () => {
  test('no enrolment', async () => {
    for (const bytes of [Buffer.from('{}'), encodeApproval(record), Buffer.alloc(0)])
      expect(await line({ ...question(), bytes })).toBe('refuse enrolment-malformed');
  });
  test('of another build, slot or approval', async () => {
    expect(await line(question({ build: otherBuild }))).toBe('refuse enrolment-binding');
    expect(await line(question({ slot: b2 }))).toBe('refuse enrolment-binding');
    expect(await line(question({ approval: sha256Hex('x') }))).toBe('refuse enrolment-binding');
  });
  test('a key seen before', async () => {
    const keysSeen = new Set([secret.fingerprint]);
    expect(await line({ ...question(), keysSeen })).toBe('refuse key-seen');
    expect(await line({ ...question(), keysSeen: new Set([ada.certificate.primary.fingerprint]) })).toBe(
      'accept',
    );
  });
  test.each<[string, () => Buffer]>([
    ['of another hour', () => makeEphemeral({ userId: 'x', created: created + 1 }).certificate],
    ['of a person', () => ada.certificate.bytes],
    [
      'that is RSA',
      () => craftCertificate(craftKey('rsa2048', created), { userIds: [{ text: 'x', flags: 2 }] }),
    ],
    ['cut short', () => own.certificate.subarray(0, -1)],
    ['with a byte more', () => Buffer.concat([own.certificate, Buffer.alloc(1)])],
    ['with its private half', () => own.secretKey],
    ['that is none', () => Buffer.from('certificate')],
  ])('a key %s', async (_, certificate) => {
    expect(await line(question({ certificate: certificate().toString('base64') }))).toBe(
      'refuse key-unusable',
    );
  });
  // With the OpenSSL of Node 20 some of these verify anything: their self-signatures are good.
  test.each([...LOW_ORDER, ...NON_CANONICAL])('a key that is none: %s', async (_, point) => {
    const { certificate } = certificateOf(point, created);
    expect(await line(question({ certificate: certificate.toString('base64') }))).toBe('refuse key-unusable');
  });
  test('all reasons at once', async () => {
    const keysSeen = new Set([secret.fingerprint]);
    expect(await line({ ...question({ build: otherBuild, slot: b2 }), keysSeen })).toBe(
      'refuse enrolment-binding enrolment-binding key-seen',
    );
  });
});
