/** Any legal word, name and part of a record, for properties. */
import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';
import type { Builder } from '../../src/records/approval.ts';
import {
  artifactSetProblems,
  isArtifactName,
  isVersion,
  newBuildId,
  timestamp as timestampOf,
  toArtifactName,
  toFingerprint,
  toProjectName,
  toSlot,
  toVersion,
} from '../../src/records/names.ts';
import type { Sha256 } from '../../src/records/names.ts';
import {
  approvalSignatureFile,
  blobFile,
  enrolmentFile,
  enrolmentMacFile,
  enrolmentReceiptFile,
  enrolmentSignatureFile,
  revocationFile,
  revocationSignatureFile,
  signatureFile,
  statementEnvelopeFile,
  statementFile,
  statementMacFile,
  statementSignatureFile,
  VARIANTS,
} from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { sortSubjects } from '../../src/records/statement.ts';
import { toHashState } from '../../src/records/subject.ts';
import type { TicketSecret } from '../../src/records/ticket.ts';

const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((all) => Buffer.from(all));

export const sha256: Arbitrary<Sha256> = bytes(8).map(sha256Hex);
export const buildId = fc
  .tuple(fc.nat({ max: 2 ** 48 - 1 }), bytes(10))
  .map(([time, random]) => newBuildId(new Date(time), random));
export const fingerprint = bytes(20).map((all) => toFingerprint(all.toString('hex').toUpperCase(), 'any'));
export const project = fc
  .stringMatching(/^[a-z0-9][a-z0-9._-]{0,63}$/)
  .map((text) => toProjectName(text, 'any'));
export const version = fc
  .stringMatching(/^[A-Za-z0-9][A-Za-z0-9.+~_-]{0,63}$/)
  .filter(isVersion)
  .map((text) => toVersion(text, 'any'));
export const slot = fc
  .oneof(fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,31}$/), fc.constantFrom('constructor', '10', '9', 'b1'))
  .map((text) => toSlot(text, 'any'));
export const timestamp = fc
  .date({ min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true })
  .map(timestampOf);
export const base64 = fc
  .uint8Array({ minLength: 1, maxLength: 300 })
  .map((all) => Buffer.from(all).toString('base64'));

const segment = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._+~@=-]{0,20}$/);
export const artifactName = fc
  .array(segment, { minLength: 1, maxLength: 8 })
  .map((segments) => segments.join('/'))
  .filter(isArtifactName)
  .map((name) => toArtifactName(name, 'any'));

const size = fc.nat({ max: Number.MAX_SAFE_INTEGER });
export const subjects = fc
  .uniqueArray(fc.record({ name: artifactName, sha256, size }), {
    minLength: 1,
    selector: ({ name }) => name,
  })
  .filter((all) => artifactSetProblems(all.map(({ name }) => name)).length === 0)
  .map(sortSubjects);
/** As a statement for digest mode has them: a state of any words and any tail. */
export const statedSubjects = subjects.map((all) =>
  all.map((subject) => {
    const state = Buffer.alloc(32 + (subject.size % 64), subject.sha256, 'hex').toString('hex');
    return { ...subject, sha256State: toHashState(state, 'any', subject.size) };
  }),
);

export const pattern = fc.stringMatching(/^[ab/*?]{1,12}$/);
export const artifactLimits = fc.record({
  patterns: fc.array(fc.oneof(artifactName, fc.constantFrom('**', '*.deb', 'a/?')), {
    minLength: 1,
    maxLength: 64,
  }),
  maxCount: fc.integer({ min: 1, max: 100_000 }),
  maxBytes: size,
  maxTotalBytes: size,
});

export const source = fc.record({
  uri: fc.stringMatching(/^[a-z][a-z0-9+.-]{0,9}:[\x21-\x7e]{1,60}$/),
  digest: fc.record({
    gitCommit: fc.oneof(
      bytes(20).map((all) => all.toString('hex')),
      bytes(32).map((all) => all.toString('hex')),
    ),
  }),
});

const sealed = { uploadTokenSha256: sha256, sealedNonce: base64, nonceSha256: sha256 };
export const builder: Arbitrary<Builder> = fc.oneof(
  fc.record({ scheme: fc.constant('keypair' as const), uploadTokenSha256: sha256, certificate: base64 }),
  fc.record({ scheme: fc.constant('mac' as const), ...sealed }),
  fc.record({ scheme: fc.constant('enrol' as const), ...sealed, enrolBy: timestamp }),
);

/** Of 32 bytes: an upload token, a nonce. */
export const token = bytes(32).map((all) => all.toString('base64url'));
const spent = { secretKey: fc.option(base64), nonce: fc.option(token) };
export const ticketSecret: Arbitrary<TicketSecret> = fc.oneof(
  fc.record({ scheme: fc.constant('keypair' as const), secretKey: spent.secretKey }),
  fc.record({ scheme: fc.constant('mac' as const), nonce: spent.nonce }),
  fc.record({ scheme: fc.constant('enrol' as const), ...spent, enrolBy: timestamp }),
);

const variants = [
  ...[statementFile, statementSignatureFile, statementMacFile, statementEnvelopeFile],
  ...[enrolmentFile, enrolmentSignatureFile, enrolmentMacFile],
];
export const buildFile = fc.oneof(
  fc.constantFrom('approval.json', 'manifest.json', 'release.json', 'refusal.json'),
  sha256.map(blobFile),
  artifactName.map(signatureFile),
  fc
    .tuple(fc.constantFrom(...variants), slot, fc.constantFrom(...VARIANTS))
    .map(([fileOf, name, variant]) => fileOf(name, variant)),
  slot.map(enrolmentReceiptFile),
  fc
    .tuple(fc.constantFrom(approvalSignatureFile, revocationFile, revocationSignatureFile), fingerprint)
    .map(([fileOf, approver]) => fileOf(approver)),
);

/** A record of 1 to `max` members. */
export const recordOf = <Value>(key: Arbitrary<string>, value: Arbitrary<Value>, max: number) =>
  fc
    .uniqueArray(fc.tuple(key, value), { minLength: 1, maxLength: max, selector: ([name]) => name })
    .map((members): Record<string, Value> => Object.fromEntries(members));
