import { describe, expect, test } from 'vitest';
import { encodeApproval } from '../../src/records/approval.ts';
import { toBuildId, toFingerprint, toProjectName, toTimestamp, toVersion } from '../../src/records/names.ts';
import { ephemeralCreation } from '../../src/policy/builder-key.ts';
import { approvalFile, approvalSignatureFile, buildPath } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { MemoryView } from '../harness/memory-view.ts';
import { ask, messageOf } from './ask.ts';
import {
  ada,
  approval,
  approvalFiles,
  b1,
  b2,
  bob,
  build,
  builderEntry,
  endorsement,
  expires,
  mallory,
  minutes,
  otherBuild,
  project,
  person,
  releaseKey,
  without,
} from './scene.ts';

const empty = () => new MemoryView();
const bytes = encodeApproval(approval);
const sig = (of: typeof ada) => approvalSignatureFile(of.certificate.primary.fingerprint);

describe('an approval is written by an approver, by the signature that comes with it', () => {
  test('an approver signed it: the signature is written first, the record last', async () => {
    expect(await ask(empty(), approvalFiles())).toBe(`allow ${sig(ada)} ${approvalFile}`);
  });
  test('two approvers in one write', async () => {
    expect(await ask(empty(), approvalFiles(approval, [ada, bob]))).toBe(
      `allow ${sig(ada)} ${sig(bob)} ${approvalFile}`,
    );
  });
  test('the requester may sign later: uploads need any approver, the signer wants all', async () => {
    expect(await ask(empty(), approvalFiles(approval, [bob]))).toMatch(/^allow/);
  });
  test('the record alone', async () => {
    expect(await ask(empty(), new Map([[approvalFile, bytes]]))).toBe('403 write-needs-authenticator');
  });
  test('the signature alone, of a build that nobody has approved', async () => {
    expect(await ask(empty(), [endorsement(bytes, ada)])).toBe('404 build-unknown');
  });
  test('signed by somebody who is no approver', async () => {
    expect(await ask(empty(), approvalFiles(approval, [mallory]))).toBe('403 approver-unknown');
  });
  test("signed by somebody else, under an approver's name", async () => {
    const [, forged] = endorsement(bytes, mallory);
    expect(
      await ask(empty(), [
        [approvalFile, bytes],
        [sig(ada), forged],
      ]),
    ).toBe('403 signature-invalid');
  });
  test("one approver's signature under the name of the other makes no second vote", async () => {
    const [, signature] = endorsement(bytes, ada);
    const files = [...approvalFiles(), [sig(bob), signature] as const];
    expect(await ask(empty(), files)).toBe('403 signature-invalid');
  });
  test('one good and one bad signature: nothing is kept', async () => {
    const [, other] = endorsement(Buffer.from('something else'), bob);
    expect(await ask(empty(), [...approvalFiles(), [sig(bob), other]])).toBe('403 signature-invalid');
  });
  test('changed by a byte after it was signed', async () => {
    const files = approvalFiles();
    files.set(approvalFile, encodeApproval({ ...approval, version: toVersion('1.1', 'test') }));
    expect(await ask(empty(), files)).toBe('403 signature-invalid');
  });
  test("dated ahead of the depot's clock by more than ten minutes", async () => {
    expect(await ask(empty(), approvalFiles(approval, [ada], minutes(9)))).toMatch(/^allow/);
    expect(await ask(empty(), approvalFiles(approval, [ada], minutes(11)))).toBe('403 signature-invalid');
  });
  test('signed, but not a canonical record', async () => {
    const spaced = Buffer.concat([bytes, Buffer.from('\n')]);
    expect(await ask(empty(), [[approvalFile, spaced], endorsement(spaced, ada)])).toBe(
      '422 record-malformed',
    );
  });
});

