/**
 * May the release key be used for this build? The verdict on an approval (protocol §2 "approval", §5 step 1).
 *
 * Signatures come in as verdicts, so that the signer (gpgv) and the gate (in process) decide by one logic.
 */
import { Failure } from '../failure.ts';
import type { SignatureVerdict } from '../openpgp/verify.ts';
import { parseApproval } from '../records/approval.ts';
import type { Approval } from '../records/approval.ts';
import { timestampDate } from '../records/names.ts';
import type { BuildId, Fingerprint } from '../records/names.ts';
import type { Reason, ReasonCode } from '../records/refusal.ts';
import { approvalProblems } from './approval-policy.ts';
import { attempt } from './attempt.ts';
import { approvedCertificates } from './builder-key.ts';
import type { Project } from './project.ts';
import { verifiedRecord } from './verified.ts';
import type { Verified } from './verified.ts';

/** What the signer's log says that bears on an approval. */
export interface LogFacts {
  /** Ephemeral keys logged for *other* approvals. */
  readonly keysSeen: ReadonlySet<Fingerprint>;
  /** The other build that has this project's version; null when free, or when that one ended without an intent. */
  readonly versionTaken: BuildId | null;
}

export interface ApprovalQuestion {
  readonly project: Project;
  /** Under which build the depot shows it. */
  readonly build: BuildId;
  /** `approval.json`, exactly as received. */
  readonly bytes: Buffer;
  /** The verdict on each `approval.json.<FPR>.sig` over those bytes, by the fingerprint in its name. */
  readonly signatures: ReadonlyMap<Fingerprint, SignatureVerdict>;
  readonly now: Date;
  /** Asked only for an approval that enough approvers signed. */
  readonly log: (approval: Verified<Approval>) => LogFacts;
}

export type ApprovalVerdict =
  | {
      readonly verdict: 'accept';
      readonly approval: Verified<Approval>;
      readonly approvers: readonly Fingerprint[];
    }
  /** More signatures or more time can make it acceptable. */
  | {
      readonly verdict: 'wait';
      readonly approval: Verified<Approval>;
      /** For approvers; else for its time. */
      readonly missing: boolean;
      readonly text: string;
    }
  /** Enough approvers signed what must not be built: it ends the build and is logged. */
  | { readonly verdict: 'refuse'; readonly approval: Verified<Approval>; readonly reasons: readonly Reason[] }
  /** Not (validly) signed as what it lies here as: the depot's doing for all we know, so nothing is logged (§1, rule 7). */
  | { readonly verdict: 'void'; readonly text: string };

/** The verdict, with all its reasons. */
export function judgeApproval(question: ApprovalQuestion): ApprovalVerdict {
  const { project, signatures, now } = question;

  // 1. Authority, before anything is read: approvers of the project file whose signature is over these bytes.
  const approvers = countApprovers(project, signatures);
  if (approvers.length === 0) return { verdict: 'void', text: 'no approver of the project file signed it' };

  // 2. Bytes: canonical, closed, and lying where they say they belong. A copy under another build is replay.
  const read = attempt(() => parseApproval(question.bytes));
  if (read instanceof Failure) return { verdict: 'void', text: read.message };
  const approval = verifiedRecord(read);
  if (approval.build !== question.build)
    return { verdict: 'void', text: `it is the approval of build ${approval.build}` };

  // 3. Threshold: that many persons, the requester among them.
  const missing = missingApprovers(project, approval, approvers);
  if (missing !== null) return { verdict: 'wait', approval, missing: true, text: missing };

  // 4. Signer, project, release key, policy, time, keys: whatever the project file decides.
  // 5. Bound: (project, version) to this build, each key to one approval ever; the build id, once it is logged, to its approval.
  const reasons = [
    ...approvalProblems(project, approval, now),
    ...bindingProblems(approval, question.log(approval)),
  ];
  if (reasons.length > 0) return { verdict: 'refuse', approval, reasons };

  // 6. Too early is no reason to refuse.
  if (now < timestampDate(approval.notBefore))
    return {
      verdict: 'wait',
      approval,
      missing: false,
      text: `it is not valid before ${approval.notBefore}`,
    };
  return { verdict: 'accept', approval, approvers };
}

/**
 * The persons who signed: distinct approver certificates of the project file, sorted. Two subkeys are one
 * vote, and a signature that does not verify counts for nothing and undoes nothing (§2).
 */
export function countApprovers(
  project: Project,
  signatures: ReadonlyMap<Fingerprint, SignatureVerdict>,
): Fingerprint[] {
  const approvers = new Set(project.approvers.map((certificate) => certificate.primary.fingerprint));
  const signed = new Set<Fingerprint>();
  for (const [name, verdict] of signatures)
    if (verdict.ok && verdict.primary === name && approvers.has(name)) signed.add(name);
  return [...signed].sort();
}

/** Whom the approval still waits for, in words; null when it has its threshold and its requester. */
export function missingApprovers(
  project: Project,
  approval: Approval,
  approvers: readonly Fingerprint[],
): string | null {
  if (!approvers.includes(approval.requester)) return `its requester ${approval.requester} has not signed it`;
  if (approvers.length >= project.threshold) return null;
  return `${approvers.length} of ${project.threshold} approvers have signed it`;
}

function bindingProblems(approval: Verified<Approval>, log: LogFacts): Reason[] {
  const reasons: Reason[] = [];
  const reason = (code: ReasonCode, field: string, text: string): number =>
    reasons.push({ code, where: `approval.json: ${field}`, text });
  const { project, version } = approval;
  if (log.versionTaken !== null)
    reason('version-taken', 'version', `${project} ${version} is bound to build ${log.versionTaken}`);
  const certificates = attempt(() => approvedCertificates(approval));
  // A key of another shape has been refused above.
  if (certificates instanceof Failure) return reasons;
  for (const [slot, { primary }] of certificates) {
    if (!log.keysSeen.has(primary.fingerprint)) continue;
    const text = `key ${primary.fingerprint} is in the log already`;
    reason('key-seen', `builders.${slot}.certificate`, text);
  }
  return reasons;
}
