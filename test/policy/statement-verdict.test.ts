import { describe, expect, test } from 'vitest';
import { sha256From } from '../../src/openpgp/hash-state.ts';
import type { SignatureVerdict } from '../../src/openpgp/verify.ts';
import { builderOf } from '../../src/policy/builder-key.ts';
import { verifiedRecord } from '../../src/policy/verified.ts';
import { judgeStatement } from '../../src/policy/statement-verdict.ts';
import type { Authenticator, StatementQuestion } from '../../src/policy/statement-verdict.ts';
import { encodeApproval } from '../../src/records/approval.ts';
import type { Approval } from '../../src/records/approval.ts';
import { toArtifactName, toSha256 } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import type { StatedSubject, Statement } from '../../src/records/statement.ts';
import { toHashState } from '../../src/records/subject.ts';
import {
  ada,
  approval,
  b1,
  b2,
  builderSecrets,
  expires,
  minutes,
  now,
  otherBuild,
  project,
  statement,
} from './scene.ts';
import { hashStateOf } from '../harness/hash-state.ts';

/** A signature that is looked for under the key of b1. */
const signature = (verdict: SignatureVerdict): Authenticator => ({
  kind: 'signature',
  verdict,
  key: builderSecrets.b1.fingerprint,
});
const signedBy = (fingerprint = builderSecrets.b1.fingerprint, at = now): Authenticator =>
  signature({
    ok: true,
    primary: fingerprint,
    signingKey: fingerprint,
    created: Math.floor(at.getTime() / 1000),
    hash: 'sha256',
  });
const bad = signature({ ok: false, code: 'signature-bad', reason: 'it does not verify' });

const verdictOf = (change: Partial<StatementQuestion>) =>
  judgeStatement({
    policy: project.policy,
    approval: verifiedRecord(approval),
    approvalDigest: sha256Hex(encodeApproval(approval)),
    slot: b1,
    bytes: encodeStatement(statement),
    authenticator: signedBy(),
    firstSeen: now,
    ...change,
  });

/** The verdict and its reasons, in a line. */
function line(change: Partial<StatementQuestion> = {}): string {
  const verdict = verdictOf(change);
  if (verdict.verdict !== 'refuse') return verdict.verdict;
  return ['refuse', ...verdict.reasons.map(({ code, where }) => `${code}:${where}`)].join(' ');
}
const says = (change: Partial<Statement>) => ({ bytes: encodeStatement({ ...statement, ...change }) });
/** A statement under an approval of that mode. */
const stated = (mode: Approval['mode'], subjects: readonly StatedSubject[]) => {
  const record = { ...approval, mode };
  const approvalDigest = sha256Hex(encodeApproval(record));
  return {
    ...says({ subjects, approval: approvalDigest }),
    approval: verifiedRecord(record),
    approvalDigest,
  };
};
/** A statement of two artifacts under an approval of that mode, with the states (if any) of these bytes. */
const ofStates = (mode: Approval['mode'], states: readonly (string | null)[]) => {
  const subjects = ['a', 'b'].map((name, at) => {
    const bytes = states[at] ?? null;
    const named = { name: toArtifactName(name, 'test'), sha256: sha256Hex(name), size: 1 };
    return { ...named, ...(bytes !== null && { sha256State: hashStateOf(Buffer.from(bytes)) }) };
  });
  return stated(mode, subjects);
};
/** A statement of these names and sizes under an approval with these limits. */
const ofArtifacts = (artifacts: Record<string, number>, limits: Partial<Approval['artifacts']> = {}) => {
  const record = { ...approval, artifacts: { ...approval.artifacts, ...limits } };
  const approvalDigest = sha256Hex(encodeApproval(record));
  const subjects = Object.entries(artifacts).map(([name, size]) => ({
    name: toArtifactName(name, 'test'),
    sha256: sha256Hex(name),
    size,
  }));
  return {
    ...says({ subjects, approval: approvalDigest }),
    approval: verifiedRecord(record),
    approvalDigest,
  };
};

test('the builder vouches for it, and may', () => {
  expect(line()).toBe('accept');
});

