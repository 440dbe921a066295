/** How far a build has come, by what the log has of it (the words of policy/state). */
import { Failure } from '../failure.ts';
import { builderOf, slotsOf } from '../policy/builder-key.ts';
import type { BuildState } from '../policy/state.ts';
import type { Approval } from '../records/approval.ts';
import type { BuildId } from '../records/names.ts';
import type { Standing } from './result.ts';
import type { Round } from './signer.ts';

/** A build that is not decided: whether as many builders have enrolled, or sealed it, as the quorum asks for. */
export function stageOf(
  { state }: Round,
  approval: Approval,
): Extract<BuildState, 'approved' | 'enrolled' | 'built'> {
  const { statements, enrolments } = state.journal.history.build(approval.build) ?? {
    statements: new Map(),
    enrolments: new Map(),
  };
  if (statements.size >= approval.quorum) return 'built';
  const slots = slotsOf(approval);
  const enrolling = slots.filter((slot) => builderOf(approval, slot).scheme === 'enrol');
  const mayBegin = slots.filter((slot) => !enrolling.includes(slot) || enrolments.has(slot));
  return enrolling.length > 0 && mayBegin.length >= approval.quorum ? 'enrolled' : 'approved';
}

/** Any build, for a result that says what went wrong: so it throws no Failure, though the state be damaged. */
export async function stateOf(round: Round, build: BuildId): Promise<Standing['state']> {
  const logged = round.state.journal.history.build(build);
  if (logged?.refusal) return 'refused';
  if (!logged?.approval) return 'unknown';
  if (logged.revocation) return 'revoked';
  if (logged.release) return 'signed';
  if (logged.intent) return 'verified';
  try {
    return stageOf(round, await round.state.approval(build, logged.approval.sha256));
  } catch (error) {
    if (error instanceof Failure) return 'approved';
    throw error;
  }
}