describe('a build has one approval, and each approver one signature', () => {
  const approved = () => empty().put(buildPath(build), approvalFiles());

  test('the same again is no error, and writes nothing', async () => {
    expect(await ask(approved(), approvalFiles())).toBe('allow');
    expect(await ask(approved(), new Map([[approvalFile, bytes]]))).toBe('allow');
  });
  test('also when it has expired since', async () => {
    expect(await ask(approved(), approvalFiles(), { now: minutes(600) })).toBe('allow');
  });
  test('a further approver endorses it', async () => {
    expect(await ask(approved(), [endorsement(bytes, bob)])).toBe(`allow ${sig(bob)}`);
    expect(await ask(approved(), approvalFiles(approval, [bob]))).toBe(`allow ${sig(bob)} ${approvalFile}`);
  });
  test('nobody endorses what has expired', async () => {
    expect(await ask(approved(), [endorsement(bytes, bob)], { now: minutes(600) })).toBe('422 expired');
  });
  test('another approval for the same build', async () => {
    const other = { ...approval, version: toVersion('2.0', 'test') };
    expect(await ask(approved(), approvalFiles(other))).toBe('409 conflict');
    expect(await ask(approved(), approvalFiles(other, [bob]))).toBe('409 conflict');
  });
  test('another signature of the same approver', async () => {
    expect(await ask(approved(), [endorsement(bytes, ada, minutes(-1))])).toBe('409 conflict');
  });
  test('a stranger endorses it', async () => {
    expect(await ask(approved(), [endorsement(bytes, mallory)])).toBe('403 approver-unknown');
  });
  test('an approver who has left the project file opens nothing any more', async () => {
    const left = { ...project, approvers: [bob.certificate] };
    expect(await ask(approved(), approvalFiles(approval, [ada]), { rules: left })).toBe('allow');
    expect(await ask(approved(), [endorsement(bytes, ada, minutes(-1))], { rules: left })).toMatch(/^4/);
    expect(await ask(empty(), approvalFiles(approval, [ada]), { rules: left })).toBe('403 approver-unknown');
  });
});

describe('an approval that the signer could never accept is not kept', () => {
  const stranger = toFingerprint('0'.repeat(40), 'test');
  const artifacts = { ...approval.artifacts, maxCount: 5 };
  const macEntry = {
    scheme: 'mac' as const,
    uploadTokenSha256: sha256Hex('token'),
    sealedNonce: 'YQ==',
    nonceSha256: sha256Hex('nonce'),
  };
  test.each([
    ['for another build', { build: otherBuild }, '422 build-mismatch'],
    ['for another project', { project: toProjectName('other', 'test') }, '422 project'],
    ['for another signer', { signer: 'example.org/other' }, '422 signer'],
    ['for another release key', { releaseKey: stranger }, '422 release-key'],
    ['too many artifacts', { artifacts: { ...artifacts, maxCount: 6 } }, '422 policy-limits'],
    ['too large artifacts', { artifacts: { ...artifacts, maxBytes: 5001 } }, '422 policy-limits'],
    ['too large in all', { artifacts: { ...artifacts, maxTotalBytes: 9001 } }, '422 policy-limits'],
    [
      'an artifact that the policy has no place for',
      { artifacts: { ...artifacts, patterns: ['a.exe'] } },
      '422 policy-artifacts',
    ],
    ['for too long', { expires: toTimestamp('2026-11-22T20:00:01Z', 'test') }, '422 policy-lifetime'],
    ['too few who agree', { quorum: 1 }, '422 policy-quorum'],
    ['of a scheme', { builders: { [b1]: builderEntry('b1'), [b2]: macEntry } }, '422 policy-scheme'],
  ])('%s', async (_, change, answer) => {
    const policy = {
      patterns: ['*.gz', 'docs/**'],
      maxCount: 5,
      maxBytes: 5000,
      maxTotalBytes: 9000,
      maxLifetime: 8 * 3600,
      schemes: ['keypair' as const],
      leastQuorum: 2,
      digestMode: false,
    };
    const strict = { ...project, policy, encryption: releaseKey.certificate };
    const longest = toTimestamp('2026-11-22T20:00:00Z', 'test');
    const two = { [b1]: builderEntry('b1'), [b2]: builderEntry('b2') };
    const base = { ...approval, artifacts, expires: longest, builders: two, quorum: 2 };
    expect(await ask(empty(), approvalFiles(base), { rules: strict })).toMatch(/^allow/);
    expect(await ask(empty(), approvalFiles({ ...base, ...change }), { rules: strict })).toBe(answer);
  });

  test('expired, by the clock of the depot', async () => {
    const late = new Date(expires);
    expect(await ask(empty(), approvalFiles(), { now: new Date(late.getTime() - 1000) })).toMatch(/^allow/);
    expect(await ask(empty(), approvalFiles(), { now: late })).toBe('422 expired');
  });
  test('approved for tomorrow is kept today', async () => {
    expect(await ask(empty(), approvalFiles(approval, [ada], minutes(-60)), { now: minutes(-60) })).toMatch(
      /^allow/,
    );
  });
  test("a builder's key of another shape, hour, or of the project file", async () => {
    const withKey = (certificate: Buffer) =>
      approvalFiles({
        ...approval,
        builders: { [b1]: { ...builderEntry('b1'), certificate: certificate.toString('base64') } },
      });
    expect(await ask(empty(), withKey(Buffer.from('no certificate')))).toBe('422 key-unusable');
    expect(await ask(empty(), withKey(mallory.certificate.bytes))).toBe('422 key-unusable');
    const dated = approvalFiles({ ...approval, notBefore: toTimestamp('2026-11-22T12:00:01Z', 'test') });
    expect(await ask(empty(), dated)).toBe('422 key-unusable');
    const hour = new Date(ephemeralCreation(approval.notBefore) * 1000).toISOString();
    const { certificate } = person('Releases of that hour <release@example.org>', hour);
    const rules = { ...project, approvers: [ada.certificate, certificate] };
    expect(await ask(empty(), withKey(certificate.bytes))).toMatch(/^allow/);
    expect(await ask(empty(), withKey(certificate.bytes), { rules })).toBe('422 key-seen');
    const elsewhere = { ...rules, name: toProjectName('other', 'test') };
    expect(await messageOf(empty(), withKey(certificate.bytes), { rules })).not.toMatch(/more/);
    expect(await messageOf(empty(), withKey(certificate.bytes), { rules: elsewhere })).toMatch(/1 more/);
  });
});

