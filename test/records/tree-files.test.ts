/** Which paths a tree has, and what each file of a build is. */
import { describe, expect, test } from 'vitest';
import {
  toArtifactName,
  toBuildId,
  toFingerprint,
  toProjectName,
  toSha256,
  toSlot,
  toVersion,
} from '../../src/records/names.ts';
import {
  approvalSignatureFile,
  blobFile,
  buildPath,
  enrolmentFile,
  enrolmentMacFile,
  enrolmentReceiptFile,
  enrolmentSignatureFile,
  isTreePath,
  parseBuildFile,
  releaseDir,
  revocationFile,
  revocationSignatureFile,
  signatureFile,
  statementAuthenticatorFile,
  statementEnvelopeFile,
  statementFile,
  statementMacFile,
  statementSignatureFile,
} from '../../src/records/paths.ts';

const slot = toSlot('b1', 'test');
const approver = toFingerprint('A'.repeat(40), 'test');
const sha256 = toSha256('0'.repeat(64), 'test');
const name = toArtifactName('dist/a.deb', 'test');

describe('files of a build', () => {
  test.each([
    ['approval.json', { kind: 'approval' }],
    [approvalSignatureFile(approver), { kind: 'approval-signature', approver }],
    [statementFile(slot), { kind: 'statement', slot, variant: 1 }],
    [statementSignatureFile(slot), { kind: 'statement-signature', slot, variant: 1 }],
    [statementEnvelopeFile(slot), { kind: 'statement-envelope', slot, variant: 1 }],
    [statementFile(slot, 2), { kind: 'statement', slot, variant: 2 }],
    [statementSignatureFile(slot, 3), { kind: 'statement-signature', slot, variant: 3 }],
    [statementEnvelopeFile(slot, 4), { kind: 'statement-envelope', slot, variant: 4 }],
    [statementFile(toSlot('2', 'test'), 2), { kind: 'statement', slot: '2', variant: 2 }],
    [statementMacFile(slot), { kind: 'statement-mac', slot, variant: 1 }],
    [statementMacFile(slot, 4), { kind: 'statement-mac', slot, variant: 4 }],
    [enrolmentFile(slot), { kind: 'enrolment', slot, variant: 1 }],
    [enrolmentFile(slot, 4), { kind: 'enrolment', slot, variant: 4 }],
    [enrolmentSignatureFile(slot, 2), { kind: 'enrolment-signature', slot, variant: 2 }],
    [enrolmentMacFile(slot, 3), { kind: 'enrolment-mac', slot, variant: 3 }],
    [enrolmentReceiptFile(slot), { kind: 'enrolment-receipt', slot, variant: 1 }],
    [revocationFile(approver), { kind: 'revocation', approver }],
    [revocationSignatureFile(approver), { kind: 'revocation-signature', approver }],
    [blobFile(sha256), { kind: 'blob', sha256 }],
    [signatureFile(name), { kind: 'signature', signed: name }],
    [signatureFile('SHA256SUMS'), { kind: 'signature', signed: 'SHA256SUMS' }],
    ['refusal.json', { kind: 'refusal' }],
    ['refusal.proof', { kind: 'refusal-proof' }],
    ['manifest.json', { kind: 'manifest' }],
    ['signatures.list', { kind: 'signatures-list' }],
    ['release.json', { kind: 'release' }],
    ['log-entry.json', { kind: 'log-entry' }],
    ['release.proof', { kind: 'release-proof' }],
  ])('%s', (path, file) => {
    expect(parseBuildFile(path)).toEqual(file);
    expect(isTreePath(path)).toBe(true);
  });

  test('have the names of the protocol', () => {
    expect(statementFile(slot)).toBe('statements/b1.json');
    expect(statementSignatureFile(slot, 2)).toBe('statements/b1.2.json.sig');
    expect(statementEnvelopeFile(slot, 2)).toBe('statements/b1.2.dsse.json');
    expect(statementMacFile(slot, 2)).toBe('statements/b1.2.json.mac');
    expect(statementAuthenticatorFile('mac', slot)).toBe('statements/b1.json.mac');
    expect(statementAuthenticatorFile('keypair', slot)).toBe('statements/b1.json.sig');
    expect(statementAuthenticatorFile('enrol', slot, 3)).toBe('statements/b1.3.json.sig');
    expect(enrolmentFile(slot)).toBe('enrolments/b1.json');
    expect(enrolmentSignatureFile(slot)).toBe('enrolments/b1.json.sig');
    expect(enrolmentMacFile(slot, 2)).toBe('enrolments/b1.2.json.mac');
    expect(enrolmentReceiptFile(slot)).toBe('enrolments/b1.json.receipt');
    expect(revocationFile(approver)).toBe(`revocations/${approver}.json`);
    expect(revocationSignatureFile(approver)).toBe(`revocations/${approver}.json.sig`);
    expect(signatureFile(name)).toBe('signatures/dist/a.deb.asc');
    expect(approvalSignatureFile(approver)).toBe(`approval.json.${approver}.sig`);
  });

  test.each([
    '',
    'approval.json/',
    '/approval.json',
    'x/approval.json',
    'Approval.json',
    'approval.json.sig',
    `approval.json.${'a'.repeat(40)}.sig`,
    `approval.json.${approver}.sig.sig`,
    `statements/approval.json.${approver}.sig`,
    'statements/',
    'statements/b1',
    'statements/b1.json.asc',
    'statements/b1.1.json',
    'statements/b1.5.json',
    'statements/b1.02.json',
    'statements/b1.2.2.json',
    'statements/B1.json',
    'statements/.json',
    'statements/../approval.json',
    'statements/b1.json.dsse.json',
    'statements/b1.mac',
    'statements/b1.json.receipt',
    'enrolments/',
    'enrolments/b1',
    'enrolments/b1.dsse.json',
    'enrolments/b1.1.json',
    'enrolments/b1.5.json.mac',
    'enrolments/b1.2.json.receipt',
    'enrolments/b1.json.receipt.sig',
    `enrolments/${approver}.json`,
    'revocations/',
    'revocations/b1.json',
    `revocations/${approver}`,
    `revocations/${approver}.sig`,
    `revocations/${approver}.2.json`,
    `revocations/${approver}.json.mac`,
    `revocations/${approver}.json.sig.sig`,
    `revocations/${'a'.repeat(40)}.json`,
    'blobs/',
    `blobs/${'0'.repeat(63)}`,
    `blobs/${'A'.repeat(64)}`,
    `blobs/${'0'.repeat(64)}/x`,
    `other/${'0'.repeat(64)}`,
    'signatures/a',
    'signatures/.asc',
    'signatures/../a.asc',
    'signatures/a.asc.asc',
    'signatures/sha256sums.asc',
    'signatures/countersign/a.asc',
    'constructor',
    '__proto__',
  ])('not %j', (path) => expect(parseBuildFile(path)).toBeNull());
});

describe('paths of a tree', () => {
  const build = toBuildId('01jd9v7q3m4n5p6r7s8t9vwxyz', 'test');
  test.each([
    buildPath(build),
    buildPath(build, signatureFile(name)),
    `${releaseDir(toProjectName('a', 'test'), toVersion('1.0~rc1+x', 'test'))}/countersign/release.proof`,
    'log/checkpoint',
    'a',
  ])('%s', (path) => expect(isTreePath(path)).toBe(true));

  test.each([
    '',
    '/',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    'a/..',
    'a/./b',
    '../a',
    '.tmp/a',
    'a/.hidden',
    'a\\b',
    'a%2fb',
    '%2e%2e/a',
    'a b',
    'a\0',
    'a\n',
    'a?b',
    'a#b',
    'é',
    'a;b',
    'a'.repeat(1025),
  ])('not %j', (path) => expect(isTreePath(path)).toBe(false));
});
