/** How each build has ended, as `status` has it from L's tree, held against how it may have. */
import { listStatus } from '../../src/operator/status.ts';
import type { BuildStatus } from '../../src/operator/status.ts';
import type { BuildId } from '../../src/records/names.ts';
import type { Depot } from '../../src/tree/tree.ts';
import type { Site } from './site.ts';
import type { Begun, Outcome } from './stories.ts';

export interface Ended {
  readonly begun: Begun;
  readonly outcome: Outcome;
  /** As L says it. */
  readonly status: BuildStatus | null;
}

/** Of every build that was begun; and what is wrong with them. */
export async function endsOf(site: Site, depot: Depot, begun: readonly Begun[]) {
  const statuses = new Map<BuildId, BuildStatus>();
  for await (const status of listStatus(site.project, depot, { build: null, now: new Date() }))
    statuses.set(status.build, status);
  const ended = begun.map((each): Ended => {
    const status = statuses.get(each.build) ?? null;
    statuses.delete(each.build);
    return { begun: each, status, outcome: status === null ? 'dropped' : outcomeOf(status) };
  });
  // of a submission whose answer was lost: nobody has its tickets, and nobody endorses it
  const strays = [...statuses.values()];
  return { ended, strays, problems: [...problemsOf(site, ended), ...strays.flatMap(strayProblem)] };
}

function outcomeOf({ state, reasons, withdrawn, approvers, threshold }: BuildStatus): Outcome {
  if (state === 'revoked') return withdrawn ? 'withdrawn' : 'revoked';
  if (state === 'refused')
    return `refused: ${[...new Set(reasons.map(({ code }) => code))].sort().join(' ')}`;
  if (!['published', 'frozen', 'expired'].includes(state) && approvers.length < threshold)
    return 'one approver';
  return state;
}

function problemsOf(site: Site, ended: readonly Ended[]): string[] {
  const problems: string[] = [];
  const outcomes = new Map(ended.map(({ begun, outcome }) => [begun.build, outcome]));
  for (const { begun, outcome, status } of ended) {
    const { build, plan, may, instead } = begun;
    const who = `${build} (${plan.way}, ${plan.scheme}, ${plan.quorum} of ${plan.builders})`;
    if (!may.includes(outcome))
      problems.push(`${who}: ${outcome}, not ${may.join(' or ')}: ${status?.why ?? ''}`);
    const pair = instead === null ? [] : [outcome, outcomes.get(instead)];
    if (instead !== null && pair.filter((each) => each === 'published').length !== 1)
      problems.push(`${who} and ${instead}, of one version: ${pair.join(' and ')}`);
    const wasOut = outcome === 'published' || outcome === 'withdrawn';
    if (wasOut !== site.watcher.releases.has(build))
      problems.push(`${who}: ${outcome}, and seen published: ${!wasOut}`);
    if (wasOut !== site.watcher.has(build, 'release'))
      problems.push(`${who}: ${outcome}, which the log says otherwise`);
    if (plan.way === 'dissent' && wasOut && !site.watcher.has(build, 'conflict'))
      problems.push(`${who}: its dissent is not in the log`);
  }
  return problems;
}

const strayProblem = ({ build, state, approvers }: BuildStatus): string[] =>
  (state === 'approved' || state === 'expired') && approvers.length === 1
    ? []
    : [`${build}: ${state}, and nobody began it`];
