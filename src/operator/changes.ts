/** What is other in an approval than in the project's last one: a routine that changes is what somebody should look at. */
import { Failure, unable } from '../failure.ts';
import { missingApprovers } from '../policy/approval-verdict.ts';
import { attempt } from '../policy/attempt.ts';
import { slotsOf } from '../policy/builder-key.ts';
import { formatDuration } from '../policy/duration.ts';
import type { Project } from '../policy/project.ts';
import { parseApproval } from '../records/approval.ts';
import type { Approval } from '../records/approval.ts';
import { RECORD_MAX } from '../records/canonical.ts';
import { timestampDate } from '../records/names.ts';
import type { BuildId } from '../records/names.ts';
import { approvalFile, buildPath } from '../records/paths.ts';
import { listBuilds } from '../tree/builds.ts';
import type { Depot } from '../tree/tree.ts';
import { approversOf } from './evidence.ts';

/** One field of the terms: what it was, and what it is. */
export interface Change {
  readonly field: string;
  readonly from: string;
  readonly to: string;
}

export type Changes =
  | { readonly kind: 'compared'; readonly build: BuildId; readonly changes: readonly Change[] }
  /** There is none to compare with. */
  | { readonly kind: 'first' }
  /** It could not be looked for. */
  | { readonly kind: 'unseen'; readonly why: string };

/** A depot that lists more builds, or takes longer to show the last ones, is not asked on. */
const LISTED_MAX = 100_000;
const READ_MAX = 200;
const LOOK_MS = 10_000;

/**
 * Compares with the newest build of the project that was approved by as many as it takes: one that somebody asked for
 * alone, to make another look like routine, is none. No depot that fails is an error; throws nothing else either.
 */
export async function changesSinceLast(
  project: Project,
  depot: Depot,
  approval: Approval,
  now: Date,
): Promise<Changes> {
  try {
    const last = await lastApproval(project, depot, approval.build, now);
    if (last === null) return { kind: 'first' };
    return { kind: 'compared', build: last.build, changes: changesBetween(last, approval) };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { kind: 'unseen', why: error.message };
  }
}

/** Null if there is none. Throws unable, also when that can't be said. */
async function lastApproval(
  project: Project,
  depot: Depot,
  than: BuildId,
  now: Date,
): Promise<Approval | null> {
  const builds: BuildId[] = [];
  for await (const build of listBuilds(depot, LISTED_MAX)) if (build !== than) builds.push(build);
  const began = performance.now();
  let unreadable: BuildId | null = null;
  for (const [looked, build] of builds.toReversed().entries()) {
    if (looked >= READ_MAX || performance.now() - began > LOOK_MS)
      throw unable('look-too-long', `in the last ${looked} builds; older ones were not looked at`);
    const bytes = await depot.read(buildPath(build, approvalFile), RECORD_MAX);
    const read = bytes && attempt(() => parseApproval(bytes));
    if (read === null || read instanceof Failure || read.build !== build || bytes === null) {
      unreadable ??= build;
      continue;
    }
    if (read.project !== project.name) continue;
    const approvers = await approversOf(project, depot, read, bytes, now);
    if (missingApprovers(project, read, approvers) === null) return read;
  }
  // it may have been the last: what the depot does not show is no reason to call this one the first
  if (unreadable !== null) throw unable('approval-unreadable', `build ${unreadable} shows no approval`);
  return null;
}

/** Field by field; versions, commits, ids, times and keys are other every time. */
export function changesBetween(last: Approval, next: Approval): Change[] {
  const [before, after] = [comparable(last), comparable(next)];
  return Object.entries(after)
    .map(([field, to]) => ({ field, from: before[field] ?? '', to }))
    .filter(({ from, to }) => from !== to);
}

function comparable(approval: Approval): Readonly<Record<string, string>> {
  const { artifacts, builders, source } = approval;
  const slots = slotsOf(approval);
  return {
    source: source === null ? 'not stated' : source.uri,
    artifacts: artifacts.patterns.join('  '),
    'max-count': `${artifacts.maxCount}`,
    'max-size': `${artifacts.maxBytes}`,
    'max-total': `${artifacts.maxTotalBytes}`,
    builders: `${slots.length}`,
    quorum: `${approval.quorum}`,
    scheme: [...new Set(slots.map((slot) => builders[slot]?.scheme ?? ''))].join(', '),
    'enrol within': enrolment(approval),
    mode: approval.mode,
    'release key': approval.releaseKey,
    signer: approval.signer,
    requester: approval.requester,
    lifetime: formatDuration(secondsBetween(approval.notBefore, approval.expires)),
  };
}

/** How long builders may enrol. */
function enrolment(approval: Approval): string {
  const times = new Set<string>();
  for (const slot of slotsOf(approval)) {
    const builder = approval.builders[slot];
    if (builder?.scheme === 'enrol')
      times.add(formatDuration(secondsBetween(approval.notBefore, builder.enrolBy)));
  }
  return [...times].join(', ') || 'none';
}

const secondsBetween = (from: Approval['notBefore'], to: Approval['expires']): number =>
  (timestampDate(to).getTime() - timestampDate(from).getTime()) / 1000;
