/**
 * What one depot has and another lacks, build by build: a stick, a spool, a copy by rsync, a mirror. Protocol §4: the
 * gate of the receiving end judges every write, so nothing is believed of where it comes from. What is there already
 * is passed over, so a run that was interrupted is simply repeated.
 */
import { Failure } from '../failure.ts';
import { diskFailure } from '../host/files.ts';
import type { Project } from '../policy/project.ts';
import type { BuildId } from '../records/names.ts';
import { listBuilds } from './builds.ts';
import { carryBuild } from './sync-build.ts';
import { Passage } from './sync-passage.ts';
import type { Sender, SyncResult } from './sync-passage.ts';
import type { Depot } from './tree.ts';

export type { SyncResult, SyncState } from './sync-passage.ts';

const BUILDS_MAX = 1_000_000;

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
 * connection that is gone stops all. Throws unable (the builds can't be listed), usage, and bugs of ours.
 */
export async function sync({ from, report, progress, ...options }: SyncOptions): Promise<SyncResult[]> {
  const results: SyncResult[] = [];
  for await (const build of listBuilds(from.depot, BUILDS_MAX)) {
    const passage = new Passage({
      ...options,
      build,
      from,
      progress: (done, total) => progress(build, done, total),
    });
    const result = await carry(passage);
    report(result);
    results.push(result);
    if (result.code === 'network') break;
  }
  return results;
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

/** 1 if a build was refused, else 3 if one could not be finished, else 0: also if there was nothing to do. */
export function syncStatus(results: readonly SyncResult[]): 0 | 1 | 3 {
  if (results.some(({ state }) => state === 'refused')) return 1;
  return results.some(({ state }) => state === 'unfinished') ? 3 : 0;
}
