/** Where each file of a build lies in the tree (protocol §3), and what a path means. */
import type { Scheme } from './approval.ts';
import { isArtifactName, isFingerprint, isSha256, isSlot } from './names.ts';
import type { ArtifactName, BuildId, Fingerprint, ProjectName, Sha256, Slot, Version } from './names.ts';
import { CHECKSUMS_FILE } from './signatures-list.ts';

/** A second valid statement of a slot is kept beside the first, up to the fourth. */
export type Variant = 1 | 2 | 3 | 4;
export const VARIANTS = [1, 2, 3, 4] as const;

/** What a signature is of: an artifact, or the checksum file. */
export type Signed = ArtifactName | typeof CHECKSUMS_FILE;

// Names below builds/<build>/.
export const approvalFile = 'approval.json';
export const refusalFile = 'refusal.json';
export const refusalProofFile = 'refusal.proof';
export const manifestFile = 'manifest.json';
export const signaturesListFile = 'signatures.list';
export const releaseFile = 'release.json';
export const logEntryFile = 'log-entry.json';
export const releaseProofFile = 'release.proof';

const numbered = (slot: Slot, variant: Variant): string => `${slot}${variant === 1 ? '' : `.${variant}`}`;
const statementStem = (slot: Slot, variant: Variant): string => `statements/${numbered(slot, variant)}`;

export const approvalSignatureFile = (approver: Fingerprint): string => `${approvalFile}.${approver}.sig`;
export const statementFile = (slot: Slot, variant: Variant = 1): string =>
  `${statementStem(slot, variant)}.json`;
export const statementSignatureFile = (slot: Slot, variant: Variant = 1): string =>
  `${statementStem(slot, variant)}.json.sig`;
export const statementMacFile = (slot: Slot, variant: Variant = 1): string =>
  `${statementStem(slot, variant)}.json.mac`;
/** What a builder of this scheme puts beside its statement. */
export const statementAuthenticatorFile = (scheme: Scheme, slot: Slot, variant: Variant = 1): string =>
  scheme === 'mac' ? statementMacFile(slot, variant) : statementSignatureFile(slot, variant);
export const statementEnvelopeFile = (slot: Slot, variant: Variant = 1): string =>
  `${statementStem(slot, variant)}.dsse.json`;
export const enrolmentFile = (slot: Slot, variant: Variant = 1): string =>
  `enrolments/${numbered(slot, variant)}.json`;
export const enrolmentSignatureFile = (slot: Slot, variant: Variant = 1): string =>
  `${enrolmentFile(slot, variant)}.sig`;
export const enrolmentMacFile = (slot: Slot, variant: Variant = 1): string =>
  `${enrolmentFile(slot, variant)}.mac`;
/** One a slot: the log's word on which enrolment is the builder's. */
export const enrolmentReceiptFile = (slot: Slot): string => `${enrolmentFile(slot)}.receipt`;
export const revocationFile = (approver: Fingerprint): string => `revocations/${approver}.json`;
export const revocationSignatureFile = (approver: Fingerprint): string => `${revocationFile(approver)}.sig`;
export const blobFile = (sha256: Sha256): string => `blobs/${sha256}`;
export const signatureFile = (signed: Signed): string => `signatures/${signed}.asc`;

/** The path of a build's directory, or of one file in it. */
export const buildPath = (build: BuildId, file?: string): string =>
  file === undefined ? `builds/${build}` : `builds/${build}/${file}`;

/** The directory that a release is published in. */
export const releaseDir = (project: ProjectName, version: Version): string =>
  `releases/${project}/${version}`;

type StatementKind = 'statement' | 'statement-signature' | 'statement-mac' | 'statement-envelope';
type EnrolmentKind = 'enrolment' | 'enrolment-signature' | 'enrolment-mac' | 'enrolment-receipt';

