/** Step 1 of protocol §5: the approval that a build is bound to. */
import { Failure } from '../failure.ts';
import { elsewhereHint, isExpired, purposeProblems } from '../policy/approval-policy.ts';
import { judgeApproval } from '../policy/approval-verdict.ts';
import { attempt } from '../policy/attempt.ts';
import { approvedCertificates, slotsOf } from '../policy/builder-key.ts';
import { loggedApproval } from '../policy/logged.ts';
import type { Project } from '../policy/project.ts';
import type { Verified } from '../policy/verified.ts';
import { parseApproval } from '../records/approval.ts';
import type { Approval } from '../records/approval.ts';
import { RECORD_MAX } from '../records/canonical.ts';
import { timestamp } from '../records/names.ts';
import type { BuildId, Sha256 } from '../records/names.ts';
import { approvalFile, buildPath, statementFile } from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import { approvalSignatures, countSigned, verdictsOf } from './approvers.ts';
import type { ApprovalSignatures, Count } from './approvers.ts';
import { versionHolder } from './holder.ts';
import { refuse } from './refuse.ts';
import { Stop } from './result.ts';
import { revokedUnlogged } from './revocation.ts';
import type { Round } from './signer.ts';
import { expired, spoilt } from './spoilt.ts';

/** An approval that the log has. */
export interface Approved {
  readonly approval: Verified<Approval>;
  readonly sha256: Sha256;
  readonly bytes: Buffer;
}

/** The approval in the log; or the depot's, judged and logged now. Throws unable. */
export async function bindApproval(round: Round, build: BuildId): Promise<Approved | Stop> {
  const bytes = await round.depot.read(buildPath(build, approvalFile), RECORD_MAX);
  const logged = round.state.journal.history.build(build)?.approval ?? null;
  if (logged !== null) return boundApproval(round, build, logged.sha256, bytes);
  if (bytes === null)
    return new Stop(
      'unfinished',
      'unknown',
      'approval-missing',
      'the depot has no approval for this build',
      'countersign status lists them',
    );
  return newApproval(round, build, bytes);
}

/** The count against another state of the project file, signatures that came since included. Throws unable. */
export async function countAgain(
  round: Round,
  project: Project,
  { approval, bytes }: Approved,
): Promise<Count> {
  const signatures = await approvalSignatures(round, project, approval.build, bytes);
  return countSigned(round, project, approval, signatures);
}

/** The log is believed, not the depot: what it shows now is only compared. */
async function boundApproval(
  round: Round,
  build: BuildId,
  sha256: Sha256,
  shown: Buffer | null,
): Promise<Approved | Stop> {
  const bytes = await round.state.kept(build, approvalFile, sha256);
  const approval = loggedApproval(bytes, sha256);
  const bound = { approval, sha256, bytes };
  if (shown?.equals(bytes) === true) return bound;
  const where = approvalFile;
  if (shown === null)
    return spoilt(round, bound, {
      ...{ code: 'approval-missing', where, text: 'the depot has lost it' },
      hint: 'bring it from a mirror (docs/how-to/backup.md), or approve again',
    });
  const text = `the build is bound to approval ${sha256}, this is another`;
  return spoilt(round, bound, { code: 'build-taken', where, text });
}

async function newApproval(round: Round, build: BuildId, bytes: Buffer): Promise<Approved | Stop> {
  const { project } = round;
  const now = round.now();
  const claimed = attempt(() => parseApproval(bytes));
  const holder =
    claimed instanceof Failure ? null : await versionHolder(round, claimed.project, claimed.version);
  const signatures = await approvalSignatures(round, project, build, bytes);
  const verdict = judgeApproval({
    ...{ project, build, bytes, now },
    signatures: verdictsOf(signatures),
    // The build id is free: one that the log knows does not come here (`build-taken`, above).
    log: () => ({
      keysSeen: round.state.journal.history.keys,
      versionTaken: holder?.build ?? null,
    }),
  });
  switch (verdict.verdict) {
    case 'void': {
      // Nobody's word but the depot's: it ends nothing, and counts only where a build waits to be signed.
      const waits =
        !(claimed instanceof Failure) && !isExpired(claimed, now) && (await isSealed(round, claimed));
      const text = `its approval: ${verdict.text}`;
      const hint = claimed instanceof Failure ? '' : elsewhereHint(purposeProblems(project, claimed));
      return new Stop(waits ? 'bad' : 'void', 'approved', 'approval-invalid', text, hint);
    }
    case 'wait': {
      const { approval, missing } = verdict;
      if (isExpired(approval, now)) return expired(round, approval);
      const revoked = missing ? await revokedUnlogged(round, approval, sha256Hex(bytes)) : null;
      return revoked ?? new Stop('waiting', 'approved', 'approval-waits', verdict.text);
    }
    case 'refuse': {
      const { approval, reasons } = verdict;
      const abandoned = reasons.every(({ code }) => code === 'expired') && !(await isSealed(round, approval));
      return abandoned
        ? expired(round, approval)
        : refuse(round, { approval, sha256: sha256Hex(bytes) }, reasons);
    }
    case 'accept':
      return logApproval(round, verdict.approval, bytes, signatures);
  }
}

/** On the disk, then in the log, and only then acted upon (§1 rule 4). */
async function logApproval(
  round: Round,
  approval: Verified<Approval>,
  bytes: Buffer,
  signatures: ApprovalSignatures,
): Promise<Approved> {
  const { build, project, version } = approval;
  const sha256 = sha256Hex(bytes);
  await round.state.write(build, approvalFile, bytes);
  const counted = await countSigned(round, round.project, approval, signatures);
  await round.state.journal.append({
    type: 'approval',
    time: timestamp(round.now()),
    ...{ build, project, version },
    records: { [approvalFile]: sha256, ...counted.records },
    keys: [...approvedCertificates(approval).values()].map(({ primary }) => primary.fingerprint),
  });
  return { approval, sha256, bytes };
}

/** Whether the depot shows a statement. */
async function isSealed({ depot }: Round, approval: Approval): Promise<boolean> {
  for (const slot of slotsOf(approval)) {
    if ((await depot.size(buildPath(approval.build, statementFile(slot)))) !== null) return true;
  }
  return false;
}
