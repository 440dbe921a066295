/** The approval: what people allow H to sign, for one build (protocol §2, "approval"). */
import { artifactLimitsJson, toArtifactLimits } from './artifact-limits.ts';
import type { ArtifactLimits } from './artifact-limits.ts';
import { canonicalize, encodeCanonical, parseCanonical, RECORD_MAX } from './canonical.ts';
import { closedObject, integer, malformed, nullOr, oneOf, recordOf, text } from './fields.ts';
import {
  decodeBase64Strict,
  toBuildId,
  toFingerprint,
  toProjectName,
  toSha256,
  toSlot,
  toTimestamp,
  toVersion,
} from './names.ts';
import type { BuildId, Fingerprint, ProjectName, Sha256, Slot, Timestamp, Version } from './names.ts';
import { sha256Hex } from './sha256.ts';
import { sourceJson, toSource } from './source.ts';
import type { Source } from './source.ts';

export type { ArtifactLimits } from './artifact-limits.ts';
export type { Source } from './source.ts';

export const APPROVAL_TYPE = 'application/vnd.countersign.approval.v1+json';

/** How a builder proves itself (protocol §2). */
export const SCHEMES = ['keypair', 'mac', 'enrol'] as const;
export type Scheme = (typeof SCHEMES)[number];

/** How the signer gets the artifacts: `fetch` reads them whole, `digest` takes the builder's hash states instead (protocol §5.5). */
export const MODES = ['fetch', 'digest'] as const;
export type Mode = (typeof MODES)[number];

/** A builder with a key pair made for this build; the private half travels in its ticket. */
export interface KeypairBuilder {
  readonly scheme: 'keypair';
  readonly uploadTokenSha256: Sha256;
  /** Strict base64 of the binary OpenPGP certificate; what it holds is the business of openpgp. */
  readonly certificate: string;
}

/** A nonce made for this build, in the builder's ticket; the signer has it sealed to its encryption certificate. */
interface Sealed {
  readonly uploadTokenSha256: Sha256;
  /** Strict base64 of the nonce, encrypted by gpg. */
  readonly sealedNonce: string;
  readonly nonceSha256: Sha256;
}

/** A builder that keys a MAC with its nonce. */
export interface MacBuilder extends Sealed {
  readonly scheme: 'mac';
}

/** A builder that makes a key of its own, and introduces it by its nonce before `enrolBy`. */
export interface EnrolBuilder extends Sealed {
  readonly scheme: 'enrol';
  readonly enrolBy: Timestamp;
}

export type Builder = KeypairBuilder | MacBuilder | EnrolBuilder;

export interface Approval {
  readonly type: typeof APPROVAL_TYPE;
  /** Log origin of the H that it is meant for. */
  readonly signer: string;
  readonly build: BuildId;
  readonly project: ProjectName;
  readonly version: Version;
  /** Null: not stated. */
  readonly source: Source | null;
  readonly artifacts: ArtifactLimits;
  /** 1 to 16; the object has no prototype. */
  readonly builders: Readonly<Record<Slot, Builder>>;
  /** How many builders must agree. */
  readonly quorum: number;
  readonly mode: Mode;
  /** Primary fingerprint of the key that is to sign. */
  readonly releaseKey: Fingerprint;
  readonly notBefore: Timestamp;
  readonly expires: Timestamp;
  /** Primary fingerprint of the approver who asked. */
  readonly requester: Fingerprint;
}

/** Of a build. */
export const MAX_BUILDERS = 16;

const MAX_SEALED = 8 * 1024;

function toBuilder(value: unknown, where: string): Builder {
  // The scheme decides which fields there are, so it is looked at first.
  const claimed = typeof value === 'object' && value !== null && 'scheme' in value ? value.scheme : undefined;
  const scheme = oneOf(claimed, `${where}.scheme`, SCHEMES);
  switch (scheme) {
    case 'keypair': {
      const fields = closedObject(value, where, ['scheme', 'uploadTokenSha256', 'certificate']);
      const uploadTokenSha256 = toSha256(fields.uploadTokenSha256, `${where}.uploadTokenSha256`);
      return {
        scheme,
        uploadTokenSha256,
        certificate: base64Text(fields.certificate, `${where}.certificate`),
      };
    }
    case 'mac':
      return { scheme, ...toSealed(closedObject(value, where, ['scheme', ...SEALED]), where) };
    case 'enrol': {
      const fields = closedObject(value, where, ['scheme', ...SEALED, 'enrolBy']);
      return { scheme, ...toSealed(fields, where), enrolBy: toTimestamp(fields.enrolBy, `${where}.enrolBy`) };
    }
  }
}

const SEALED = ['uploadTokenSha256', 'sealedNonce', 'nonceSha256'] as const;

