/** The command that allows again what an approval allowed: a person who pastes it gets no weaker one. */
import type { Approval } from '../records/approval.ts';
import type { BuildId, Timestamp } from '../records/names.ts';
import { timestampDate } from '../records/names.ts';
import { parseBuildFile } from '../records/paths.ts';
import type { Reason } from '../records/refusal.ts';
import { builderOf, slotsOf } from './builder-key.ts';
import { formatDuration } from './duration.ts';
import type { Project } from './project.ts';

/** What `approve` does where it is told nothing. Seconds. */
export const DEFAULT_ENROL_BY = 600;
export const defaultLifetime = ({ policy }: Pick<Project, 'policy'>): number =>
  Math.min(4 * 3600, policy.maxLifetime);

/**
 * `countersign approve`, with every flag that the approval had and that is not the default; the source is that of the
 * checkout where it is typed. `--tickets` stands last: without it, cut off in a paste, the command does nothing.
 */
export function approveAgain(project: Pick<Project, 'policy'>, approval: Approval): string {
  const { artifacts, notBefore, expires, quorum, version } = approval;
  const { policy } = project;
  const slots = slotsOf(approval);
  const [builder] = slots.map((slot) => builderOf(approval, slot));
  const flags: string[] = [];
  const flag = (name: string, value: string | number, isDefault: boolean): unknown =>
    isDefault || flags.push(`--${name} ${value}`);
  const seconds = (until: Timestamp): number =>
    (timestampDate(until).getTime() - timestampDate(notBefore).getTime()) / 1000;

  flag('builders', slots.length, slots.length === 1);
  flag('quorum', quorum, quorum === slots.length);
  if (builder !== undefined) flag('scheme', builder.scheme, builder.scheme === 'keypair');
  if (builder?.scheme === 'enrol') {
    const enrolBy = seconds(builder.enrolBy);
    flag('enrol-by', formatDuration(enrolBy), enrolBy === DEFAULT_ENROL_BY);
  }
  if (artifacts.patterns.join('\n') !== policy.patterns.join('\n'))
    for (const pattern of artifacts.patterns) flag('artifact', `'${pattern}'`, false);
  // the project's may be lower by now: more than that would be refused
  flag('max-count', artifacts.maxCount, artifacts.maxCount >= policy.maxCount);
  flag('max-size', exactSize(artifacts.maxBytes), artifacts.maxBytes >= policy.maxBytes);
  flag('max-total', exactSize(artifacts.maxTotalBytes), artifacts.maxTotalBytes >= policy.maxTotalBytes);
  const lifetime = Math.min(seconds(expires), policy.maxLifetime);
  flag('expires', formatDuration(lifetime), lifetime === defaultLifetime(project));
  return ['countersign approve', version, ...flags, '--tickets DIR'].join(' ');
}

/** What frees the version of a build that has no intent, at once. */
export const revokeToFree = (build: BuildId): string => `countersign revoke ${build} --reason TEXT`;

/** What helps a build whose builders did not enrol in time: it holds its version until it expires. */
export const enrolLonger = (project: Pick<Project, 'policy'>, approval: Approval): string =>
  `${revokeToFree(approval.build)}; then, with a longer --enrol-by: ${approveAgain(project, approval)}`;

/** As the command line reads it, to the byte. */
function exactSize(bytes: number): string {
  const power = [4, 3, 2, 1].find((each) => bytes % 1024 ** each === 0) ?? 0;
  return `${bytes / 1024 ** power}${['', 'K', 'M', 'G', 'T'][power]}`;
}

/** How to look at what builders do not agree about, before anything else; empty where there are no two versions. */
export function bothVersions(build: BuildId, [first]: readonly Reason[]): string {
  if (first?.code !== 'conflict' || parseBuildFile(first.where)?.kind === 'enrolment') return '';
  return `both versions: countersign status ${build} --fetch DIR; `;
}
