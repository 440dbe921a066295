/** The manifest: what H is about to sign, with which key, fixed at intent (protocol §2). */
import { encodeCanonical, LARGE_RECORD_MAX, parseCanonical } from './canonical.ts';
import { closedObject, oneOf, recordOf } from './fields.ts';
import {
  toBuildId,
  toFingerprint,
  toProjectName,
  toSha256,
  toSlot,
  toTimestamp,
  toVersion,
} from './names.ts';
import type { BuildId, Fingerprint, ProjectName, Sha256, Slot, Timestamp, Version } from './names.ts';
import { scanSubjects } from './subject-scan.ts';
import { checkedList, subjectsJson, toSubjects } from './subject.ts';
import type { Subject } from './subject.ts';

export const MANIFEST_TYPE = 'application/vnd.countersign.manifest.v1+json';

export interface Manifest {
  readonly build: BuildId;
  readonly project: ProjectName;
  readonly version: Version;
  readonly approval: Sha256;
  /** Digest of the statement of each slot; the object has no prototype. */
  readonly statements: Readonly<Record<Slot, Sha256>>;
  readonly subjects: readonly Subject[];
  /** Primary fingerprint. */
  readonly releaseKey: Fingerprint;
  /** Fingerprint of the primary or subkey that signs. */
  readonly signingKey: Fingerprint;
  readonly hash: 'sha256' | 'sha512';
  /** The creation time of every signature. */
  readonly signedAt: Timestamp;
}

/** Reads a manifest's exact bytes. Throws refused: `record-malformed`, `record-too-large`, `name-malformed`. */
export function parseManifest(bytes: Uint8Array): Manifest {
  const scanned = scanSubjects(bytes, 'subjects');
  // a manifest has no states of hashes
  const plain = scanned?.subjects.some(({ sha256State }) => sha256State !== undefined) ? null : scanned;
  const value = parseCanonical(plain?.rest ?? bytes, { maxBytes: LARGE_RECORD_MAX, what: 'manifest' });
  const fields = closedObject(value, 'manifest', [
    'type',
    'build',
    'project',
    'version',
    'approval',
    'statements',
    'subjects',
    'releaseKey',
    'signingKey',
    'hash',
    'signedAt',
  ]);
  oneOf(fields.type, 'manifest.type', [MANIFEST_TYPE]);
  return {
    build: toBuildId(fields.build, 'manifest.build'),
    project: toProjectName(fields.project, 'manifest.project'),
    version: toVersion(fields.version, 'manifest.version'),
    approval: toSha256(fields.approval, 'manifest.approval'),
    statements: recordOf(fields.statements, 'manifest.statements', { min: 1, max: 16 }, toSlot, toSha256),
    subjects: plain
      ? checkedList(plain.subjects, 'manifest.subjects')
      : toSubjects(fields.subjects, 'manifest.subjects'),
    releaseKey: toFingerprint(fields.releaseKey, 'manifest.releaseKey'),
    signingKey: toFingerprint(fields.signingKey, 'manifest.signingKey'),
    hash: oneOf(fields.hash, 'manifest.hash', ['sha256', 'sha512']),
    signedAt: toTimestamp(fields.signedAt, 'manifest.signedAt'),
  };
}

/** The manifest's bytes: `encodeManifest(parseManifest(b))` is `b`. */
export function encodeManifest(manifest: Manifest): Buffer {
  const { build, project, version, approval, statements, subjects } = manifest;
  const { releaseKey, signingKey, hash, signedAt } = manifest;
  return encodeCanonical({
    type: MANIFEST_TYPE,
    build,
    project,
    version,
    approval,
    statements,
    subjects: subjectsJson(subjects),
    releaseKey,
    signingKey,
    hash,
    signedAt,
  });
}
