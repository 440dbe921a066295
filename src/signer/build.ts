/** One build, by the steps of protocol §5, as far as it goes in this run. */
import { Failure } from '../failure.ts';
import { diskFailure } from '../host/files.ts';
import { isExpired } from '../policy/approval-policy.ts';
import type { Approval } from '../records/approval.ts';
import type { BuildId } from '../records/names.ts';
import type { Manifest } from '../records/manifest.ts';
import type { StatedSubject } from '../records/statement.ts';
import { bindApproval, countAgain } from './approval.ts';
import { conflictsText, logConflicts, reportConflicts } from './conflict.ts';
import { deliverRelease, takeReceipt } from './deliver.ts';
import { enrolmentOpen, takeEnrolments } from './enrolling.ts';
import { fetchArtifacts, firstProblem } from './fetch.ts';
import type { Fetched } from './fetch.ts';
import type { BuildHistory } from '../policy/history.ts';
import { Keep } from './keep.ts';
import { orRefused } from './nonce.ts';
import { loggedPlan, newPlan } from './plan.ts';
import type { Plan } from './plan.ts';
import { sealingStatements } from './quorum.ts';
import { decidedQuestion, signingQuestion, totalSize } from './question.ts';
import { settleRefusal } from './refuse.ts';
import { endsRound } from './lost.ts';
import { readReleased } from './released.ts';
import { Stop } from './result.ts';
import type { BuildResult, Standing, Tally } from './result.ts';
import { declareIntent, signRelease } from './sign.ts';
import { noteSecondKeys } from './second-key.ts';
import { settleRevocation, endIfRevoked, withdrawal } from './revocation.ts';
import type { Round } from './signer.ts';
import { TRIED_AGAIN, expired, hasEndedUnsealed, spoilt } from './spoilt.ts';
import { stateOf } from './stage.ts';
import { passStates, statedSubjects, unfitForMode } from './states.ts';
import { disallowed, unvouched } from './vouched.ts';

const NOTHING: Tally = { artifacts: 0, bytes: 0, signSeconds: 0, publishSeconds: 0 };
type Counting = { -readonly [Key in keyof Tally]: Tally[Key] };

/**
 * Takes the build as far as it goes. Its faults are its result; throws usage (the configuration), refused
 * (`log-behind`, `log-fork`) and bugs of ours.
 */
export async function handleBuild(round: Round, build: BuildId): Promise<BuildResult> {
  const tally: Counting = { ...NOTHING };
  let standing: Standing;
  try {
    ({ standing } = await keeping(round, build, tally));
  } catch (error) {
    standing = await faultOf(round, build, error);
  }
  reportConflicts(round, build);
  return { build, ...standing, ...tally };
}

/** A release that is out, and that approvers have revoked: null while too few of them have. Throws as `handleBuild`. */
export async function handleWithdrawal(round: Round, logged: BuildHistory): Promise<BuildResult | null> {
  const { build } = logged;
  try {
    const stop = await withdrawal(round, logged);
    return stop && { build, ...stop.standing, ...NOTHING };
  } catch (error) {
    return { build, ...(await faultOf(round, build, error)), ...NOTHING };
  }
}

/**
 * A release that is out, of whose builders one may still dissent, as long as the gate takes statements of it: null while
 * none does. Throws as `handleBuild`.
 */
export async function handleDissent(round: Round, logged: BuildHistory): Promise<BuildResult | null> {
  const { build } = logged;
  try {
    if (logged.approval === null) throw new RangeError('no approval is logged');
    const approval = await round.state.approval(build, logged.approval.sha256);
    // one that is closed has no manifest to hold a statement against
    if (isExpired(approval, round.now()) || (await round.state.lost(build)) !== null) return null;
    if (!(await logConflicts(round, logged))) return null;
    const text = conflictsText(round, build) ?? '';
    const look = `both versions: countersign status ${build} --fetch DIR`;
    const { standing } = new Stop('decided', 'published', 'conflict', text, look);
    return { build, ...standing, ...NOTHING };
  } catch (error) {
    return { build, ...(await faultOf(round, build, error)), ...NOTHING };
  }
}

