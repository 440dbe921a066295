/** `sign --watch`: rounds without end. */
import { Failure, unable } from '../failure.ts';
import { ClockFault } from '../host/clock.ts';
import { heartbeat } from '../records/log-entry.ts';
import { timestamp, timestampDate } from '../records/names.ts';
import type { BuildId } from '../records/names.ts';
import { News } from './news.ts';
import { Lost } from './lost.ts';
import { newSession, runOpenRound, runRound, runToldRound } from './round.ts';
import type { Session, Signer } from './signer.ts';
import { Told } from './told.ts';

const HOUR_MS = 3600 * 1000;
/** While the depot tells what changes: what others write into its directory it can't know. */
const LISTED_EVERY_MS = 30_000;
/** How long a release is read back again after it was logged, and how often (protocol §5.8). */
const WATCHED_MS = 24 * HOUR_MS;
const RECEIPT_EVERY_MS = HOUR_MS;
/** A log that is older than this is the log of a signer that is away (protocol §7). */
const HEARTBEAT_MS = 24 * HOUR_MS;

/**
 * A round every `interval` seconds until `stop`; what can't be done now is reported, once while it lasts (`News`),
 * and tried in the next one. What the depot tells of is looked at at once; while it tells, all that it has is listed
 * twice a minute, and the rounds between are over the builds that are known to wait.
 * Releases of the last day are read back again every hour, and a log whose newest entry is a day old gets a
 * heartbeat. Throws what a round throws as usage, refused (`log-behind`, `log-fork`), unable(`disk`)
 * when the journal has failed: a new start can go on, this one never; and unable(`clock-jumped`).
 */
export async function watch(
  loud: Signer,
  { interval, stop }: { readonly interval: number; readonly stop: AbortSignal },
): Promise<void> {
  const news = new News(loud);
  const signer: Signer = { ...loud, report: news.report };
  const session = { ...newSession(signer), stop };
  const told = new Told(signer.depot, { intervalMs: interval * 1000, stop });
  let receipts = signer.now().getTime();
  let listed = -Infinity;
  /** Rounds that went through, one after the other. */
  let well = 0;
  while (!stop.aborted) {
    const began = performance.now();
    const all = !told.tells || began - listed >= LISTED_EVERY_MS;
    const went = await attempt(signer, news, async () => {
      const { log } = await (all ? runRound(signer, [], session) : runOpenRound(signer, session));
      if (all) listed = began;
      await beat(signer);
      if (log !== null) throw log;
    });
    well = went && !news.isAway ? well + 1 : 0;
    if (well === 0) told.forgive();
    // one that is away is not silent
    if (well > 1 && told.failure)
      signer.report({ kind: 'note', build: null, text: silence(told.failure, interval) });
    // either way: a clock may be set back
    if (Math.abs(signer.now().getTime() - receipts) >= RECEIPT_EVERY_MS) {
      receipts = signer.now().getTime();
      const recent = recentReleases(signer);
      if (recent.length > 0) await attempt(signer, news, () => runRound(signer, recent, session));
    }
    news.endRound();
    const end = performance.now() + interval * 1000;
    for (;;) {
      const builds = await told.next(end);
      if (builds === 'any') listed = -Infinity;
      if (builds === null || builds === 'any') break;
      if (!(await hear({ signer, session, told, news }, builds))) listed = -Infinity;
      news.endRound(builds);
    }
  }
}

interface Watching {
  readonly signer: Signer;
  readonly session: Session;
  readonly told: Told;
  readonly news: News;
}

/** A round over builds that the depot tells of. False if they are to be looked for again: it does not tell twice. */
async function hear({ signer, session, told, news }: Watching, builds: readonly BuildId[]): Promise<boolean> {
  const { journal } = signer.state;
  const { size } = journal;
  let isKnown = true;
  const went = await attempt(signer, news, async () => {
    const { results, log } = await runToldRound(signer, builds, session);
    if (journal.size > size || results.some(({ outcome }) => outcome === 'published')) told.useful();
    isKnown = results.every(({ build, outcome }) => outcome !== 'unfinished' || session.open.has(build));
    if (log !== null) throw log;
  });
  return went && isKnown;
}

const silence = ({ message }: Failure, interval: number): string =>
  `the depot does not tell what changes (${message}): it is looked at every ${interval} s`;

/** A fault of the network or the disk ends a round, not the watch. False then. Throws as `watch`. */
async function attempt(signer: Signer, news: News, round: () => Promise<unknown>): Promise<boolean> {
  let went = false;
  try {
    await round();
    went = true;
  } catch (error) {
    if (!(error instanceof Failure) || error.kind === 'usage' || error instanceof Lost) throw error;
    // A clock that is behind catches up; one that was set while we went by it is for a person to look at.
    if (error instanceof ClockFault && error.code === 'clock-jumped') throw error;
    if (error.code === 'network') news.away(error.message);
    else
      signer.report({ kind: 'note', build: null, text: `${error.message}; tried again in the next round` });
  }
  if (signer.state.journal.broken)
    throw unable(
      'disk',
      'the journal could not be written',
      'make room if the disk is full, and start again',
    );
  return went;
}

/**
 * Only after a round: one that finds our log behind the depot's ends, and nothing may be added to such a log. An entry
 * that is dated a day ahead is none that the log goes on from, either: our clock was wrong, or it is not our entry.
 */
async function beat({ state: { journal }, loadProject, now }: Signer): Promise<void> {
  const { newest } = journal.history;
  if (newest !== null && Math.abs(now().getTime() - timestampDate(newest).getTime()) < HEARTBEAT_MS) return;
  const { name } = await loadProject();
  await journal.append(heartbeat(name, timestamp(now())));
}

function recentReleases({ state, now }: Signer): BuildId[] {
  const since = now().getTime() - WATCHED_MS;
  return state.journal.history
    .builds()
    .filter(({ release }) => release !== null && timestampDate(release.time).getTime() >= since)
    .map(({ build }) => build);
}
