/** How far a build has come that is not decided, by what the log has of it (the words of policy/state). */
import { builderOf, slotsOf } from '../policy/builder-key.ts';
import type { BuildState } from '../policy/state.ts';
import type { Approval } from '../records/approval.ts';
import type { Round } from './signer.ts';

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
