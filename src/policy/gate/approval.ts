/**
 * Who may write an approval or a further signature of one: an approver, by that signature (protocol §4).
 * And the approval of a build, verified, that every other rule begins with.
 */
import { Failure } from '../../failure.ts';
import type { Certificate } from '../../openpgp/certificate.ts';
import { verifyDetached } from '../../openpgp/verify.ts';
import type { SignatureVerdict } from '../../openpgp/verify.ts';
import { parseApproval } from '../../records/approval.ts';
import type { Approval } from '../../records/approval.ts';
import type { BuildId, Fingerprint, Sha256 } from '../../records/names.ts';
import { approvalFile, approvalSignatureFile, parseBuildFile } from '../../records/paths.ts';
import { sha256Hex } from '../../records/sha256.ts';
import { approvalProblems } from '../approval-policy.ts';
import { countApprovers } from '../approval-verdict.ts';
import { attempt } from '../attempt.ts';
import type { Project } from '../project.ts';
import { verifiedRecord } from '../verified.ts';
import type { Verified } from '../verified.ts';
import type { View } from '../view.ts';
import { judgedAt } from './decided.ts';
import { isProject } from './rules.ts';
import type { GateRules } from './rules.ts';
import { allowed, denied, deniedBy, deniedFor } from './verdict.ts';
import type { Denied, GateVerdict } from './verdict.ts';
import { decidedFor, otherBytes } from './write.ts';
import type { Write } from './write.ts';

/** A build's approval with at least one approver's signature: enough to take uploads, not to publish. */
export interface SignedApproval {
  readonly approval: Verified<Approval>;
  /** SHA-256 of its bytes. */
  readonly digest: Sha256;
}

/** Whether the write's approval and approver signatures are taken. */
export async function judgeApprovalWrite(write: Write): Promise<GateVerdict> {
  const { rules, build, now } = write;
  if (!isProject(rules)) return denied(403, 'approver-unknown', 'a ticket approves nothing');

  // 1. One approval a build, and one signature a person: other bytes never replace.
  const conflict = await otherBytes(write, write.files);
  if (conflict !== null) return conflict;

  // 2. Every signature in the write counts, or nothing is kept. Once the log has decided, keys are judged as of then.
  const bytes = await write.after.read(approvalFile);
  if (bytes === null) return unknownBuild(build);
  const decided = await decidedFor(write);
  const at = judgedAt(decided, sha256Hex(bytes), now);
  for (const [name, signature] of write.files) {
    const file = parseBuildFile(name);
    if (file?.kind !== 'approval-signature') continue;
    const certificate = approverCertificate(rules, file.approver);
    if (certificate === undefined)
      return denied(403, 'approver-unknown', `${name}: no approver of the project`);
    const verdict = verifyDetached(signature, bytes, certificate, at);
    if (!verdict.ok) return denied(403, 'signature-invalid', `${name}: ${verdict.reason}`);
  }

  // 3. With those of the tree there is at least one; only now is the approval read.
  const signed = await signedApproval(rules, build, write.after, at);
  if ('allow' in signed) return signed;

  // 4. It is one that the signer could accept: this project's, within the policy, not expired by our clock; or one
  //    that it has acted on.
  const problems = decided?.approval === signed.digest ? [] : approvalProblems(rules, signed.approval, now);
  if (problems.length > 0) return deniedFor(422, problems);
  // The record last: whoever sees it finds its authenticator.
  return allowed(
    [...write.files].sort(([a], [b]) => Number(a === approvalFile) - Number(b === approvalFile)),
  );
}

/** The build's approval, if an approver of the project file signed it, or the ticket stands for that; else 404, 403 or 422. */
export async function signedApproval(
  rules: GateRules,
  build: BuildId,
  directory: Pick<View, 'read'>,
  now: Date,
): Promise<SignedApproval | Denied> {
  // 1. Signatures first: one by each approver at most, over these bytes.
  const bytes = await directory.read(approvalFile);
  if (bytes === null) return unknownBuild(build);
  const digest = sha256Hex(bytes);
  if (!(isProject(rules) ? await isSigned(rules, bytes, directory, now) : digest === rules.vouched))
    return denied(
      403,
      'write-needs-authenticator',
      `no approver of the project has signed the approval of ${build}`,
      'if it is of another project: check the depot and -c',
    );

  // 2. Then the bytes, and that they are this build's.
  const approval = attempt(() => parseApproval(bytes));
  if (approval instanceof Failure) return deniedBy(approval, 422);
  if (approval.build !== build)
    return denied(422, 'build-mismatch', `${approvalFile} is that of build ${approval.build}, not ${build}`);
  return { approval: verifiedRecord(approval), digest };
}

async function isSigned(
  project: Project,
  bytes: Buffer,
  directory: Pick<View, 'read'>,
  now: Date,
): Promise<boolean> {
  const verdicts = new Map<Fingerprint, SignatureVerdict>();
  for (const certificate of project.approvers) {
    const { fingerprint } = certificate.primary;
    const signature = await directory.read(approvalSignatureFile(fingerprint));
    if (signature !== null) verdicts.set(fingerprint, verifyDetached(signature, bytes, certificate, now));
  }
  return countApprovers(project, verdicts).length > 0;
}

const unknownBuild = (build: BuildId): Denied =>
  denied(404, 'build-unknown', `there is no approval of build ${build}`);

/** The certificate of an approver of the project file; undefined for anybody else. */
export const approverCertificate = (project: Project, approver: Fingerprint): Certificate | undefined =>
  project.approvers.find(({ primary }) => primary.fingerprint === approver);
