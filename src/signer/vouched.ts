/**
 * What the log has of a build is held against project file, approvers and builders again before it is gone on with: it may have come back from the depot
 * (`sign --recover`), and then whoever has the log key, and nothing else, could have logged it (protocol §1 rule 1).
 */
import { approvalProblems } from '../policy/approval-policy.ts';
import { slotsOf } from '../policy/builder-key.ts';
import type { BuildHistory, Logged } from '../policy/history.ts';
import { loggedApproval } from '../policy/logged.ts';
import type { Project } from '../policy/project.ts';
import { disagreementsOf } from '../policy/quorum.ts';
import { judgeStatement } from '../policy/statement-verdict.ts';
import type { Manifest } from '../records/manifest.ts';
import { timestampDate } from '../records/names.ts';
import type { Slot } from '../records/names.ts';
import { approvalFile, manifestFile, statementFile } from '../records/paths.ts';
import { countAgain } from './approval.ts';
import type { Approved } from './approval.ts';
import { Stop } from './result.ts';
import type { StopCode } from './result.ts';
import type { Round } from './signer.ts';
import { spoilt } from './spoilt.ts';
import { keptStatement, authenticatorOf } from './statement.ts';

const WHO_ELSE =
  'has the project file changed since? restore it, or approve anew; if nobody has changed it: who else has the log key? see docs/how-to/recover.md';

/**
 * Why the release key may not be used for the manifest of this intent; null if approvers and builders vouch for what it
 * rests on. It ends nothing. Throws unable.
 */
export async function unvouched(
  round: Round,
  { build, approval: bound, statements, intent }: BuildHistory,
  manifest: Manifest,
): Promise<Stop | null> {
  if (bound === null || intent === null) throw new RangeError('no intent is logged');
  const { project, state } = round;
  const bytes = await state.kept(build, approvalFile, bound.sha256);
  const approval = loggedApproval(bytes, bound.sha256);
  const counted = await countAgain(round, project, { approval, sha256: bound.sha256, bytes });
  const unsigned = intent.approvers.find((approver) => !counted.approvers.includes(approver));
  const missing = counted.missing ?? (unsigned === undefined ? null : `${unsigned} has not signed it`);
  if (missing !== null) return new Stop('waiting', 'verified', 'approval-waits', missing);
  const [problem] = approvalProblems(project, approval, timestampDate(bound.time));
  if (problem) return stop(problem);
  if (manifest.approval !== bound.sha256 || manifest.version !== approval.version)
    return stop({
      code: 'intent-invalid',
      where: 'manifest.json',
      text: 'it is not of the build’s approval',
    });

  const slots = slotsOf(approval);
  const strange = Object.keys(manifest.statements).find((slot) => !slots.some((each) => each === slot));
  if (strange !== undefined)
    return stop({
      code: 'intent-invalid',
      where: manifestFile,
      text: `its builder ${strange} is none of the approval`,
    });
  // All that the log has, and no other: one that it has and the manifest has not might be a dissent.
  const named = slots.filter((slot) => slot in manifest.statements || statements.has(slot));
  if (named.length < approval.quorum)
    return stop({
      code: 'intent-invalid',
      where: manifestFile,
      text: `${named.length} of ${approval.quorum} builders agree`,
    });
  for (const slot of named) {
    const problem = await unvouchedBy(
      round,
      { approval, sha256: bound.sha256 },
      manifest,
      slot,
      statements.get(slot),
    );
    if (problem) return stop({ where: statementFile(slot), ...problem });
  }
  return null;
}

/**
 * Why a build whose approval the log has goes no further by the project file of now, though enough have signed it; null if
 * the project file allows it. Tried again, until the approval ends. Throws unable.
 */
export async function disallowed(round: Round, project: Project, approved: Approved): Promise<Stop | null> {
  const bound = round.state.journal.history.build(approved.approval.build)?.approval;
  if (!bound) throw new RangeError('no approval is logged');
  const [problem] = approvalProblems(project, approved.approval, timestampDate(bound.time));
  if (!problem) return null;
  const text = `its approval is logged, and not allowed: ${problem.text}`;
  return spoilt(round, approved, { ...problem, text, hint: WHO_ELSE });
}

interface Problem {
  readonly code: StopCode;
  readonly where?: string;
  readonly text: string;
}

/** Why the slot's builder does not vouch for the manifest; null if it does. */
async function unvouchedBy(
  round: Round,
  { approval, sha256 }: Pick<Approved, 'approval' | 'sha256'>,
  manifest: Manifest,
  slot: Slot,
  logged: Logged | undefined,
): Promise<Problem | null> {
  const invalid = (text: string): Problem => ({ code: 'intent-invalid', text });
  if (logged === undefined || manifest.statements[slot] !== logged.sha256)
    return invalid('the manifest is of another statement');
  const kept = await keptStatement(round, approval, slot, logged.sha256);
  const authenticator = await authenticatorOf(round, approval, kept);
  if (authenticator === null)
    return invalid(`the log has no key that the nonce of builder ${slot} introduced`);
  const verdict = judgeStatement({
    ...{ policy: round.project.policy, approval, approvalDigest: sha256, slot, bytes: kept.bytes },
    authenticator,
    firstSeen: timestampDate(logged.time),
  });
  if (verdict.verdict === 'void') return { code: 'statement-invalid', text: verdict.text };
  if (verdict.verdict === 'refuse') return verdict.reasons[0] ?? invalid('it must not be signed');
  const [difference] = disagreementsOf([manifest.subjects, verdict.statement.subjects]);
  return difference ? invalid(`it does not have ${difference.name} as the manifest`) : null;
}

const stop = (problem: { readonly code: StopCode; readonly where: string; readonly text: string }): Stop =>
  new Stop(
    'bad',
    'verified',
    problem.code,
    `its intent is logged, and not allowed: ${problem.where}: ${problem.text}`,
    WHO_ELSE,
  );
