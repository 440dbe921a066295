/** Which build has a version, and how a person gets on with a version that another build has. */
import { approveAgain, revokeToFree } from '../policy/again.ts';
import { isExpired } from '../policy/approval-policy.ts';
import type { Approval } from '../records/approval.ts';
import type { ProjectName, Version } from '../records/names.ts';
import type { BuildHistory } from '../policy/history.ts';
import type { Round } from './signer.ts';

/** The build that has this version: one that has expired without a statement has it no more. Throws unable. */
export async function versionHolder(
  round: Round,
  project: ProjectName,
  version: Version,
): Promise<BuildHistory | null> {
  const holder = round.state.journal.history.holder(project, version);
  if (!holder?.approval || holder.statements.size > 0) return holder;
  return isExpired(await approvalOf(round, holder), round.now()) ? null : holder;
}

/** What a person can do about a build that is over: nothing is gained by an approval that is refused too. Throws unable. */
export async function wayOn(round: Round, approval: Approval): Promise<string> {
  const { build, project, version } = approval;
  const holder = await versionHolder(round, project, version);
  const again = approveAgain(round.project, approval);
  if (holder === null || (holder.build === build && holder.intent === null))
    return `the way on is a new approval: ${again}`;
  if (holder.release !== null) {
    const what = holder.revocation === null ? 'is released' : 'was released and withdrawn';
    return `${project} ${version} ${what}: approve another version`;
  }
  if (holder.revocation !== null)
    return `build ${holder.build} has ${project} ${version} for good: approve another version`;
  const free = holder.intent === null ? `; or free it: ${revokeToFree(holder.build)}; then: ${again}` : '';
  if (holder.statements.size > 0)
    return `build ${holder.build} is sealed: countersign sign goes on with it, or approve another version${free}`;
  const { expires } = await approvalOf(round, holder);
  return `go on with build ${holder.build} if you have its ticket, else approve another version, or ${version} again once that has expired at ${expires}${free}`;
}

/** As the log has it. Throws unable. */
export async function approvalOf(round: Round, { build, approval }: BuildHistory): Promise<Approval> {
  if (approval === null) throw new RangeError('no approval is logged');
  return round.state.approval(build, approval.sha256);
}
