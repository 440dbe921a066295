/**
 * An intent is held against approvers and builder again before it is gone on with: it may have come back from the depot
 * (`sign --recover`), and then whoever has the log key, and nothing else, could have logged it (protocol §1 rule 1).
 */
import { purposeProblems } from '../policy/approval-policy.ts';
import { slotsOf } from '../policy/builder-key.ts';
import type { BuildHistory } from '../policy/history.ts';
import { loggedApproval } from '../policy/logged.ts';
import { judgeStatement } from '../policy/statement-verdict.ts';
import type { Manifest } from '../records/manifest.ts';
import { timestampDate } from '../records/names.ts';
import { approvalFile, statementFile } from '../records/paths.ts';
import { countAgain } from './approval.ts';
import { subjectDifferences } from './difference.ts';
import { Stop } from './result.ts';
import type { Round } from './signer.ts';
import { keptStatement, authenticatorOf } from './statement.ts';

/**
 * Why the release key may not be used for the manifest of this intent; null if approvers and builder signed what it rests
 * on. It ends nothing. Throws unable.
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
  const [foreign] = purposeProblems(project, approval);
  if (foreign) return stop(foreign);
  if (manifest.approval !== bound.sha256 || manifest.version !== approval.version)
    return stop({
      code: 'intent-invalid',
      where: 'manifest.json',
      text: 'it is not of the build’s approval',
    });

  for (const slot of slotsOf(approval)) {
    const [where, logged] = [statementFile(slot), statements.get(slot)];
    if (logged === undefined || manifest.statements[slot] !== logged.sha256)
      return stop({ code: 'intent-invalid', where, text: 'the manifest is of another statement' });
    const signed = await keptStatement(round, build, slot, logged.sha256);
    const verdict = judgeStatement({
      ...{ policy: project.policy, approval, approvalDigest: bound.sha256, slot, bytes: signed.bytes },
      authenticator: await authenticatorOf(round, approval, slot, signed),
      firstSeen: timestampDate(logged.time),
    });
    if (verdict.verdict === 'void') return stop({ code: 'statement-invalid', where, text: verdict.text });
    if (verdict.verdict === 'refuse') return stop(verdict.reasons[0]);
    const [difference] = subjectDifferences(manifest.subjects, verdict.statement.subjects);
    if (difference)
      return stop({
        code: 'intent-invalid',
        where,
        text: `it does not have ${difference.name} as the manifest`,
      });
  }
  return null;
}

const stop = (problem?: { readonly code: string; readonly where: string; readonly text: string }): Stop =>
  new Stop(
    'bad',
    'verified',
    problem?.code ?? 'intent-invalid',
    `its intent is logged, and not allowed: ${problem?.where}: ${problem?.text}`,
    'if nobody has changed the project file: who else has the log key? see docs/how-to/recover.md',
  );
