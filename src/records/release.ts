/** The release: what was signed and on whose word, written when every signature exists (protocol §2). */
import { encodeCanonical, MAX_SUBJECTS, parseCanonical, RECORD_MAX } from './canonical.ts';
import { toAssurance } from './assurance.ts';
import type { Assurance } from './assurance.ts';
import { MAX_BUILDERS, SCHEMES } from './approval.ts';
import type { Scheme } from './approval.ts';
import { closedObject, integer, listOf, malformed, oneOf, recordOf } from './fields.ts';
import { toBuildId, toFingerprint, toProjectName, toSha256, toSlot, toVersion } from './names.ts';
import type { BuildId, Fingerprint, ProjectName, Sha256, Slot, Version } from './names.ts';

export const RELEASE_TYPE = 'application/vnd.countersign.release.v1+json';

export interface Release {
  readonly build: BuildId;
  readonly project: ProjectName;
  readonly version: Version;
  readonly manifest: Sha256;
  /** How many signatures there are, that of SHA256SUMS among them, and the digest of signatures.list. */
  readonly signatures: { readonly count: number; readonly sha256: Sha256 };
  /** Those whose statements were believed; the object has no prototype. */
  readonly builders: Readonly<Record<Slot, Scheme>>;
  /** Primary fingerprints, ascending. */
  readonly approvers: readonly Fingerprint[];
  readonly assurance: Assurance;
}

/** Reads a release record's exact bytes. Throws refused: `record-malformed`, `record-too-large`, `name-malformed`. */
export function parseRelease(bytes: Uint8Array): Release {
  const fields = closedObject(parseCanonical(bytes, { maxBytes: RECORD_MAX, what: 'release' }), 'release', [
    'type',
    'build',
    'project',
    'version',
    'manifest',
    'signatures',
    'builders',
    'approvers',
    'assurance',
  ]);
  oneOf(fields.type, 'release.type', [RELEASE_TYPE]);
  const signatures = closedObject(fields.signatures, 'release.signatures', ['count', 'sha256']);
  return {
    build: toBuildId(fields.build, 'release.build'),
    project: toProjectName(fields.project, 'release.project'),
    version: toVersion(fields.version, 'release.version'),
    manifest: toSha256(fields.manifest, 'release.manifest'),
    signatures: {
      count: integer(signatures.count, 'release.signatures.count', { min: 2, max: MAX_SUBJECTS + 1 }),
      sha256: toSha256(signatures.sha256, 'release.signatures.sha256'),
    },
    builders: recordOf(
      fields.builders,
      'release.builders',
      { min: 1, max: MAX_BUILDERS },
      toSlot,
      (scheme, where) => oneOf(scheme, where, SCHEMES),
    ),
    approvers: toApprovers(fields.approvers, 'release.approvers'),
    assurance: toAssurance(fields.assurance, 'release.assurance'),
  };
}

function toApprovers(value: unknown, where: string): Fingerprint[] {
  const approvers = listOf(value, where, { min: 1, max: 256 }, toFingerprint);
  // One person is one line: equal neighbours would show one approver as two.
  if (approvers.some((approver, index) => index > 0 && approver <= (approvers[index - 1] ?? '')))
    throw malformed(where, 'not ascending');
  return approvers;
}

/** The release's bytes: `encodeRelease(parseRelease(b))` is `b`. */
export function encodeRelease(release: Release): Buffer {
  const { build, project, version, manifest, signatures, builders, approvers, assurance } = release;
  return encodeCanonical({
    type: RELEASE_TYPE,
    build,
    project,
    version,
    manifest,
    signatures: { count: signatures.count, sha256: signatures.sha256 },
    builders,
    approvers,
    assurance,
  });
}
