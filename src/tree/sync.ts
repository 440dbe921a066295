/**
 * What one depot has and another lacks, build by build: a stick, a spool, a copy by rsync, a mirror. Protocol §4: the
 * gate of the receiving end judges every write, so nothing is believed of where it comes from. What is there already
 * is passed over, so a run that was interrupted is simply repeated.
 */
import { Failure } from '../failure.ts';
import { diskFailure } from '../host/files.ts';
import type { Project } from '../policy/project.ts';
import type { BuildId } from '../records/names.ts';
import { buildPath, refusalProofFile, releaseProofFile } from '../records/paths.ts';
import { listBuilds, listRevoked } from './builds.ts';
import { inParallel } from './parallel.ts';
import { carryBuild } from './sync/build.ts';
import { Passage } from './sync/passage.ts';
import type { Sender, SyncResult } from './sync/passage.ts';
import type { Depot } from './tree.ts';

export { carryLog } from './sync/log.ts';
export type { LogResult } from './sync/log.ts';
export type { SyncResult, SyncState } from './sync/passage.ts';

const BUILDS_MAX = 1_000_000;
const ASKED_AT_ONCE = 8;

export interface SyncOptions {
  readonly project: Project;
  readonly from: Sender;
  readonly to: Depot;
  readonly now: () => Date;
  /** Each build, when it is done. */
  readonly report: (result: SyncResult) => void;
  /** Bytes of a build's artifacts, many times a second. */
  readonly progress: (build: BuildId, done: number, total: number) => void;
}

/**
 * Carries everything, one build after the other. A build's fault is its result and stops no other build, but a
 * connection or a directory that is gone stops all. Throws unable (the builds can't be listed), usage, and bugs of ours.
 */
export async function sync({ from, report, progress, ...options }: SyncOptions): Promise<SyncResult[]> {
  const results: SyncResult[] = [];
  // asked once, not of each build that has ended
  const revoked = new Set<BuildId>();
  for await (const build of listRevoked(from.depot, BUILDS_MAX)) revoked.add(build);
  for await (const build of listBuilds(from.depot, BUILDS_MAX)) {
    const passage = new Passage({
      ...options,
      build,
      revoked: revoked.has(build),
      from,
      progress: (done, total) => progress(build, done, total),
    });
    const result = await carry(passage);
    report(result);
    results.push(result);
    if (await isGone(result, [from.depot, options.to])) break;
  }
  return results;
}

/** Whether no other build would fare better. What the network did to one may be that one's own: a file that never ends. */
async function isGone({ code }: SyncResult, depots: readonly Depot[]): Promise<boolean> {
  if (code !== 'network') return code === 'no-depot';
  try {
    for (const depot of depots) await depot.builds(null);
    return false;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return true;
  }
}

async function carry(passage: Passage): Promise<SyncResult> {
  try {
    await carryBuild(passage);
    return passage.result();
  } catch (thrown) {
    const error = diskFailure(thrown, 'read or write the depot');
    if (!(error instanceof Failure) || error.kind === 'usage') throw error;
    return passage.result(error);
  }
}

/**
 * If nothing was carried, of how many builds the end is in `to` and not in `from`: perhaps it was meant the other way
 * round. Throws unable.
 */
export async function countMore(from: Depot, to: Depot, results: readonly SyncResult[]): Promise<number> {
  if (results.some(({ state, files }) => files > 0 || state === 'carried' || state === 'unfinished'))
    return 0;
  const same = results.filter(({ state }) => state === 'same');
  let more = 0;
  await inParallel(same, ASKED_AT_ONCE, async ({ build }) => {
    if (!(await hasEnded(from, build)) && (await hasEnded(to, build))) more += 1;
  });
  return more;
}

/** Whether there is a proof of how the build ended. */
async function hasEnded(depot: Depot, build: BuildId): Promise<boolean> {
  for (const proof of [releaseProofFile, refusalProofFile])
    if ((await depot.size(buildPath(build, proof))) !== null) return true;
  return false;
}

/** 1 if a build, or the log, was refused, else 3 if one could not be finished, else 0: also if there was nothing to do. */
export function syncStatus(results: readonly Pick<SyncResult, 'state'>[]): 0 | 1 | 3 {
  if (results.some(({ state }) => state === 'refused')) return 1;
  return results.some(({ state }) => state === 'unfinished') ? 3 : 0;
}
