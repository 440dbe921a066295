/** `sign --watch`: rounds without end. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure, unable } from '../failure.ts';
import { ClockFault } from '../host/clock.ts';
import { heartbeat } from '../records/log-entry.ts';
import { timestamp, timestampDate } from '../records/names.ts';
import type { BuildId } from '../records/names.ts';
import { News } from './news.ts';
import { Lost } from './lost.ts';
import { newSession, runRound } from './round.ts';
import type { Signer } from './signer.ts';

const HOUR_MS = 3600 * 1000;
/** How long a release is read back again after it was logged, and how often (protocol §5.8). */
const WATCHED_MS = 24 * HOUR_MS;
const RECEIPT_EVERY_MS = HOUR_MS;
/** A log that is older than this is the log of a signer that is away (protocol §7). */
const HEARTBEAT_MS = 24 * HOUR_MS;

/**
 * A round every `interval` seconds until `stop`; what can't be done now is reported, once while it lasts (`News`),
 * and tried in the next one.
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
  const session = newSession(signer);
  let receipts = signer.now().getTime();
  while (!stop.aborted) {
    await attempt(signer, async () => {
      const { log } = await runRound(signer, [], session);
      await beat(signer);
      if (log !== null) throw log;
    });
    if (signer.state.journal.broken)
      throw unable(
        'disk',
        'the journal could not be written',
        'make room if the disk is full, and start again',
      );
    // either way: a clock may be set back
    if (Math.abs(signer.now().getTime() - receipts) >= RECEIPT_EVERY_MS) {
      receipts = signer.now().getTime();
      const recent = recentReleases(signer);
      if (recent.length > 0) await attempt(signer, () => runRound(signer, recent, session));
    }
    news.endRound();
    await sleep(interval * 1000, undefined, { signal: stop }).catch(() => {});
  }
}

/** A fault of the network or the disk ends a round, not the watch. */
async function attempt(signer: Signer, round: () => Promise<unknown>): Promise<void> {
  try {
    await round();
  } catch (error) {
    if (!(error instanceof Failure) || error.kind === 'usage' || error instanceof Lost) throw error;
    // A clock that is behind catches up; one that was set while we went by it is for a person to look at.
    if (error instanceof ClockFault && error.code === 'clock-jumped') throw error;
    signer.report({ kind: 'note', build: null, text: `${error.message}; tried again in the next round` });
  }
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
