/**
 * A project with its people, and one build of it, all real: keys, signatures, records, log proofs. Each test
 * changes one thing.
 */
import { randomBytes } from 'node:crypto';
import { makeEphemeral, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import type { EphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import type { Certificate } from '../../src/openpgp/certificate.ts';
import { ephemeralCreation } from '../../src/policy/builder-key.ts';
import { DEFAULT_POLICY } from '../../src/policy/project.ts';
import type { Project } from '../../src/policy/project.ts';
import { APPROVAL_TYPE, encodeApproval } from '../../src/records/approval.ts';
import type { Approval, KeypairBuilder } from '../../src/records/approval.ts';
import { PAYLOAD_TYPE, encodeEnvelope, paeBytes } from '../../src/records/dsse.ts';
import {
  timestamp,
  toArtifactName,
  toBuildId,
  toProjectName,
  toSlot,
  toTimestamp,
  toVersion,
} from '../../src/records/names.ts';
import type { Slot } from '../../src/records/names.ts';
import {
  approvalFile,
  approvalSignatureFile,
  blobFile,
  buildPath,
  statementEnvelopeFile,
  statementFile,
  statementSignatureFile,
} from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import type { Statement } from '../../src/records/statement.ts';
import { generateNoteKey, parseSignerKey, parseVerifierKey } from '../../src/tlog/note.ts';
import { unwitnessed } from '../../src/tlog/proof.ts';
import { MemoryView } from '../harness/memory-view.ts';

/** A key of one signing capability, as approvers, releases and builders have it. */
export interface Person {
  readonly certificate: Certificate;
  readonly secret: EphemeralSecret;
}

const seconds = (date: Date): number => Math.floor(date.getTime() / 1000);

export function person(userId: string, created = '2026-01-01T00:00:00Z'): Person {
  const pair = makeEphemeral({ userId, created: seconds(new Date(created)) });
  return { certificate: parseCertificate(pair.certificate), secret: parseEphemeralSecret(pair.secretKey) };
}

export type Files = Map<string, Buffer>;

export const build = toBuildId('01jd9v7q3m4n5p6r7s8t9vwxyz', 'scene');
export const otherBuild = toBuildId('01jd9v7q3m4n5p6r7s8t9vwxz0', 'scene');
export const b1 = toSlot('b1', 'scene');
export const b2 = toSlot('b2', 'scene');
export const notBefore = toTimestamp('2026-11-22T12:00:00Z', 'scene');
export const expires = toTimestamp('2026-11-22T16:00:00Z', 'scene');
export const now = new Date('2026-11-22T12:30:00Z');
/** So many minutes from `now`. */
export const minutes = (count: number): Date => new Date(now.getTime() + count * 60_000);

export const ada = person('Ada <ada@example.org>');
export const bob = person('Bob <bob@example.org>');
export const mallory = person('Mallory <mallory@example.org>');
export const releaseKey = person('Releases <release@example.org>');

const origin = 'example.org/hello';
const logKey = generateNoteKey(origin);
export const logSigner = parseSignerKey(logKey.signer);
/** Of the scene's log, as text. */
export const logVerifier = logKey.verifier;
export const signerToken = randomBytes(32);

export const project: Project = {
  name: toProjectName('hello', 'scene'),
  threshold: 1,
  depot: 'https://depot.example.org',
  insecureHttp: false,
  log: unwitnessed({ origin, key: parseVerifierKey(logKey.verifier) }),
  witnesses: [],
  maxLogAge: null,
  signerTokenSha256: sha256Hex(signerToken),
  release: { certificate: releaseKey.certificate, hash: 'sha256' },
  approvers: [ada.certificate, bob.certificate],
  encryption: null,
  policy: DEFAULT_POLICY,
};

/** The builders' halves: what their tickets hold. */
const ephemeral = (slot: string) => {
  const pair = makeEphemeral({ userId: `hello 1.0 ${slot}`, created: ephemeralCreation(notBefore) });
  return { pair, secret: parseEphemeralSecret(pair.secretKey), token: randomBytes(32) };
};
const builders = { b1: ephemeral('b1'), b2: ephemeral('b2') };
export const tokens = { b1: builders.b1.token, b2: builders.b2.token };
export const builderSecrets = { b1: builders.b1.secret, b2: builders.b2.secret };

export const builderEntry = (slot: 'b1' | 'b2'): KeypairBuilder => ({
  scheme: 'keypair',
  uploadTokenSha256: sha256Hex(builders[slot].token),
  certificate: builders[slot].pair.certificate.toString('base64'),
});

export const approval: Approval = {
  type: APPROVAL_TYPE,
  signer: origin,
  build,
  project: project.name,
  version: toVersion('1.0', 'scene'),
  source: { uri: 'git+https://example.org/hello.git', digest: { gitCommit: 'c0'.repeat(20) } },
  artifacts: { patterns: ['**'], maxCount: 10, maxBytes: 1000, maxTotalBytes: 2000 },
  builders: { [b1]: builderEntry('b1') },
  quorum: 1,
  mode: 'fetch',
  releaseKey: releaseKey.certificate.primary.fingerprint,
  notBefore,
  expires,
  requester: ada.certificate.primary.fingerprint,
};

/** `approval.json` and the signatures of these people over it, made at `at`. */
export function approvalFiles(record: Approval = approval, signers = [ada], at = now): Files {
  const bytes = encodeApproval(record);
  return new Map([[approvalFile, bytes], ...signers.map((signer) => endorsement(bytes, signer, at))]);
}

/** One approver's signature file. */
export const endorsement = (bytes: Buffer, signer: Person, at = now): [string, Buffer] => [
  approvalSignatureFile(signer.certificate.primary.fingerprint),
  signer.secret.sign(bytes, seconds(at)),
];

/** The artifacts' contents. */
export const artifacts = { 'hello.tar.gz': Buffer.from('a tarball'), 'docs/hello.txt': Buffer.from('hello') };

export const subjects = Object.entries(artifacts)
  .map(([name, bytes]) => ({
    name: toArtifactName(name, 'scene'),
    sha256: sha256Hex(bytes),
    size: bytes.length,
  }))
  .sort((a, b) => (a.name < b.name ? -1 : 1));

export const statement: Statement = {
  subjects,
  build,
  slot: b1,
  approval: sha256Hex(encodeApproval(approval)),
  source: approval.source,
  command: null,
  builderId: 'https://depot.example.org/builders/keypair',
  invocationId: `${build}/b1`,
  startedOn: notBefore,
  finishedOn: timestamp(now),
};

/** `b1.json`, its signature and its envelope, as `attest` sends them. */
export function statementFiles(record: Statement = statement, secret = builderSecrets.b1, at = now): Files {
  return sealed(encodeStatement(record), record.slot, secret, at);
}

/** As `statementFiles`, of any bytes. */
export const sealed = (bytes: Buffer, slot: Slot, secret: EphemeralSecret, at = now): Files =>
  new Map([
    [statementFile(slot), bytes],
    [statementSignatureFile(slot), secret.sign(bytes, seconds(at))],
    [
      statementEnvelopeFile(slot),
      encodeEnvelope(bytes, secret.fingerprint, secret.signRaw(paeBytes(PAYLOAD_TYPE, bytes))),
    ],
  ]);

export const blobFiles = (): Files =>
  new Map(Object.values(artifacts).map((bytes) => [blobFile(sha256Hex(bytes)), bytes]));

/** A depot that has the approval and the artifacts. */
export const approvedView = (record: Approval = approval): MemoryView =>
  new MemoryView().put(buildPath(build), approvalFiles(record)).put(buildPath(build), blobFiles());

/** A copy without one file. */
export const without = (files: Files, name: string): Files =>
  new Map([...files].filter(([other]) => other !== name));
