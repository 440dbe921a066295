/** Two keys that one builder introduced: somebody else has its ticket (protocol §2, enrolment). */
import { Failure } from '../failure.ts';
import { isExpired } from '../policy/approval-policy.ts';
import { builderOf, slotsOf } from '../policy/builder-key.ts';
import type { BuildHistory } from '../policy/history.ts';
import type { Approval } from '../records/approval.ts';
import type { Fingerprint, Slot } from '../records/names.ts';
import { enrolmentFile } from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import type { Approved } from './approval.ts';
import { introducedCertificate, loggedEnrolment, shownEnrolments } from './enrolment.ts';
import type { Offered } from './enrolment.ts';
import { refuse } from './refuse.ts';
import type { Stop } from './result.ts';
import type { Round } from './signer.ts';

type Judged = Pick<Approved, 'approval' | 'sha256'>;

/** The slots of builders that make keys of their own. */
export const enrollingSlots = (approval: Approval): Slot[] =>
  slotsOf(approval).filter((slot) => builderOf(approval, slot).scheme === 'enrol');

/** Another look, right before the intent: a second key that came meanwhile ends the build. Throws unable, refused(`nonce-unusable`). */
export async function endIfStolen(round: Round, approved: Approved): Promise<Stop | null> {
  const { approval } = approved;
  for (const slot of enrollingSlots(approval)) {
    const stolen = await unlessOver(round, approved, slot, async () =>
      secondKey(round, approved, slot, await shownEnrolments(round, approval.build, slot)),
    );
    if (stolen) return stolen;
  }
  return null;
}

/** After the intent nothing ends a build: a second key is said, beside its result. Throws unable. */
export async function noteSecondKeys(round: Round, { build, approval: bound }: BuildHistory): Promise<void> {
  if (bound === null) throw new RangeError('no approval is logged');
  const approved = { approval: await round.state.approval(build, bound.sha256), sha256: bound.sha256 };
  for (const slot of enrollingSlots(approved.approval)) {
    const offered = await shownEnrolments(round, build, slot);
    // What was signed is not held up for it.
    const text = await introducedTwice(round, approved, slot, offered).catch((error: unknown) => {
      if (error instanceof Failure && NONCE_CODES.has(error.code)) return null;
      throw error;
    });
    if (text !== null) round.report({ kind: 'note', build, text: `${text}; it was decided what to sign` });
  }
}

const NONCE_CODES = new Set(['nonce-locked', 'nonce-unusable']);

/** Null for a slot whose approval has ended without its statement, and whose nonce can't be opened: nothing comes of it any more. */
export async function unlessOver<T>(
  { state, now }: Round,
  { approval }: Judged,
  slot: Slot,
  work: () => Promise<T>,
): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    const isSealed = state.journal.history.build(approval.build)?.statements.has(slot) === true;
    const isOver = isExpired(approval, now()) && !isSealed;
    if (error instanceof Failure && error.code === 'nonce-locked' && isOver) return null;
    throw error;
  }
}

/** Two keys, each introduced by the one nonce: two have the ticket. Whenever that is seen, it ends the build. */
export async function secondKey(
  round: Round,
  approved: Approved,
  slot: Slot,
  offered: readonly Offered[],
): Promise<Stop | null> {
  const text = await introducedTwice(round, approved, slot, offered);
  if (text === null) return null;
  return refuse(round, approved, [{ code: 'conflict', where: enrolmentFile(slot), text }]);
}

/** The two keys, for a person; null if there are not two. */
async function introducedTwice(
  round: Round,
  approved: Judged,
  slot: Slot,
  offered: readonly Offered[],
): Promise<string | null> {
  const taken = loggedEnrolment(round, approved.approval.build, slot);
  const keys = new Map<Fingerprint, string>();
  if (taken !== undefined) keys.set(taken.key, 'the log');
  for (const each of offered) {
    if (sha256Hex(each.bytes) === taken?.sha256) continue;
    const certificate = await introducedCertificate(round, approved, slot, each);
    const key = certificate?.primary.fingerprint;
    if (key !== undefined && !keys.has(key)) keys.set(key, each.file);
  }
  if (keys.size < 2) return null;
  const said = [...keys].map(([key, where]) => `${key} (${where})`).join(' and ');
  return `builder ${slot} introduced two keys, ${said}: somebody else has its ticket`;
}
