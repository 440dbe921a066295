/** Why a build waits or how it ended, in a sentence, and what may be done about it. */
import { approveAgain, bothVersions, enrolLonger, revokeToFree } from '../policy/again.ts';
import { approvalProblems, isExpired } from '../policy/approval-policy.ts';
import { missingApprovers } from '../policy/approval-verdict.ts';
import { missedEnrolment, tooFewEnrolled } from '../policy/enrolment-missed.ts';
import type { Project } from '../policy/project.ts';
import type { BuildState } from '../policy/state.ts';
import type { Approval, Scheme } from '../records/approval.ts';
import type { Reason } from '../records/refusal.ts';
import { isBuildId, timestampDate } from '../records/names.ts';
import type { BuildId, Slot, Timestamp } from '../records/names.ts';
import type { Evidence } from './evidence.ts';

export interface SlotStatus {
  readonly slot: Slot;
  readonly scheme: Scheme;
  /** Until when it may enrol; null for the schemes without. */
  readonly enrolBy: Timestamp | null;
  /** The log has taken the key that it introduced. */
  readonly enrolled: boolean;
  /** Its statement is there. */
  readonly statement: boolean;
}

/** What is known of the build beside its approval. */
interface Found extends Evidence {
  readonly state: BuildState;
  readonly slots: readonly SlotStatus[];
  readonly released: boolean;
  readonly revocationsNeeded: number;
  /** Another build is released as its version. */
  readonly taken: boolean;
  /** The log, as far as it was read, has its intent or release: its version is no other build's, whatever becomes of it. */
  readonly bound: boolean;
  /** Entries of the log, where it was read. */
  readonly undelivered: number | null;
  readonly revocation: number | null;
  readonly conflict: number | null;
}

export interface Explanation {
  readonly why: string;
  readonly hint: string;
}

/** The sentence, and the command. */
export function explain(project: Project, approval: Approval, found: Found, now: Date): Explanation {
  const { state, refusal } = found;
  const [reason] = refusal?.reasons ?? [];
  switch (state) {
    case 'published':
      return released(found, approval);
    case 'signed':
      return { why: 'it is signed, and waits to be published', hint: 'countersign sign on H finishes it' };
    case 'verified':
      return {
        why: 'the log has its release, and its signatures are on the way',
        hint: 'countersign sign on H finishes it',
      };
    case 'revoked':
      return revoked(project, approval, found);
    case 'refused':
      return {
        why: reason === undefined ? 'the signer refused it' : `${reason.code}: ${reason.text}`,
        hint: wayOn(project, approval, found),
      };
    case 'frozen':
      return {
        why: reason === undefined ? 'the signer froze it' : `${reason.code}: ${reason.where}: ${reason.text}`,
        hint: `${bothVersions(approval.build, refusal?.reasons ?? [])}${wayOn(project, approval, found)}`,
      };
    case 'expired':
      return {
        why: `${approval.quorum === 1 ? 'nothing was' : 'not enough was'} sealed before ${approval.expires}`,
        hint: wayOn(project, approval, found),
      };
    case 'approved':
    case 'enrolled':
    case 'built':
      return waiting(state, project, approval, found, now);
  }
}

/** What gets on where this build doesn't. */
function wayOn(project: Project, approval: Approval, { taken, bound, released, refusal }: Found): string {
  const { build, version } = approval;
  const what = `${approval.project} ${version}`;
  if (taken) return `${what} is released: approve another version`;
  if (released) return `${what} was released and withdrawn: approve another version`;
  if (bound) return `build ${build} has ${what} for good: approve another version`;
  const again = `a new approval: ${approveAgain(project, approval)}`;
  const holder = refusal === null ? null : holderOf(refusal.reasons);
  if (holder === null) return again;
  return `go on with that build if you have its ticket; or free ${version}: ${revokeToFree(holder)}; then, or once it has expired, ${again}`;
}

/** The build that has the version, as the signer said it. */
function holderOf(reasons: readonly Reason[]): BuildId | null {
  const taken = reasons.find(({ code }) => code === 'version-taken');
  const build = taken?.text.split(' ').at(-1);
  return build !== undefined && isBuildId(build) ? build : null;
}

/** And what speaks against it since. */
function released({ revocations, revocationsNeeded, conflict }: Found, { build }: Approval): Explanation {
  const dissent = conflict === null ? '' : `; a builder has said otherwise since (entry ${conflict})`;
  const [first] = revocations;
  if (first === undefined) return { why: `it is released${dissent}`, hint: '' };
  const have = `${revocations.length} of ${revocationsNeeded} approvers want to withdraw it: ${first.reason}`;
  return { why: `it is released${dissent}; ${have}`, hint: `another approver: countersign endorse ${build}` };
}

