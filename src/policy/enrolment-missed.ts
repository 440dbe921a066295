/** Builders whose key the signer had not taken when they could enrol no longer: what that leaves of a build. */
import type { Approval } from '../records/approval.ts';
import { timestampDate } from '../records/names.ts';
import type { Slot } from '../records/names.ts';
import { builderOf, slotsOf } from './builder-key.ts';

/** The slots that are out, in ascending order: they can seal nothing any more. */
export const missedEnrolment = (approval: Approval, enrolled: ReadonlySet<Slot>, now: Date): Slot[] =>
  slotsOf(approval).filter((slot) => {
    const builder = builderOf(approval, slot);
    return builder.scheme === 'enrol' && !enrolled.has(slot) && now >= timestampDate(builder.enrolBy);
  });

/** That too few are left to agree, in a sentence; null if there are enough. */
export function tooFewEnrolled(approval: Approval, missed: readonly Slot[]): string | null {
  if (slotsOf(approval).length - missed.length >= approval.quorum) return null;
  const times = missed.map((slot) => builderOf(approval, slot)).flatMap((each) => (each.scheme === 'enrol' ? [each.enrolBy] : [])); // prettier-ignore
  return `${missed.join(', ')} did not enrol before ${times.sort().at(-1)}: it can no longer be built`;
}
