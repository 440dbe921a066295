/**
 * What the files of a build prove: names are the depot's word, signatures and log proofs are not. The log's key is
 * enough here: what a release lacks of witnesses, a release from before them say, is for its consumers.
 */
import { Failure } from '../failure.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { MAX_SIGNATURE_BYTES } from '../openpgp/signature.ts';
import { verifyDetached } from '../openpgp/verify.ts';
import type { SignatureVerdict } from '../openpgp/verify.ts';
import { countApprovers } from '../policy/approval-verdict.ts';
import { attempt } from '../policy/attempt.ts';
import { builderOf, slotsOf } from '../policy/builder-key.ts';
import { validRevocations } from '../policy/gate/revocation.ts';
import type { Project } from '../policy/project.ts';
import { verifyRefusal, verifyReleaseEntry } from '../policy/release-chain.ts';
import { slotCertificate } from '../policy/slot-key.ts';
import type { View } from '../policy/view.ts';
import type { Approval } from '../records/approval.ts';
import { RECORD_MAX } from '../records/canonical.ts';
import type { BuildId, Fingerprint, Slot, Timestamp } from '../records/names.ts';
import {
  approvalSignatureFile,
  buildPath,
  enrolmentReceiptFile,
  logEntryFile,
  manifestFile,
  refusalFile,
  refusalProofFile,
  releaseDir,
  releaseFile,
  releaseProofFile,
  signaturesListFile,
  statementAuthenticatorFile,
  statementFile,
} from '../records/paths.ts';
import type { Refusal } from '../records/refusal.ts';
import { sha256Hex } from '../records/sha256.ts';
import { PROOF_MAX, unwitnessed } from '../tlog/proof.ts';
import type { Depot } from '../tree/tree.ts';

/** A revocation that counts: an approver's, of this build. */
export interface CountedRevocation {
  readonly approver: Fingerprint;
  /** Foreign text. */
  readonly reason: string;
  readonly time: Timestamp;
}

export interface Evidence {
  /** Approvers whose signature over the approval verifies. */
  readonly approvers: readonly Fingerprint[];
  /** Files that count for the state: those with a proof only if it holds. */
  readonly files: ReadonlySet<string>;
  readonly refusal: Refusal | null;
  /** The oldest first. In force when the log has it, which is not asked here. */
  readonly revocations: readonly CountedRevocation[];
  readonly published: boolean;
  /** Of the entry that ended the build. */
  readonly logIndex: number | null;
}

/** Reads what there is of a build. Throws unable when the depot can't be read. */
export async function gatherEvidence(
  project: Project,
  depot: Depot,
  approval: Approval,
  approvalBytes: Buffer,
  now: Date,
): Promise<Evidence> {
  const at = (name: string): string => buildPath(approval.build, name);
  const files = new Set<string>();
  for (const slot of slotsOf(approval)) {
    const { scheme } = builderOf(approval, slot);
    for (const name of [statementFile(slot), statementAuthenticatorFile(scheme, slot)])
      if (await isThere(depot, at(name))) files.add(name);
    if (scheme === 'enrol' && (await enrolledCertificate(project, depot, approval, slot)) !== null)
      files.add(enrolmentReceiptFile(slot));
  }

  const approvers = await approversOf(project, depot, approval, approvalBytes, now);
  const revocations = await revocationsOf(project, depot, approval, approvalBytes, now);
  const release = await provenRelease(project, depot, approval);
  if (release !== null) {
    files.add(releaseProofFile).add(logEntryFile);
    for (const name of [releaseFile, manifestFile, signaturesListFile])
      if (await isThere(depot, at(name))) files.add(name);
    return { approvers, files, refusal: null, revocations, ...release };
  }
  const refusal = await provenRefusal(project, depot, approval);
  if (refusal !== null) files.add(refusalFile).add(refusalProofFile);
  return {
    approvers,
    files,
    refusal: refusal?.refusal ?? null,
    revocations,
    published: false,
    logIndex: refusal?.logIndex ?? null,
  };
}