describe('what a write may hold', () => {
  test.each([
    ['a name that no build has', 'notes.txt'],
    ['a way out', '../approval.json'],
    ['an absolute path', '/approval.json'],
    ['a detour', 'statements/./b1.json'],
    ['a name with a newline', 'approval.json\n[GNUPG:] GOODSIG'],
    ['another case', 'Approval.json'],
    ['a signature of nobody', 'approval.json.ADA.sig'],
    ['a blob', `blobs/${'a'.repeat(64)}`],
    ['a variant, which the gate numbers itself', 'statements/b1.2.json'],
  ])('%s', async (_, name) => {
    expect(await ask(empty(), [...approvalFiles(), [name, Buffer.from('x')]])).toBe('422 name-not-allowed');
  });
  test('a file twice, as an archive can have it', async () => {
    expect(await ask(empty(), [...approvalFiles(), ...approvalFiles()])).toBe('422 duplicate-name');
  });
  test('nothing', async () => {
    expect(await ask(empty(), [])).toBe('422 write-empty');
  });
  test('more than a record may have', async () => {
    const files = approvalFiles();
    expect(await ask(empty(), files.set(approvalFile, Buffer.alloc(64 * 1024 + 1)))).toBe(
      '413 record-too-large',
    );
    // As large as may be is looked at; that it is none is another matter.
    expect(await ask(empty(), files.set(approvalFile, Buffer.alloc(64 * 1024)))).toBe(
      '403 signature-invalid',
    );
    const signed = approvalFiles();
    expect(await ask(empty(), signed.set(sig(ada), Buffer.alloc(4096)))).toBe('403 signature-invalid');
    expect(await ask(empty(), signed.set(sig(ada), Buffer.alloc(4097)))).toBe('413 record-too-large');
  });
  test('an approval under the directory of another build', async () => {
    expect(await ask(empty(), approvalFiles(), { build: otherBuild })).toBe('422 build-mismatch');
    const id = toBuildId('7zzzzzzzzzzzzzzzzzzzzzzzzz', 'test');
    expect(await ask(empty(), approvalFiles({ ...approval, build: id }), { build: id })).toMatch(/^allow/);
  });
  test('a record of a build beside one that is not authorised: neither is kept', async () => {
    const files = [...approvalFiles(), ['release.json', Buffer.from('{}')] as const];
    expect(await ask(empty(), files)).toBe('403 write-needs-authenticator');
    expect(await ask(empty(), without(new Map(files), 'release.json'))).toMatch(/^allow/);
  });
});