/** What a file of a build is. */
export type BuildFile =
  | { readonly kind: 'approval' | 'refusal' | 'refusal-proof' | 'manifest' }
  | { readonly kind: 'signatures-list' | 'release' | 'log-entry' | 'release-proof' }
  | {
      readonly kind: 'approval-signature' | 'revocation' | 'revocation-signature';
      readonly approver: Fingerprint;
    }
  | { readonly kind: StatementKind | EnrolmentKind; readonly slot: Slot; readonly variant: Variant }
  | { readonly kind: 'blob'; readonly sha256: Sha256 }
  | { readonly kind: 'signature'; readonly signed: Signed };

const SINGLE = new Map<string, BuildFile>([
  [approvalFile, { kind: 'approval' }],
  [refusalFile, { kind: 'refusal' }],
  [refusalProofFile, { kind: 'refusal-proof' }],
  [manifestFile, { kind: 'manifest' }],
  [signaturesListFile, { kind: 'signatures-list' }],
  [releaseFile, { kind: 'release' }],
  [logEntryFile, { kind: 'log-entry' }],
  [releaseProofFile, { kind: 'release-proof' }],
]);

const STATEMENT_KINDS: ReadonlyMap<string, StatementKind> = new Map([
  ['json', 'statement'],
  ['json.sig', 'statement-signature'],
  ['json.mac', 'statement-mac'],
  ['dsse.json', 'statement-envelope'],
]);
const ENROLMENT_KINDS: ReadonlyMap<string, EnrolmentKind> = new Map([
  ['json', 'enrolment'],
  ['json.sig', 'enrolment-signature'],
  ['json.mac', 'enrolment-mac'],
  ['json.receipt', 'enrolment-receipt'],
]);

/** What the file at this path below `builds/<build>/` is; null for a path that no build has. */
export function parseBuildFile(path: string): BuildFile | null {
  const single = SINGLE.get(path);
  if (single !== undefined) return single;
  const slash = path.indexOf('/');
  const name = path.slice(slash + 1);
  switch (path.slice(0, slash + 1)) {
    case '':
      return parseApprovalSignature(path);
    case 'statements/':
      return parseNumbered(name, STATEMENT_KINDS);
    case 'enrolments/':
      return parseNumbered(name, ENROLMENT_KINDS);
    case 'revocations/':
      return parseRevocationFile(name);
    case 'blobs/':
      return isSha256(name) ? { kind: 'blob', sha256: name } : null;
    case 'signatures/':
      return parseSignatureFile(name);
    default:
      return null;
  }
}

function parseApprovalSignature(name: string): BuildFile | null {
  const approver = /^approval\.json\.(.{40})\.sig$/.exec(name)?.[1] ?? '';
  return isFingerprint(approver) ? { kind: 'approval-signature', approver } : null;
}

function parseRevocationFile(name: string): BuildFile | null {
  const [, approver = '', signature] = /^(.{40})\.json(\.sig)?$/.exec(name) ?? [];
  if (!isFingerprint(approver)) return null;
  return { kind: signature === undefined ? 'revocation' : 'revocation-signature', approver };
}

function parseNumbered(
  name: string,
  kinds: ReadonlyMap<string, StatementKind | EnrolmentKind>,
): BuildFile | null {
  const [slot = '', ...rest] = name.split('.');
  const variant = VARIANTS.find((number) => rest[0] === String(number)) ?? 1;
  const kind = kinds.get((variant === 1 ? rest : rest.slice(1)).join('.'));
  if (kind === undefined || !isSlot(slot)) return null;
  return kind === 'enrolment-receipt' && variant > 1 ? null : { kind, slot, variant };
}

function parseSignatureFile(name: string): BuildFile | null {
  if (!name.endsWith('.asc')) return null;
  const signed = name.slice(0, -'.asc'.length);
  return signed === CHECKSUMS_FILE || isArtifactName(signed) ? { kind: 'signature', signed } : null;
}

const MAX_PATH = 1024;
const SEGMENT = /^[A-Za-z0-9_][A-Za-z0-9._+~@=-]*$/;

/**
 * Whether this is the one way to write a path in a tree: relative, plain segments between single slashes,
 * none of them hidden, so neither `.` nor `..`. Says nothing about whether such a file has a place there.
 */
export const isTreePath = (path: string): boolean =>
  path.length <= MAX_PATH && path.split('/').every((segment) => SEGMENT.test(segment));
