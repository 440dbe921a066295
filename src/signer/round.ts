/** One round of `sign`: every build that waits, each on its own. Protocol §5. */
import { Failure } from '../failure.ts';
import type { BuildHistory } from '../policy/history.ts';
import { timestamp, timestampDate } from '../records/names.ts';
import type { BuildId } from '../records/names.ts';
import { listBuilds, listRevoked } from '../tree/builds.ts';
import { handleBuild, handleDissent, handleWithdrawal } from './build.ts';
import { mayEnrol } from './enrolling.ts';
import { endsRound } from './lost.ts';
import { Nonces } from './nonces.ts';
import { LogPush } from './push.ts';
import type { BuildResult, RoundResult } from './result.ts';
import type { Round, Session, Signer } from './signer.ts';
import { ReleaseAgent } from './release-agent.ts';

/** All of this fits into memory. */
const BUILDS_MAX = 1_000_000;
/** Of those that hold revocations, and of pages of them. */
const REVOKED_MAX = 10_000;
const MINUTE_MS = 60_000;

/**
 * Handles the builds in `named`, or, if it is empty, in ascending order all that the depot has or the log knows
 * and that are not settled. A build's fault is its result and stops no other build. One that has expired without
 * a statement is a result only for whoever named it: nobody wants to be told of it for ever.
 * At the end what the log has grown by goes out. `session`: of the rounds before, if there were any.
 * Throws usage (no usable release key, configuration), unable (the depot can't be listed), and, when nothing more is
 * done, refused (`log-behind`, `log-fork`), unable (`clock-behind`, `clock-jumped`).
 */
export function runRound(
  signer: Signer,
  named: readonly BuildId[] = [],
  session: Session = newSession(signer),
): Promise<RoundResult> {
  return inRound(signer, session, (round) =>
    named.length > 0 ? handleNamed(round, named) : handleAll(round),
  );
}

/** As `runRound`, without names, over the builds that went on waiting in the rounds before: the depot is not listed. */
export function runOpenRound(signer: Signer, session: Session): Promise<RoundResult> {
  return inRound(signer, session, async function* (round) {
    const releases = await changeableReleases(round);
    yield* handleOpen(round, session.open);
    yield* handleReleases(round, releases);
  });
}

/** As `runRound`, without names, over these alone, of which the depot says that they have changed. */
export function runToldRound(
  signer: Signer,
  told: readonly BuildId[],
  session: Session,
): Promise<RoundResult> {
  return inRound(signer, session, async function* (round) {
    const { history } = round.state.journal;
    const out: BuildHistory[] = [];
    for (const build of told) {
      const logged = history.build(build);
      if (logged && (await isOut(round, logged))) out.push(logged);
    }
    yield* handleOpen(round, told);
    yield* handleReleases(round, { contestable: out.filter((each) => mayBeOpen(round, each)), revoked: out });
  });
}

type Results = AsyncGenerator<BuildResult, void, undefined>;

async function inRound(
  signer: Signer,
  session: Session,
  handle: (round: Round) => Results,
): Promise<RoundResult> {
  const { depot, publicDepot, state, report } = signer;
  state.journal.requireTime(timestamp(signer.now()));
  const project = await signer.loadProject();
  const note = (text: string) => report({ kind: 'note', build: null, text });
  const log = new LogPush({ depot, publicDepot, state, project, memory: session.log, note });
  const round: Round = { ...signer, project, session, log };
  try {
    await log.compare();
    const results: BuildResult[] = [];
    for await (const result of handle(round)) {
      report({ kind: 'result', result });
      results.push(result);
    }
    return { results, log: await finish(log) };
  } finally {
    session.agent.endRound();
    session.nonces.endRound();
  }
}

/** The builds that are left have time until it is started again. */
const isStopped = ({ session }: Round): boolean => session.stop?.aborted === true;

async function* handleNamed(round: Round, named: readonly BuildId[]): Results {
  for (const build of named) {
    if (isStopped(round)) return;
    yield await handleBuild(round, build);
  }
}

async function* handleAll(round: Round): Results {
  const releases = await changeableReleases(round);
  const builds = await openBuilds(round);
  round.session.open = new Set(builds);
  yield* handleOpen(round, builds);
  yield* handleReleases(round, releases);
}

/** Those of the builds that are not settled, ascending; first those whose builders may enrol. */
async function* handleOpen(round: Round, builds: Iterable<BuildId>): Results {
  const others: BuildId[] = [];
  for (const build of [...builds].sort()) {
    if (isStopped(round)) return;
    if (await isUrgent(round, build)) yield* handleUnsettled(round, build);
    else others.push(build);
  }
  for (const build of others) {
    if (isStopped(round)) return;
    yield* handleUnsettled(round, build);
  }
}