/** As `proceed`; of a build that is not a release in the end nothing is kept. */
async function keeping(round: Round, build: BuildId, tally: Counting): Promise<Stop> {
  const keep = round.keep && new Keep(round.keep, build);
  try {
    return await proceed(round, build, keep, tally);
  } finally {
    const logged = round.state.journal.history.build(build);
    if (keep?.begun && (!logged?.release || logged.revocation)) await keep.discard();
  }
}

async function proceed(round: Round, build: BuildId, keep: Keep | null, tally: Counting): Promise<Stop> {
  const { history } = round.state.journal;
  const refused = await settleRefusal(round, build);
  if (refused) return refused;

  let logged = history.build(build);
  const revoked = logged?.release ? null : await settleRevocation(round, build);
  if (revoked) return revoked;

  const lost = await round.state.lost(build);
  if (lost !== null)
    // Nothing is signed twice; what has been signed can be taken back.
    return (logged?.release ? await withdrawal(round, logged) : null) ?? closed(round, build, lost);

  const signedBefore = Boolean(logged?.release);
  // An entry found at restart is used, never repeated (§5.6): with an intent the decision is made.
  if (!logged?.release) {
    const stop = logged?.intent
      ? await resume(round, logged, keep, tally)
      : await decide(round, build, keep, tally);
    if (stop) return stop;
    logged = history.build(build);
  }
  if (!logged?.release) throw new RangeError('signed, and not logged');
  await logConflicts(round, logged);
  await noteSecondKeys(round, logged);
  // One that was withdrawn before it left does not leave; of one that is out nothing else changes.
  const withdrawn = await withdrawal(round, logged);
  if (withdrawn) return withdrawn;
  // 8. Its signatures leave, now that the log has them all; a release that is out is only read back.
  const released = await readReleased(round, logged);
  countArtifacts(tally, released.manifest);
  const seconds = stopwatch();
  const settled = await round.state.isSettled(build);
  const stop = settled
    ? await takeReceipt(round, logged, released)
    : await deliverRelease(round, logged, released, round.wait || signedBefore);
  if (!settled) tally.publishSeconds = seconds();
  await keep?.finish(released.manifest);
  return stop;
}

/** A build whose files were lost with a signer's state, and not found again: it is never signed a second time (§5). */
async function closed(round: Round, build: BuildId, lost: string): Promise<Stop> {
  const text = `closed: its ${lost} was lost, and nothing is signed twice`;
  const hint = 'approve another version; if the depot has it again: countersign sign --recover';
  return new Stop('decided', await stateOf(round, build), 'closed', text, hint);
}

/** Steps 1 to 7. Null when the release is logged. */
async function decide(
  round: Round,
  build: BuildId,
  keep: Keep | null,
  tally: Counting,
): Promise<Stop | null> {
  // 1. The approval. 2. Whether it was revoked.
  const approved = await bindApproval(round, build);
  if (approved instanceof Stop) return approved;
  const revoked = await endIfRevoked(round, { ...approved.approval, approval: approved.sha256 });
  if (revoked) return revoked;
  const not = await disallowed(round, round.project, approved);
  if (not) return not;
  if (hasEndedUnsealed(round, approved.approval)) return expired(round, approved.approval);
  // The keys that builders make for themselves: they wait for that. By the time of this look: what comes after it is seen next time.
  const looked = round.now();
  const enrolled = await takeEnrolments(round, approved);
  if (enrolled instanceof Stop) return enrolled;
  // 3. and 4. The statements, and whether enough builders agree.
  const sealed = await orRefused(round, approved, () => sealingStatements(round, approved));
  if (sealed instanceof Stop) return sealed;
  const open = enrolmentOpen(approved, enrolled, looked);
  if (open) return open;

  const planned = await newPlan(round, approved, sealed);
  countArtifacts(tally, planned.manifest);
  const unfit = unfitForMode(approved.approval, planned);
  if (unfit) return spoilt(round, approved, unfit);
  round.session.agent.requireUsable(planned.keygrip);
  const counted = await countAgain(round, round.project, approved);
  if (counted.missing !== null) return new Stop('waiting', 'built', 'approval-waits', counted.missing);
  if (!(await round.ask(signingQuestion(round.project, approved, sealed, planned, counted.approvers))))
    return new Stop('declined', 'built', 'declined', 'not signed: the answer was no');

  // 5. Every artifact, all of them before any is signed (§1 rule 5).
  const seconds = stopwatch();
  const { passed, problems } = await passArtifacts(round, approved.approval, planned, sealed.subjects, keep);
  const problem = firstProblem(problems);
  if (problem) return spoilt(round, approved, problem);
  // 6. and 7.
  const plan = await orRefused(round, approved, () => declareIntent(round, approved, sealed, planned));
  if (plan instanceof Stop) return plan;
  const unsigned = await signRelease(round, plan, passed);
  tally.signSeconds = seconds();
  return unsigned;
}

