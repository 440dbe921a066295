/**
 * `status`: where each build stands and why it waits, read from the depot and believed only as far as
 * signatures and log proofs carry it.
 */
import { Failure, refused } from '../failure.ts';
import { attempt } from '../policy/attempt.ts';
import { builderOf, slotsOf } from '../policy/builder-key.ts';
import type { Project } from '../policy/project.ts';
import { revokersNeeded } from '../policy/revocation-verdict.ts';
import { buildState } from '../policy/state.ts';
import type { BuildState } from '../policy/state.ts';
import { parseApproval } from '../records/approval.ts';
import type { Approval, Mode, Source } from '../records/approval.ts';
import { assuranceOf } from '../records/assurance.ts';
import type { Assurance } from '../records/assurance.ts';
import { RECORD_MAX } from '../records/canonical.ts';
import type { BuildEntryType } from '../records/log-entry.ts';
import type { BuildId, Fingerprint, Slot, Timestamp } from '../records/names.ts';
import {
  approvalFile,
  buildPath,
  enrolmentReceiptFile,
  releaseProofFile,
  statementFile,
} from '../records/paths.ts';
import type { Reason } from '../records/refusal.ts';
import { listBuilds } from '../tree/builds.ts';
import type { Depot } from '../tree/tree.ts';
import { loggedReleases, readBuildLog } from './build-log.ts';
import type { BuildLog } from './build-log.ts';
import { conflictsOf, withLate } from './conflicts.ts';
import type { Conflict } from './conflicts.ts';
import { gatherEvidence } from './evidence.ts';
import type { CountedRevocation, Evidence } from './evidence.ts';
import { explain } from './explanation.ts';
import type { SlotStatus } from './explanation.ts';
import { releasedBuild } from './version-taken.ts';
import { readVersions } from './versions.ts';

export interface BuildStatus {
  readonly build: BuildId;
  /** approved, enrolled, built, verified, signed, published, refused, frozen, revoked or expired; `unreadable` when its records are not. */
  readonly state: BuildState | 'unreadable';
  /** null when the approval can't be read. */
  readonly project: string | null;
  readonly version: string | null;
  readonly source: Source | null;
  readonly requester: Fingerprint | null;
  readonly expires: Timestamp | null;
  /** Approvers whose signature verifies, of `threshold`. */
  readonly approvers: readonly Fingerprint[];
  readonly threshold: number;
  readonly slots: readonly SlotStatus[];
  /** How many builders must agree; null when the approval can't be read. */
  readonly quorum: number | null;
  /** `single-builder`, or `k-of-n` with its numbers; null when the approval can't be read. */
  readonly assurance: Assurance | null;
  readonly mode: Mode | null;
  /** One sentence: what it waits for, or how it ended. */
  readonly why: string;
  /** What may be done next, a command; empty when there is nothing to do. */
  readonly hint: string;
  /** Of a refused or frozen build, as the log proves them. */
  readonly reasons: readonly Reason[];
  /** Of a frozen build: who made what of the artifacts that differ; asked for by itself, also who came after the freeze. */
  readonly conflicts: readonly Conflict[];
  /** Approvers who revoked it, the oldest first, and how many that needs. */
  readonly revocations: readonly CountedRevocation[];
  readonly revocationsNeeded: number;
  /** Revoked after it was released. */
  readonly withdrawn: boolean;
  /** Index of the release (or refusal) entry in the log, as its proof says. */
  readonly logIndex: number | null;
  /** What the depot's log says of the build; null in a list. */
  readonly log: BuildLog | null;
}

/** So many builds are years of them; whoever has more names the build. */
const LISTED_MAX = 100_000;

/**
 * All builds of the depot in ascending order, or the one asked for.
 * Throws refused `build-unknown`, unable when the depot can't be read or lists too many.
 */
export async function* listStatus(
  project: Project,
  depot: Depot,
  options: {
    readonly build: BuildId | null;
    readonly now: Date;
    /** Entries of the log read so far. */
    readonly readingLog?: (done: number, entries: number) => void;
  },
): AsyncGenerator<BuildStatus> {
  const { build, now, readingLog = () => {} } = options;
  if (build !== null) {
    const log = await readBuildLog(project, depot, build, readingLog);
    const status = await statusOf(project, depot, build, now, log);
    if (status === null)
      throw refused(
        'build-unknown',
        `the depot has no build ${build}`,
        'countersign status lists all of them',
      );
    yield { ...status, conflicts: await allConflicts(project, depot, status, now), log };
    return;
  }
  const listed: BuildId[] = [];
  for await (const each of listBuilds(depot, LISTED_MAX)) listed.push(each);
  const all: BuildStatus[] = [];
  for (const each of listed)
    all.push((await statusOf(project, depot, each, now)) ?? unreadable(project, each, 'it has no approval'));
  // only where its release may be in the log and not here: the log may be long
  const open = new Set(all.flatMap((each) => (isUndelivered(each) ? [each.build] : [])));
  const releases = open.size === 0 ? null : await loggedReleases(project, depot, open, readingLog);
  for (const status of all) {
    const index = releases?.get(status.build);
    const entries = index === undefined ? null : [{ index, type: 'release' as const }];
    yield (entries && (await statusOf(project, depot, status.build, now, { entries }))) ?? status;
  }
}