describe('hash states', () => {
  test('are on every artifact in digest mode, and on none in mode fetch', () => {
    expect(line(ofStates('digest', ['a', 'b']))).toBe('accept');
    expect(line(ofStates('fetch', [null, null]))).toBe('accept');
    expect(line(ofStates('digest', ['a', null]))).toBe('refuse statement-mode:b');
    expect(line(ofStates('digest', [null, null]))).toBe('refuse statement-mode:a');
    expect(line(ofStates('fetch', [null, 'b']))).toBe('refuse statement-mode:b');
  });
  test('finish to the digests beside them: each that does not is a reason', () => {
    expect(line(ofStates('digest', ['a', 'a']))).toBe('refuse state-mismatch:b');
    expect(line(ofStates('digest', ['b', 'a']))).toBe('refuse state-mismatch:a state-mismatch:b');
  });
  test('of less than a block begin where SHA-256 does, whatever they finish to', () => {
    const words = '00'.repeat(32);
    const of = (size: number) => {
      const sha256State = toHashState(words + '61'.repeat(size % 64), 'test', size);
      const sha256 = toSha256(sha256From(sha256State, size, Buffer.alloc(0)).toString('hex'), 'test');
      return stated('digest', [{ name: toArtifactName('a', 'test'), sha256, size, sha256State }]);
    };
    expect(line(of(0))).toBe('refuse state-mismatch:a');
    expect(line(of(63))).toBe('refuse state-mismatch:a');
    // words that were made up: nobody can tell from the outside
    expect(line(of(64))).toBe('accept');
  });
});

describe('what this builder did not sign, the depot may have made: it ends nothing', () => {
  test('why, in the words of whoever verified', () => {
    expect(verdictOf({ authenticator: bad })).toEqual({ verdict: 'void', text: 'it does not verify' });
  });
  test('a bad signature; one by another builder, or by an approver', () => {
    expect(line({ authenticator: bad })).toBe('void');
    expect(line({ authenticator: signedBy(builderSecrets.b2.fingerprint) })).toBe('void');
    expect(line({ authenticator: signedBy(ada.certificate.primary.fingerprint) })).toBe('void');
  });
  test('a MAC that another nonce made', () => {
    const sealed = { sealedNonce: 'AAAA', nonceSha256: sha256Hex('nonce') };
    const { uploadTokenSha256 } = builderOf(approval, b1);
    const builder = { scheme: 'mac', uploadTokenSha256, ...sealed } as const;
    const byMac = { ...approval, builders: { [b1]: builder } };
    const asked = { approval: verifiedRecord(byMac), approvalDigest: sha256Hex(encodeApproval(byMac)) };
    const bytes = encodeStatement({ ...statement, approval: asked.approvalDigest });
    const mac = (valid: boolean): Authenticator => ({ kind: 'mac', valid });
    expect(line({ ...asked, bytes, authenticator: mac(true) })).toBe('accept');
    expect(line({ ...asked, bytes, authenticator: mac(false) })).toBe('void');
    expect(line({ ...asked, bytes: Buffer.from('{}'), authenticator: mac(false) })).toBe('void');
    expect(line({ ...asked, bytes, authenticator: signedBy() })).toBe('void'); // it has no key
  });
  test('a MAC where it has a key', () => {
    expect(line({ authenticator: { kind: 'mac', valid: true } })).toBe('void');
    expect(line({ authenticator: { kind: 'unchecked' } })).toBe('void');
  });
  test('dated in the future, by more than the clocks may differ', () => {
    expect(line({ authenticator: signedBy(undefined, minutes(10)) })).toBe('accept');
    expect(line({ authenticator: signedBy(undefined, minutes(11)) })).toBe('void');
  });
  test('malformed bytes that nobody signed', () => {
    expect(line({ authenticator: bad, bytes: Buffer.from('{}') })).toBe('void');
  });
});