/** Steps 5 and 7 for a build whose intent is logged: the artifacts are read again, what is missing is signed. */
async function resume(
  round: Round,
  logged: BuildHistory,
  keep: Keep | null,
  tally: Counting,
): Promise<Stop | null> {
  if (logged.approval === null) throw new RangeError('no approval is logged');
  const revoked = await endIfRevoked(round, { ...logged, approval: logged.approval.sha256 });
  if (revoked) return revoked;
  const plan = await loggedPlan(round, logged);
  countArtifacts(tally, plan.manifest);
  const stop = await unvouched(round, logged, plan.manifest);
  if (stop) return stop;
  await logConflicts(round, logged);
  const approval = await round.state.approval(plan.manifest.build, logged.approval.sha256);
  const unfit = unfitForMode(approval, plan);
  if (unfit) return new Stop('bad', 'verified', unfit.code, `${unfit.where}: ${unfit.text}`, unfit.hint);
  round.session.agent.requireUsable(plan.keygrip);
  round.report({ kind: 'continuing', decided: await decidedQuestion(round, logged, plan) });
  const seconds = stopwatch();
  const stated = await statedSubjects(round, approval, plan.manifest);
  const { passed, problems } = await passArtifacts(round, approval, plan, stated, keep);
  const problem = firstProblem(problems);
  if (problem)
    return new Stop('bad', 'verified', problem.code, `${problem.where}: ${problem.text}`, TRIED_AGAIN);
  const unsigned = await signRelease(round, plan, passed);
  tally.signSeconds = seconds();
  return unsigned;
}

/**
 * Every artifact, once, by its bytes or by the state that its builder stated; those whose signing was broken off in a round
 * before are verified already.
 */
async function passArtifacts(
  round: Round,
  { mode }: Approval,
  plan: Plan,
  stated: readonly StatedSubject[],
  keep: Keep | null,
): Promise<Fetched> {
  const { manifest } = plan;
  const { build, subjects } = manifest;
  const { verified } = round.session;
  // what is kept is read, though: nothing stays of a signing that was broken off
  if (keep === null && verified?.build === build) return { passed: verified.passed, problems: [] };
  if (mode === 'digest') return { passed: passStates(plan, stated), problems: [] };
  const bytes = totalSize(subjects);
  let done = 0;
  const progress = (more: number): void => {
    done += more;
    round.report({ kind: 'reading', build, done: Math.min(done, bytes), bytes });
  };
  await keep?.requireRoom(manifest);
  return fetchArtifacts(plan, { depot: round.depot, progress, keep });
}

function countArtifacts(tally: Counting, { subjects }: Manifest): void {
  tally.artifacts = subjects.length;
  tally.bytes = totalSize(subjects);
}

/** What could not be done now: tried again. A depot that says no to what the log holds is no verdict of ours. */
async function faultOf(round: Round, build: BuildId, thrown: unknown): Promise<Standing> {
  const error = diskFailure(thrown, 'read the depot');
  if (!(error instanceof Failure) || error.kind === 'usage' || endsRound(error)) throw error;
  const { code, message, hint } = error;
  // Larger than any such file may be: the depot's doing, like any other wrong bytes (§1 rule 7).
  const outcome = code === 'too-large' ? 'bad' : 'unfinished';
  const next = code === 'no-depot' ? 'put it back and run this again: nothing is signed twice' : hint;
  return { outcome, state: await stateOf(round, build), code, text: message, hint: next };
}

/** Seconds since it was made, whenever it is asked; to the millisecond. */
function stopwatch(): () => number {
  const start = performance.now();
  return () => Math.round(performance.now() - start) / 1000;
}