const toSealed = (fields: Readonly<Record<(typeof SEALED)[number], unknown>>, where: string): Sealed => ({
  uploadTokenSha256: toSha256(fields.uploadTokenSha256, `${where}.uploadTokenSha256`),
  sealedNonce: base64Text(fields.sealedNonce, `${where}.sealedNonce`, MAX_SEALED),
  nonceSha256: toSha256(fields.nonceSha256, `${where}.nonceSha256`),
});

/** Strict base64, as it stands there. */
function base64Text(value: unknown, where: string, maxBytes = RECORD_MAX): string {
  const encoded = text(value, where, maxBytes);
  decodeBase64Strict(encoded, where);
  return encoded;
}

/** Reads an approval's exact bytes. Throws refused: `record-malformed`, `record-too-large`, `name-malformed`. */
export function parseApproval(bytes: Uint8Array): Approval {
  const fields = closedObject(parseCanonical(bytes, { maxBytes: RECORD_MAX, what: 'approval' }), 'approval', [
    'type',
    'signer',
    'build',
    'project',
    'version',
    'source',
    'artifacts',
    'builders',
    'quorum',
    'mode',
    'releaseKey',
    'notBefore',
    'expires',
    'requester',
  ]);
  const bounds = { min: 1, max: MAX_BUILDERS };
  const builders = recordOf(fields.builders, 'approval.builders', bounds, toSlot, toBuilder);
  const approval: Approval = {
    type: oneOf(fields.type, 'approval.type', [APPROVAL_TYPE]),
    signer: toOrigin(fields.signer, 'approval.signer'),
    build: toBuildId(fields.build, 'approval.build'),
    project: toProjectName(fields.project, 'approval.project'),
    version: toVersion(fields.version, 'approval.version'),
    source: nullOr(fields.source, 'approval.source', toSource),
    artifacts: toArtifactLimits(fields.artifacts, 'approval.artifacts'),
    builders,
    quorum: integer(fields.quorum, 'approval.quorum', { min: 1, max: Object.keys(builders).length }),
    mode: oneOf(fields.mode, 'approval.mode', MODES),
    releaseKey: toFingerprint(fields.releaseKey, 'approval.releaseKey'),
    notBefore: toTimestamp(fields.notBefore, 'approval.notBefore'),
    expires: toTimestamp(fields.expires, 'approval.expires'),
    requester: toFingerprint(fields.requester, 'approval.requester'),
  };
  if (approval.expires <= approval.notBefore) throw malformed('approval.expires', 'not after notBefore');
  return approval;
}

/** A log's origin: a key name of C2SP signed-note, so no spaces and no plus; printable ASCII here. */
export function toOrigin(value: unknown, where: string): string {
  const origin = text(value, where, 255);
  if (!/^[\x21-\x2a\x2c-\x7e]+$/.test(origin)) throw malformed(where, 'not a log origin');
  return origin;
}

function builderJson(builder: Builder) {
  const { scheme, uploadTokenSha256 } = builder;
  if (builder.scheme === 'keypair') return { scheme, uploadTokenSha256, certificate: builder.certificate };
  const { sealedNonce, nonceSha256 } = builder;
  const sealed = { scheme, uploadTokenSha256, sealedNonce, nonceSha256 };
  return builder.scheme === 'mac' ? sealed : { ...sealed, enrolBy: builder.enrolBy };
}

const approvalJson = (approval: Approval) => ({
  type: approval.type,
  signer: approval.signer,
  build: approval.build,
  project: approval.project,
  version: approval.version,
  source: sourceJson(approval.source),
  artifacts: artifactLimitsJson(approval.artifacts),
  builders: Object.fromEntries(
    Object.entries(approval.builders).map(([slot, builder]) => [slot, builderJson(builder)]),
  ),
  quorum: approval.quorum,
  mode: approval.mode,
  releaseKey: approval.releaseKey,
  notBefore: approval.notBefore,
  expires: approval.expires,
  requester: approval.requester,
});

/** The approval's bytes: `encodeApproval(parseApproval(b))` is `b`. */
export const encodeApproval = (approval: Approval): Buffer => encodeCanonical(approvalJson(approval));

/**
 * What was agreed on, as one digest: the approval less ids, times and ephemeral keys. Two approvals with
 * the same terms allow the same thing, so `approve --expect` can refuse anything else.
 */
export function terms(approval: Approval): Sha256 {
  const {
    build: _build,
    notBefore: _notBefore,
    expires: _expires,
    builders,
    ...rest
  } = approvalJson(approval);
  const schemes = Object.entries(builders).map(([slot, { scheme }]) => [slot, { scheme }] as const);
  return sha256Hex(canonicalize({ ...rest, builders: Object.fromEntries(schemes) }));
}