describe('what it did sign can', () => {
  test('no statement', () => {
    expect(line({ bytes: Buffer.from('{}') })).toBe('refuse statement-malformed:statements/b1.json');
    expect(line({ bytes: encodeApproval(approval) })).toBe('refuse statement-malformed:statements/b1.json');
  });
  test('for another approval, build, slot or source', () => {
    const where = 'refuse statement-binding:statements/b1.json';
    expect(line(says({ approval: sha256Hex('another') }))).toBe(where);
    expect(line(says({ build: otherBuild }))).toBe(where);
    expect(line(says({ slot: b2 }))).toBe(where);
    expect(line(says({ source: null }))).toBe(where);
    const fork = { uri: 'git+https://example.org/fork.git', digest: { gitCommit: 'c0'.repeat(20) } };
    expect(line(says({ source: fork }))).toBe(where);
  });
  test('first seen at `expires` or later; what was seen in time stays in time', () => {
    expect(line({ firstSeen: new Date(expires) })).toBe('refuse expired:statements/b1.json');
    expect(line({ firstSeen: new Date(new Date(expires).getTime() - 1) })).toBe('accept');
  });
  test('signed before the approval was valid', () => {
    expect(line({ authenticator: signedBy(undefined, minutes(-40)) })).toBe('accept');
    expect(line({ authenticator: signedBy(undefined, minutes(-41)) })).toBe(
      'refuse statement-time:statements/b1.json',
    );
  });
});

describe('names, counts and sizes against approval and policy', () => {
  test('a name needs a pattern of the approval and one of the policy', () => {
    expect(line(ofArtifacts({ 'a.gz': 1, 'b.txt': 1 }, { patterns: ['*.gz'] }))).toBe(
      'refuse name-not-allowed:b.txt',
    );
    const policy = { ...project.policy, patterns: ['*.txt'] };
    expect(line({ ...ofArtifacts({ 'a.gz': 1, 'b.txt': 1 }), policy })).toBe('refuse name-not-allowed:a.gz');
    expect(line(ofArtifacts({ 'dist/a.gz': 1 }, { patterns: ['*.gz'] }))).toBe(
      'refuse name-not-allowed:dist/a.gz',
    );
    expect(line(ofArtifacts({ 'dist/a.gz': 1 }, { patterns: ['**.gz'] }))).toBe('accept');
  });
  test('a pattern without wildcards must be there', () => {
    expect(line(ofArtifacts({ 'a.gz': 1 }, { patterns: ['a.gz', 'b.gz', '*'] }))).toBe(
      'refuse pattern-missing:b.gz',
    );
    expect(line(ofArtifacts({ 'a.gz': 1, 'b.gz': 1 }, { patterns: ['a.gz', 'b.gz'] }))).toBe('accept');
    expect(line(ofArtifacts({ 'a.gz': 1 }, { patterns: ['a.gz', 'zz*'] }))).toBe('accept');
  });
  test('counts', () => {
    expect(line(ofArtifacts({ a: 1, b: 1 }, { maxCount: 2 }))).toBe('accept');
    expect(line(ofArtifacts({ a: 1, b: 1, c: 1 }, { maxCount: 2 }))).toBe(
      'refuse too-many:statements/b1.json',
    );
  });
  test('sizes, each and in all', () => {
    expect(line(ofArtifacts({ a: 1000, b: 1000 }))).toBe('accept');
    expect(line(ofArtifacts({ a: 1001 }))).toBe('refuse too-large:a');
    expect(line(ofArtifacts({ a: 1000, b: 1000, c: 1 }))).toBe('refuse total-too-large:statements/b1.json');
    expect(line(ofArtifacts({ empty: 0 }, { maxBytes: 0, maxTotalBytes: 0 }))).toBe('accept');
  });
  test('sizes whose sum is beyond 2^53 do not come out small', () => {
    const huge = Number.MAX_SAFE_INTEGER;
    const limits = { maxBytes: huge, maxTotalBytes: huge };
    const policy = { ...project.policy, maxBytes: huge, maxTotalBytes: huge };
    expect(line({ ...ofArtifacts({ a: huge }, limits), policy })).toBe('accept');
    expect(line({ ...ofArtifacts({ a: huge, b: 1 }, limits), policy })).toBe(
      'refuse total-too-large:statements/b1.json',
    );
  });
  test('the project file of this moment bounds an approval of an earlier one', () => {
    const policy = { ...project.policy, maxCount: 1, maxBytes: 10, maxTotalBytes: 10 };
    expect(line({ ...ofArtifacts({ a: 9, b: 11 }), policy })).toBe(
      'refuse too-many:statements/b1.json too-large:b total-too-large:statements/b1.json',
    );
  });
});