/** Who made what, those too whose statement came after the freeze. Throws unable. */
async function allConflicts(
  project: Project,
  depot: Depot,
  { build, conflicts }: BuildStatus,
  now: Date,
): Promise<readonly Conflict[]> {
  const bytes = conflicts.length === 0 ? null : await depot.read(buildPath(build, approvalFile), RECORD_MAX);
  if (bytes === null) return conflicts;
  return withLate(conflicts, (await readVersions(project, depot, parseApproval(bytes), now)).versions);
}

const isUndelivered = ({ state, logIndex, revocations }: BuildStatus): boolean =>
  state === 'built' || (logIndex === null && revocations.length > 0);

/** What the log has of a build, as far as it was read. */
type Logged = { readonly entries: readonly Pick<BuildLog['entries'][number], 'index' | 'type'>[] };

/** Null without an approval. */
async function statusOf(
  project: Project,
  depot: Depot,
  build: BuildId,
  now: Date,
  { entries }: Logged = { entries: [] },
): Promise<BuildStatus | null> {
  const bytes = await depot.read(buildPath(build, approvalFile), RECORD_MAX);
  if (bytes === null) return null;
  const approval = attempt(() => parseApproval(bytes));
  if (approval instanceof Failure) return unreadable(project, build, approval.message);
  if (approval.build !== build)
    return unreadable(project, build, `its approval is that of build ${approval.build}`);

  const evidence = await gatherEvidence(project, depot, approval, bytes, now);
  const indexOf = (type: BuildEntryType): number | null =>
    entries.find((entry) => entry.type === type)?.index ?? null;
  const released = evidence.files.has(releaseProofFile) || indexOf('release') !== null;
  const revocationsNeeded = revokersNeeded(project, released);
  const revoked = indexOf('revocation') !== null || evidence.revocations.length >= revocationsNeeded;
  const state = buildState({ approval, ...evidence, revoked, now });
  const other = await releasedBuild(project, depot, approval.version);
  const slots = slotsOf(approval).map((slot) => slotStatus(approval, slot, evidence));
  const found = {
    ...evidence,
    slots,
    state,
    released,
    revocationsNeeded,
    taken: other !== null && other !== build,
    bound: released || indexOf('intent') !== null,
    undelivered: indexOf('release'),
    revocation: indexOf('revocation'),
    conflict: indexOf('conflict'),
  };
  const reasons = evidence.refusal?.reasons ?? [];
  return {
    build,
    state,
    project: approval.project,
    version: approval.version,
    source: approval.source,
    requester: approval.requester,
    expires: approval.expires,
    approvers: evidence.approvers,
    threshold: project.threshold,
    slots,
    quorum: approval.quorum,
    assurance: assuranceOf(approval),
    mode: approval.mode,
    ...explain(project, approval, found, now),
    reasons,
    conflicts: conflictsOf(reasons),
    revocations: evidence.revocations,
    revocationsNeeded,
    withdrawn: state === 'revoked' && released,
    logIndex: evidence.logIndex,
    log: null,
  };
}

function slotStatus(approval: Approval, slot: Slot, { files }: Evidence): SlotStatus {
  const builder = builderOf(approval, slot);
  return {
    slot,
    scheme: builder.scheme,
    enrolBy: builder.scheme === 'enrol' ? builder.enrolBy : null,
    enrolled: files.has(enrolmentReceiptFile(slot)),
    statement: files.has(statementFile(slot)),
  };
}

const unreadable = (project: Project, build: BuildId, why: string): BuildStatus => ({
  build,
  state: 'unreadable',
  project: null,
  version: null,
  source: null,
  requester: null,
  expires: null,
  approvers: [],
  threshold: project.threshold,
  slots: [],
  quorum: null,
  assurance: null,
  mode: null,
  why,
  hint: 'the depot shows what no approver can have signed: see countersign check there',
  reasons: [],
  conflicts: [],
  revocations: [],
  revocationsNeeded: 1,
  withdrawn: false,
  logIndex: null,
  log: null,
});