/** Approvers of the project file whose signature over the approval's bytes verifies. Throws unable. */
export async function approversOf(
  project: Project,
  depot: Depot,
  { build }: Approval,
  bytes: Buffer,
  now: Date,
): Promise<Fingerprint[]> {
  const verdicts = new Map<Fingerprint, SignatureVerdict>();
  for (const certificate of project.approvers) {
    const { fingerprint } = certificate.primary;
    const signature = await depot.read(
      buildPath(build, approvalSignatureFile(fingerprint)),
      MAX_SIGNATURE_BYTES,
    );
    if (signature !== null) verdicts.set(fingerprint, verifyDetached(signature, bytes, certificate, now));
  }
  return countApprovers(project, verdicts);
}

/** The revocations of this approval that count. Throws unable. */
async function revocationsOf(
  project: Project,
  depot: Depot,
  { build }: Approval,
  approvalBytes: Buffer,
  now: Date,
): Promise<CountedRevocation[]> {
  const revocable = { build, approval: sha256Hex(approvalBytes) };
  const valid = await validRevocations(project, revocable, directoryOf(depot, build), now);
  return [...valid]
    .map(([approver, { reason, time }]) => ({ approver, reason, time }))
    .sort((a, b) => (a.time < b.time ? -1 : 1));
}

/** The small files of a build. */
export const directoryOf = (depot: Depot, build: BuildId): Pick<View, 'read'> => ({
  read: (name) => depot.read(buildPath(build, name), Math.max(RECORD_MAX, PROOF_MAX)),
});

/** The certificate that the slot has introduced, by the log's receipt; null if that is not here. Throws unable. */
export async function enrolledCertificate(
  project: Project,
  depot: Depot,
  approval: Approval,
  slot: Slot,
): Promise<Certificate | null> {
  try {
    return await slotCertificate(
      approval,
      slot,
      directoryOf(depot, approval.build),
      unwitnessed(project.log),
    );
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'refused') throw error;
    return null;
  }
}

/** The release that the log proves for this build, and whether it is visible; null if there is none. */
async function provenRelease(
  project: Project,
  depot: Depot,
  approval: Approval,
): Promise<{ published: boolean; logIndex: number } | null> {
  const { build, version } = approval;
  const proof = await depot.read(buildPath(build, releaseProofFile), PROOF_MAX);
  const entry = await depot.read(buildPath(build, logEntryFile), RECORD_MAX);
  if (proof === null || entry === null) return null;
  const proven = attempt(() => verifyReleaseEntry(proof, entry, unwitnessed(project.log)));
  if (proven instanceof Failure || proven.entry.build !== build) return null;
  // the release of this version may be that of another build
  const visible = `${releaseDir(approval.project, version)}/countersign`;
  const published =
    (await isThere(depot, `${visible}/${releaseProofFile}`)) &&
    (await depot.read(`${visible}/${logEntryFile}`, RECORD_MAX))?.equals(entry) === true;
  return { published, logIndex: proven.index };
}

/** The refusal that the log proves for this build; null if there is none. Throws unable. */
export async function provenRefusal(
  project: Project,
  depot: Depot,
  { build }: Approval,
): Promise<{ refusal: Refusal; logIndex: number } | null> {
  const proof = await depot.read(buildPath(build, refusalProofFile), PROOF_MAX);
  const bytes = await depot.read(buildPath(build, refusalFile), RECORD_MAX);
  if (proof === null || bytes === null) return null;
  const proven = attempt(() => verifyRefusal(proof, bytes, unwitnessed(project.log)));
  if (proven instanceof Failure || proven.refusal.build !== build) return null;
  return { refusal: proven.refusal, logIndex: proven.index };
}

/** Without reading it: manifests and statements are large. */
async function isThere(depot: Depot, path: string): Promise<boolean> {
  const file = await depot.open(path);
  file?.stream.destroy();
  return file !== null;
}
