/** Taking a build back: one approver before the release, as many as starting took after it. */
import { describe, expect, test } from 'vitest';
import type { SignatureVerdict } from '../../src/openpgp/verify.ts';
import { readRevocation, revokersNeeded } from '../../src/policy/revocation-verdict.ts';
import { encodeApproval } from '../../src/records/approval.ts';
import { timestamp } from '../../src/records/names.ts';
import { encodeRevocation } from '../../src/records/revocation.ts';
import type { Revocation } from '../../src/records/revocation.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { ada, approval, bob, build, mallory, minutes, now, otherBuild, project } from './scene.ts';
import type { Person } from './scene.ts';

const revocable = { build, approval: sha256Hex(encodeApproval(approval)) };
const revocation: Revocation = { ...revocable, reason: 'the host was broken into', time: timestamp(now) };
const fingerprintOf = (one: Person) => one.certificate.primary.fingerprint;
const by = (one: Person): SignatureVerdict => ({
  ...({ ok: true, created: 1, hash: 'sha256' } as const),
  ...{ primary: fingerprintOf(one), signingKey: fingerprintOf(one) },
});
const read = (change: Partial<Revocation> = {}, signature = by(ada), approver = ada) =>
  readRevocation(project, revocable, {
    ...{ approver: fingerprintOf(approver), signature },
    bytes: encodeRevocation({ ...revocation, ...change }),
  });

test('an approver’s counts, whoever asked for the build', () => {
  expect(read()).toEqual(revocation);
  expect(read({}, by(bob), bob)).toEqual(revocation);
  // nobody compares its time: an approver whose clock is wrong can stop a build too
  expect(read({ time: timestamp(minutes(600)) })).toMatchObject({ reason: revocation.reason });
});

describe('nothing else does', () => {
  test.each<[string, () => unknown, RegExp]>([
    ['a stranger', () => read({}, by(mallory), mallory), /no approver/],
    ['a stranger in the name of an approver', () => read({}, by(mallory)), /is signed by/],
    ['an approver in the name of another', () => read({}, by(bob)), /is signed by/],
    [
      'a bad signature',
      () => read({}, { ok: false, code: 'signature-bad', reason: 'not verified' }),
      /not verified/,
    ],
    ['one of another build', () => read({ build: otherBuild }), /is of build/],
    ['one of another approval', () => read({ approval: sha256Hex('x') }), /is of approval/],
  ])('%s', (_, refused, why) => {
    expect(refused()).toMatch(why);
  });

  test('what is no revocation, though an approver signed it: an approval, a revocation with a field more', () => {
    const more = encodeRevocation(revocation).toString().replace('{', '{"all":true,');
    for (const bytes of [encodeApproval(approval), Buffer.from(more), Buffer.alloc(0)])
      expect(
        readRevocation(project, revocable, { approver: fingerprintOf(ada), bytes, signature: by(ada) }),
      ).toMatch(/revocation|canonical|JSON/);
  });

  test('one by somebody who has left the project file', () => {
    const left = { ...project, approvers: [bob.certificate] };
    const signed = { approver: fingerprintOf(ada), bytes: encodeRevocation(revocation), signature: by(ada) };
    expect(readRevocation(left, revocable, signed)).toMatch(/no approver/);
  });
});

test('one person stops a build; once it is released it takes as many as starting it took', () => {
  for (const threshold of [1, 2, 3]) {
    expect(revokersNeeded({ ...project, threshold }, false)).toBe(1);
    expect(revokersNeeded({ ...project, threshold }, true)).toBe(threshold);
  }
});
