/** A build that is on the depot, as a further person finds it: its approval, and what the files beside it prove. */
import { Failure, refused } from '../failure.ts';
import { attempt } from '../policy/attempt.ts';
import { purposeProblems } from '../policy/approval-policy.ts';
import type { Project } from '../policy/project.ts';
import { parseApproval } from '../records/approval.ts';
import type { Approval } from '../records/approval.ts';
import { RECORD_MAX } from '../records/canonical.ts';
import type { BuildId } from '../records/names.ts';
import { approvalFile, buildPath } from '../records/paths.ts';
import type { Depot } from '../tree/tree.ts';
import { gatherEvidence } from './evidence.ts';
import type { Evidence } from './evidence.ts';

export interface AskedBuild {
  readonly approval: Approval;
  /** The approval's exact bytes. */
  readonly bytes: Buffer;
  readonly evidence: Evidence;
}

/**
 * Reads a build of this project. Whether anybody who counts has signed its approval is in the evidence.
 * Throws refused: `build-unknown`, `approval-invalid`, and the code of what makes it another's; unable.
 */
export async function readAskedBuild(
  project: Project,
  depot: Depot,
  build: BuildId,
  now: Date,
): Promise<AskedBuild> {
  const bytes = await depot.read(buildPath(build, approvalFile), RECORD_MAX);
  if (bytes === null)
    throw refused('build-unknown', `the depot has no build ${build}`, 'countersign status lists all of them');
  const approval = attempt(() => parseApproval(bytes));
  if (approval instanceof Failure)
    throw refused('approval-invalid', `build ${build}: ${approval.message}`, BROKEN, approval);
  if (approval.build !== build)
    throw refused('approval-invalid', `build ${build}: its approval is that of ${approval.build}`, BROKEN);
  const [foreign] = purposeProblems(project, approval);
  if (foreign !== undefined)
    throw refused(foreign.code, `build ${build}: ${foreign.text}`, 'check the depot and -c');
  return { approval, bytes, evidence: await gatherEvidence(project, depot, approval, bytes, now) };
}

const BROKEN = 'the depot shows what no approver can have signed: see countersign check there';