function revoked(project: Project, approval: Approval, found: Found): Explanation {
  const { approvers, revocations, revocation, released: isReleased } = found;
  const what = isReleased ? 'withdrawn' : 'revoked';
  const who = revocations.map(({ approver, reason }) => `by ${approver}: ${reason}`).join('; ');
  const why = `${what} ${who || 'by approvers that the project file no longer names'}`;
  const hint = wayOn(project, approval, found);
  if (!isReleased && revocation === null && missingApprovers(project, approval, approvers) !== null)
    return { why: `${why}; it never had its ${project.threshold} approvers: there is nothing to log`, hint };
  return revocation === null
    ? {
        why,
        hint: `in force once the signer has logged it: countersign status ${approval.build} says whether; ${hint}`,
      }
    : { why, hint };
}

type Waiting = 'approved' | 'enrolled' | 'built';

/** What keeps it from being signed. */
function waiting(state: Waiting, project: Project, approval: Approval, found: Found, now: Date): Explanation {
  const { approvers, taken, undelivered } = found;
  const { build, expires } = approval;
  // the log goes out before what it names, which may have to wait for witnesses
  if (undelivered !== null)
    return {
      why: `its release is in the log (entry ${undelivered}): the signer has not delivered it yet`,
      hint: 'does it wait for witnesses? on H: countersign sign says so, and finishes it',
    };
  if (approvers.length === 0)
    return { why: 'no approver of the project file has signed its approval', hint: '' };
  const missing = missingApprovers(project, approval, approvers);
  if (missing !== null)
    return { why: `it waits for approvers: ${missing}`, hint: endorsers(project, approval, found) };
  if (taken) {
    const what = `${approval.project} ${approval.version} is released`;
    return { why: `the signer will refuse it: ${what}`, hint: 'approve another version' };
  }
  // a statement that came in time is judged after the end too; whether it did only the signer knows
  const [problem] = approvalProblems(project, approval, now).filter(
    ({ code }) => code !== 'expired' || state !== 'built',
  );
  if (problem !== undefined) return { why: `the signer will refuse it: ${problem.text}`, hint: '' };
  if (now < timestampDate(approval.notBefore))
    return { why: `it is not valid before ${approval.notBefore}`, hint: '' };
  if (state !== 'built') return builders(project, approval, found, now);
  if (isExpired(approval, now))
    return {
      why: `its approval ended at ${expires}: the signer refuses it unless it saw the statement before`,
      hint: `on H: countersign sign; if it is refused, ${wayOn(project, approval, found)}`,
    };
  const enrolBy = lastEnrolment(found);
  if (enrolBy !== null && now < timestampDate(enrolBy))
    return {
      why: `builders may enrol until ${enrolBy}: the signer signs nothing of it before`,
      hint: `after that, on H: countersign sign ${build}`,
    };
  return { why: 'it waits for the signer', hint: 'on H: countersign sign' };
}

/** Who may give what is missing, with the line to type. */
function endorsers({ approvers: all }: Project, approval: Approval, { approvers }: Found): string {
  const missing = all
    .map(({ primary }) => primary.fingerprint)
    .filter((fingerprint) => !approvers.includes(fingerprint));
  return `one of ${missing.join(', ')}: countersign endorse ${approval.build}`;
}

/** Whose statement it waits for, or whose key. */
function builders(project: Project, approval: Approval, { slots }: Found, now: Date): Explanation {
  const { quorum, expires } = approval;
  const enrolled = new Set(slots.filter((each) => each.enrolled).map(({ slot }) => slot));
  const missed = missedEnrolment(approval, enrolled, now);
  const tooFew = tooFewEnrolled(approval, missed);
  if (tooFew !== null) return { why: tooFew, hint: enrolLonger(project, approval) };
  const have = slots.filter(({ statement }) => statement).length;
  const open = slots.filter(({ slot, statement }) => !statement && !missed.includes(slot));
  const sealed = quorum === 1 ? '' : ` (${have} of ${quorum} that must agree are there)`;
  const enrolling = open.filter(({ enrolBy, enrolled }) => enrolBy !== null && !enrolled);
  const [first] = enrolling;
  if (first === undefined || enrolling.length < open.length)
    return {
      why: `it waits for the statement of ${names(open)}${sealed}, until ${expires}`,
      hint: 'on the builder: countersign attest --ticket FILE PATH...',
    };
  return {
    why: `it waits for ${names(enrolling)} to enrol, until ${first.enrolBy}`,
    hint: 'on the builder: countersign attest --ticket FILE PATH...; and countersign sign --watch on H, which answers it',
  };
}

const names = (slots: readonly SlotStatus[]): string => slots.map(({ slot }) => slot).join(', ');

/** The last time until which a builder may enrol; null if none does. */
const lastEnrolment = ({ slots }: Found): Timestamp | null =>
  slots
    .map(({ enrolBy }) => enrolBy)
    .filter((time) => time !== null)
    .sort()
    .at(-1) ?? null;
