/**
 * `status`: where each build stands and why it waits, read from the depot and believed only as far as
 * signatures and log proofs carry it.
 */
import { Failure, refused } from '../failure.ts';
import { approvalProblems, isExpired } from '../policy/approval-policy.ts';
import { missingApprovers } from '../policy/approval-verdict.ts';
import { attempt } from '../policy/attempt.ts';
import { slotsOf } from '../policy/builder-key.ts';
import type { Project } from '../policy/project.ts';
import { buildState } from '../policy/state.ts';
import type { BuildState } from '../policy/state.ts';
import { parseApproval } from '../records/approval.ts';
import type { Approval, Source } from '../records/approval.ts';
import { RECORD_MAX } from '../records/canonical.ts';
import { timestampDate } from '../records/names.ts';
import type { BuildId, Fingerprint, Timestamp } from '../records/names.ts';
import { approvalFile, buildPath, statementFile } from '../records/paths.ts';
import type { Reason } from '../records/refusal.ts';
import { listBuilds } from '../tree/builds.ts';
import type { Depot } from '../tree/tree.ts';
import { loggedReleases, readBuildLog } from './build-log.ts';
import type { BuildLog } from './build-log.ts';
import { gatherEvidence } from './evidence.ts';
import type { Evidence } from './evidence.ts';
import { releasedBuild } from './version-taken.ts';

export interface BuildStatus {
  readonly build: BuildId;
  /** approved, built, verified, signed, published, refused, frozen or expired; `unreadable` when its records are not. */
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
  readonly slots: readonly { readonly slot: string; readonly scheme: string; readonly statement: boolean }[];
  /** `single-builder` today, for every build. */
  readonly assurance: string;
  /** One sentence: what it waits for, or how it ended. */
  readonly why: string;
  /** What may be done next, a command; empty when there is nothing to do. */
  readonly hint: string;
  /** Of a refused or frozen build, as the log proves them. */
  readonly reasons: readonly Reason[];
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
    const status = await statusOf(project, depot, build, now);
    if (status === null)
      throw refused(
        'build-unknown',
        `the depot has no build ${build}`,
        'countersign status lists all of them',
      );
    const log = await readBuildLog(project, depot, build, readingLog);
    const release = log.entries.find(({ type }) => type === 'release');
    yield { ...status, ...undelivered(status, release?.index), log };
    return;
  }
  const listed: BuildId[] = [];
  for await (const each of listBuilds(depot, LISTED_MAX)) listed.push(each);
  const all: BuildStatus[] = [];
  for (const each of listed)
    all.push((await statusOf(project, depot, each, now)) ?? unreadable(project, each, 'it has no approval'));
  // only where a build waits for the signer: the log may be long
  const built = new Set(all.flatMap((each) => (each.state === 'built' ? [each.build] : [])));
  const releases = built.size === 0 ? null : await loggedReleases(project, depot, built, readingLog);
  for (const status of all) yield { ...status, ...undelivered(status, releases?.get(status.build)) };
}

/** Null without an approval. */
async function statusOf(
  project: Project,
  depot: Depot,
  build: BuildId,
  now: Date,
): Promise<BuildStatus | null> {
  const bytes = await depot.read(buildPath(build, approvalFile), RECORD_MAX);
  if (bytes === null) return null;
  const approval = attempt(() => parseApproval(bytes));
  if (approval instanceof Failure) return unreadable(project, build, approval.message);
  if (approval.build !== build)
    return unreadable(project, build, `its approval is that of build ${approval.build}`);

  const evidence = await gatherEvidence(project, depot, approval, bytes, now);
  const state = buildState({ approval, ...evidence, revoked: false, now });
  const released = await releasedBuild(project, depot, approval.version);
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
    slots: slotsOf(approval).map((slot) => ({
      slot,
      scheme: approval.builders[slot]?.scheme ?? '',
      statement: evidence.files.has(statementFile(slot)),
    })),
    assurance: 'single-builder',
    ...explain(
      state,
      project,
      approval,
      { ...evidence, taken: released !== null && released !== build },
      now,
    ),
    reasons: evidence.refusal?.reasons ?? [],
    logIndex: evidence.logIndex,
    log: null,
  };
}

type Explanation = Pick<BuildStatus, 'why' | 'hint'>;

/** The log goes out before what it names, which may have to wait for witnesses. */
function undelivered({ state }: BuildStatus, release: number | undefined): Explanation | null {
  if (release === undefined || state !== 'built') return null;
  return {
    why: `its release is in the log (entry ${release}): the signer has not delivered it yet`,
    hint: 'does it wait for witnesses? on H: countersign sign says so, and finishes it',
  };
}

/** What there is of the build, and whether another one is released as its version. */
type Found = Evidence & { readonly taken: boolean };

/** Why it waits or how it ended, and what may be done about it. */
function explain(
  state: BuildState,
  project: Project,
  approval: Approval,
  evidence: Found,
  now: Date,
): Explanation {
  const again = wayOn(approval, evidence);
  const [reason] = evidence.refusal?.reasons ?? [];
  switch (state) {
    case 'published':
      return { why: 'it is released', hint: '' };
    case 'signed':
      return { why: 'it is signed, and waits to be published', hint: 'countersign sign on H finishes it' };
    case 'verified':
      return {
        why: 'the log has its release, and its signatures are on the way',
        hint: 'countersign sign on H finishes it',
      };
    case 'revoked':
    case 'refused':
    case 'frozen':
      return {
        why: reason === undefined ? 'the signer refused it' : `${reason.code}: ${reason.text}`,
        hint: again,
      };
    case 'expired':
      return { why: `nothing was sealed before ${approval.expires}`, hint: again };
    case 'approved':
    case 'enrolled':
    case 'built':
      return (
        waiting(state, project, approval, evidence, now, again) ?? {
          why: 'it waits for the signer',
          hint: 'on H: countersign sign',
        }
      );
  }
}

/** What gets on where this build doesn't. */
function wayOn({ project, version }: Approval, { taken, refusal }: Found): string {
  if (taken) return `${project} ${version} is released: approve another version`;
  const again = `a new approval: countersign approve ${version} --tickets DIR`;
  const held = refusal?.reasons.some(({ code }) => code === 'version-taken') === true;
  return held ? `go on with that build if you have its ticket; once it has expired, ${again}` : again;
}

/** What keeps the signer from it; null when nothing does. */
function waiting(
  state: 'approved' | 'enrolled' | 'built',
  project: Project,
  approval: Approval,
  { approvers, taken }: Found,
  now: Date,
  again: string,
): Explanation | null {
  const missing = missingApprovers(project, approval, approvers);
  if (approvers.length === 0)
    return { why: 'no approver of the project file has signed its approval', hint: '' };
  if (missing !== null) return { why: `it waits for approvers: ${missing}`, hint: '' };
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
  if (state === 'built')
    return isExpired(approval, now)
      ? {
          why: `its approval ended at ${approval.expires}: the signer refuses it unless it saw the statement before`,
          hint: `on H: countersign sign; if it is refused, ${again}`,
        }
      : null;
  return {
    why: `it waits for the statement of ${slotsOf(approval).join(', ')}, until ${approval.expires}`,
    hint: 'on the builder: countersign attest --ticket FILE PATH...',
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
  assurance: 'single-builder',
  why,
  hint: 'the depot shows what no approver can have signed: see countersign check there',
  reasons: [],
  logIndex: null,
  log: null,
});
