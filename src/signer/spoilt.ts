/** What ends a build's hopes, and what doesn't: its own expiry, and what the depot or the network spoilt. */
import { isExpired } from '../policy/approval-policy.ts';
import { builderOf, slotsOf } from '../policy/builder-key.ts';
import type { Approval } from '../records/approval.ts';
import type { Sha256 } from '../records/names.ts';
import { wayOn } from './holder.ts';
import { refuse } from './refuse.ts';
import { Stop } from './result.ts';
import type { StopCode } from './result.ts';
import type { Round } from './signer.ts';
import { stageOf } from './stage.ts';

export const TRIED_AGAIN = 'it is tried again on every run; if the depot is a copy, copy it again';

/** Nobody sealed it in time: over without a word of the signer's, and its version is free again. Throws unable. */
export async function expired(round: Round, approval: Approval): Promise<Stop> {
  const text = `its approval ended at ${approval.expires}`;
  return new Stop('decided', 'expired', 'expired', text, await wayOn(round, approval));
}

/** Whether the approval has ended and the log has no statement of the build: then no nonce is opened for it any more. */
export const hasEndedUnsealed = ({ state, now }: Round, approval: Approval): boolean =>
  isExpired(approval, now()) &&
  state.journal.history.build(approval.build)?.statements.size === 0 &&
  slotsOf(approval).some((slot) => builderOf(approval, slot).scheme !== 'keypair');

/**
 * Wrong or missing bytes, or a bad authenticator, of a build that waits to be signed. The depot could have done
 * that, so it is reported and tried again (§1 rule 7), until the approval ends: that the approvers signed.
 */
export async function spoilt(
  round: Round,
  bound: { readonly approval: Approval; readonly sha256: Sha256 },
  found: { readonly code: StopCode; readonly where: string; readonly text: string; readonly hint?: string },
): Promise<Stop> {
  const { approval } = bound;
  const { statements, intent } = round.state.journal.history.build(approval.build) ?? {
    statements: null,
    intent: null,
  };
  const sealed = statements !== null && statements.size > 0;
  const text = `${found.where}: ${found.text}`;
  // Once the intent is logged nothing ends a build but its release.
  if (intent !== null || !isExpired(approval, round.now()))
    return new Stop('bad', stageOf(round, approval), found.code, text, found.hint ?? TRIED_AGAIN);
  if (!sealed) return expired(round, approval);
  const reason = `${found.text}, and the approval ended at ${approval.expires}`;
  return refuse(round, bound, [{ code: 'expired', where: found.where, text: reason }]);
}