async function* handleUnsettled(round: Round, build: BuildId): Results {
  const { state, session } = round;
  const result = (await state.isSettled(build)) ? null : await handleBuild(round, build);
  if (result === null || isOver(result) || (await state.isSettled(build))) session.open.delete(build);
  // what nobody but the depot speaks of is kept in no memory
  else if (state.journal.history.build(build) || result.outcome === 'waiting') session.open.add(build);
  if (result !== null && result.state !== 'expired') yield result;
}

/** A look at such a build is short, as none is signed before the last `enrolBy`; and its builders wait. */
const isUrgent = async (round: Round, build: BuildId): Promise<boolean> =>
  !(await round.state.isSettled(build)) && (await mayEnrol(round, build));

/** Nothing more happens to it by itself: an approval that ended, or a build that is nowhere. */
const isOver = ({ state, code }: BuildResult): boolean =>
  state === 'expired' || (state === 'unknown' && code === 'approval-missing');

async function* handleReleases(round: Round, releases: Changeable | null): Results {
  for (const [handle, histories] of [
    [handleDissent, releases?.contestable ?? []],
    [handleWithdrawal, releases?.revoked ?? []],
  ] as const)
    for (const history of histories) {
      if (isStopped(round)) return;
      const result = await handle(round, history);
      if (result !== null) yield result;
    }
}

/** Nothing to remember yet. */
export function newSession({ connectAgent }: Pick<Signer, 'connectAgent'>): Session {
  return {
    agent: new ReleaseAgent(connectAgent),
    verified: null,
    log: { compared: new Set(), witnessed: new Map() },
    nonces: new Nonces(),
    open: new Set(),
    stop: null,
    releasesSeen: null,
    agreeing: new Set(),
  };
}

/** Why the log could not go out; null if it did. */
async function finish(log: LogPush): Promise<Failure | null> {
  try {
    await log.finish();
    return null;
  } catch (error) {
    if (!(error instanceof Failure) || error.kind === 'usage' || endsRound(error)) throw error;
    return error;
  }
}

/** What the depot lists and what the log knows: a depot can hide a build, but not make the signer forget it. */
async function openBuilds({ depot, state }: Signer): Promise<BuildId[]> {
  const builds = new Set<BuildId>();
  for await (const build of listBuilds(depot, BUILDS_MAX)) builds.add(build);
  for (const { build } of state.journal.history.builds()) builds.add(build);
  const open: BuildId[] = [];
  for (const build of builds) if (!(await state.isSettled(build))) open.push(build);
  return open;
}

interface Changeable {
  /** Whose builders may still say otherwise. */
  readonly contestable: readonly BuildHistory[];
  /** That the depot holds revocations of. */
  readonly revoked: readonly BuildHistory[];
}

/**
 * The releases that are out, and not withdrawn, of which there may be news: looked for once a minute, null before. Those
 * that are not out yet are among the open builds.
 */
async function changeableReleases(round: Round): Promise<Changeable | null> {
  const { depot, state, session } = round;
  const time = round.now().getTime();
  if (session.releasesSeen !== null && time - session.releasesSeen < MINUTE_MS) return null;
  const contestable: BuildHistory[] = [];
  for (const history of state.journal.history.builds())
    if (mayBeOpen(round, history) && (await isOut(round, history))) contestable.push(history);
  const revoked: BuildHistory[] = [];
  try {
    for await (const build of listRevoked(depot, REVOKED_MAX)) {
      const history = state.journal.history.build(build);
      if (history && (await isOut(round, history))) revoked.push(history);
    }
  } catch (error) {
    // A hint, which an older depot does not give: nothing else waits for it.
    if (!(error instanceof Failure) || error.kind === 'usage' || endsRound(error)) throw error;
    const text = `whether a release that is out was revoked is not known: ${error.message}`;
    round.report({ kind: 'note', build: null, text });
  }
  session.releasesSeen = time;
  return { contestable, revoked };
}

const isOut = async ({ state }: Round, history: BuildHistory): Promise<boolean> =>
  history.release !== null && history.revocation === null && (await state.isSettled(history.build));

/** Whether its approval may not have expired, as far as the log alone says, which may name a hundred thousand: none was logged before it began. */
function mayBeOpen({ project, now }: Round, { approval }: BuildHistory): boolean {
  if (approval === null) return false;
  return now().getTime() < timestampDate(approval.time).getTime() + project.policy.maxLifetime * 1000;
}
