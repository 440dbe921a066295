/** What the project file says about builders: their schemes, how many must agree, their keys, nonces and times. */
import { describe, expect, test } from 'vitest';
import { approvalProblems } from '../../src/policy/approval-policy.ts';
import type { Project } from '../../src/policy/project.ts';
import type { Approval, Builder } from '../../src/records/approval.ts';
import { toSlot, toTimestamp } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { approval, b1, b2, builderEntry, expires, notBefore, now, project, releaseKey } from './scene.ts';

const b3 = toSlot('b3', 'test');
const sealing: Project = { ...project, encryption: releaseKey.certificate };
const nonced = (of: string) => ({
  ...{ uploadTokenSha256: sha256Hex(`token ${of}`), sealedNonce: 'YQ==' },
  nonceSha256: sha256Hex(`nonce ${of}`),
});
const mac = (of: string): Builder => ({ scheme: 'mac', ...nonced(of) });
const enrol = (of: string, enrolBy = '2026-11-22T13:00:00Z'): Builder => ({
  ...{ scheme: 'enrol', ...nonced(of) },
  enrolBy: toTimestamp(enrolBy, 'test'),
});
/** Code and place of each problem. */
const problems = (change: Partial<Approval>, rules = sealing): string[] =>
  approvalProblems(rules, { ...approval, ...change }, now).map(
    ({ code, where }) => `${code} ${where.replace('approval.json: ', '')}`,
  );

test('builders of every scheme are allowed, one or many, some or all of whom must agree', () => {
  expect(problems({})).toEqual([]);
  const builders = { [b1]: builderEntry('b1'), [b2]: mac('b2'), [b3]: enrol('b3') };
  for (const quorum of [1, 2, 3]) expect(problems({ builders, quorum })).toEqual([]);
});

describe('a project allows', () => {
  const only = (...schemes: Project['policy']['schemes']): Project => ({
    ...sealing,
    policy: { ...sealing.policy, schemes },
  });
  test('some schemes: each builder of another is named', () => {
    const builders = { [b1]: builderEntry('b1'), [b2]: mac('b2'), [b3]: enrol('b3') };
    const other = (slot: string) => `policy-scheme builders.${slot}.scheme`;
    expect(problems({ builders }, only('keypair'))).toEqual([other('b2'), other('b3')]);
    expect(problems({ builders }, only('mac', 'keypair'))).toEqual([other('b3')]);
    expect(problems({ builders }, only('enrol'))).toEqual([other('b1'), other('b2')]);
  });
  test('a quorum, and not one less', () => {
    const strict = { ...sealing, policy: { ...sealing.policy, leastQuorum: 2 } };
    const builders = { [b1]: mac('b1'), [b2]: mac('b2'), [b3]: mac('b3') };
    expect(problems({}, strict)).toEqual(['policy-quorum quorum']);
    expect(problems({ builders, quorum: 1 }, strict)).toEqual(['policy-quorum quorum']);
    expect(problems({ builders, quorum: 2 }, strict)).toEqual([]);
    expect(problems({ builders, quorum: 3 }, strict)).toEqual([]);
  });
  test('a mode, and digest mode only where the project says so and signs SHA-256', () => {
    const allowing = { ...project, policy: { ...project.policy, digestMode: true } };
    const sha512 = { ...allowing, release: { ...allowing.release, hash: 'sha512' as const } };
    expect(problems({ mode: 'digest' })).toEqual(['policy-mode mode']);
    expect(problems({ mode: 'digest' }, allowing)).toEqual([]);
    expect(problems({ mode: 'digest' }, sha512)).toEqual(['policy-mode mode']);
    expect(problems({ mode: 'fetch' }, sha512)).toEqual([]);
  });
});

describe('builders enrol', () => {
  test.each([
    [notBefore, false],
    ['2026-11-22T12:00:01Z', true],
    ['2026-11-22T15:59:59Z', true],
    [expires, false],
    ['2026-11-21T13:00:00Z', false],
    ['2026-11-23T13:00:00Z', false],
  ])('until %s: %s', (enrolBy, allowed) => {
    const said = problems({ builders: { [b1]: enrol('b1', enrolBy) } });
    expect(said).toEqual(allowed ? [] : ['enrol-by builders.b1.enrolBy']);
  });
});

describe('a nonce', () => {
  test('needs somebody who can open it', () => {
    expect(problems({ builders: { [b1]: mac('b1') } }, project)).toEqual([
      'nonce-unusable builders.b1.sealedNonce',
    ]);
    expect(problems({ builders: { [b1]: builderEntry('b1') } }, project)).toEqual([]);
  });
  test('is one builder’s: two with the same would be one, and agree with themselves', () => {
    const twin = 'nonce-unusable builders.b2.nonceSha256';
    expect(problems({ builders: { [b1]: mac('b1'), [b2]: mac('b1') }, quorum: 2 })).toEqual([twin]);
    expect(problems({ builders: { [b1]: mac('b1'), [b2]: enrol('b1') }, quorum: 2 })).toEqual([twin]);
    const three = { [b1]: mac('b1'), [b2]: mac('b1'), [b3]: mac('b1') };
    expect(problems({ builders: three })).toEqual([twin, 'nonce-unusable builders.b3.nonceSha256']);
  });
});

test('a key is one builder’s too', () => {
  const seen = ['key-seen builders.b2.certificate'];
  expect(problems({ builders: { [b1]: builderEntry('b1'), [b2]: builderEntry('b1') }, quorum: 2 })).toEqual(
    seen,
  );
  expect(problems({ builders: { [b1]: builderEntry('b1'), [b2]: builderEntry('b2') }, quorum: 2 })).toEqual(
    [],
  );
});
