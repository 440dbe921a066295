/** Whether a version can still be had: the signer refuses an approval of one that another build has. */
import { Failure, unable } from '../failure.ts';
import { revokeToFree } from '../policy/again.ts';
import { missingApprovers } from '../policy/approval-verdict.ts';
import { attempt } from '../policy/attempt.ts';
import type { Project } from '../policy/project.ts';
import { verifyReleaseEntry } from '../policy/release-chain.ts';
import { revokersNeeded } from '../policy/revocation-verdict.ts';
import { buildState } from '../policy/state.ts';
import { parseApproval } from '../records/approval.ts';
import { RECORD_MAX } from '../records/canonical.ts';
import { newBuildId } from '../records/names.ts';
import type { BuildId, Version } from '../records/names.ts';
import { approvalFile, buildPath, logEntryFile, releaseDir, releaseProofFile } from '../records/paths.ts';
import { PROOF_MAX, unwitnessed } from '../tlog/proof.ts';
import { listBuilds } from '../tree/builds.ts';
import type { Depot } from '../tree/tree.ts';
import { gatherEvidence } from './evidence.ts';

/** The build that is released as this version, as the log proves it; null if there is none. Throws unable. */
export async function releasedBuild(
  project: Project,
  depot: Depot,
  version: Version,
): Promise<BuildId | null> {
  const directory = `${releaseDir(project.name, version)}/countersign`;
  const proof = await depot.read(`${directory}/${releaseProofFile}`, PROOF_MAX);
  const entry = await depot.read(`${directory}/${logEntryFile}`, RECORD_MAX);
  if (proof === null || entry === null) return null;
  const proven = attempt(() => verifyReleaseEntry(proof, entry, unwitnessed(project.log)));
  if (proven instanceof Failure) return null;
  const { build, project: name, version: released } = proven.entry;
  return name === project.name && released === version ? build : null;
}

/** What a look at the depot may cost an approver: a depot that lists more, or takes longer, is not asked on. */
const LOOKED_AT_MAX = 1000;
const LOOK_MS = 30_000;

/**
 * That the signer will refuse another approval of this version, and why, in a sentence; null if the depot shows nothing
 * that speaks against it. Looks at builds that can't have expired, as the policy limits their time.
 * Throws unable `look-too-long`, and what the depot throws.
 */
export async function versionTaken(
  project: Project,
  depot: Depot,
  version: Version,
  now: Date,
): Promise<string | null> {
  const began = performance.now();
  const what = `${project.name} ${version}`;
  const will = 'the signer will refuse this';
  const released = await releasedBuild(project, depot, version);
  if (released !== null) return `${will}: ${what} is released, by build ${released}: approve another version`;
  let perhaps: string | null = null;
  const oldest = new Date(now.getTime() - project.policy.maxLifetime * 1000);
  const after = newBuildId(oldest, Buffer.alloc(10));
  for await (const build of listBuilds(depot, LOOKED_AT_MAX, after)) {
    const held = await whyHeld(project, depot, { build, version }, now);
    if (held?.allowed === true) return `${will}: ${what} is that of build ${build}, ${held.why}`;
    if (held !== null) perhaps ??= `${will} if build ${build} is allowed first: ${held.why}`;
    if (performance.now() - began > LOOK_MS)
      throw unable('look-too-long', `the depot takes longer than ${LOOK_MS / 1000} s to show its builds`);
  }
  return perhaps;
}

/** A version is a build's when enough approvers have allowed it; before, it is nobody's. */
interface Held {
  readonly allowed: boolean;
  /** And what helps. */
  readonly why: string;
}

const SEALED = 'which is sealed: countersign sign on H goes on with it';

/** Why this build has the version, or may have it soon; null if it hasn't. */
async function whyHeld(
  project: Project,
  depot: Depot,
  { build, version }: { readonly build: BuildId; readonly version: Version },
  now: Date,
): Promise<Held | null> {
  const bytes = await depot.read(buildPath(build, approvalFile), RECORD_MAX);
  const approval = bytes === null ? null : attempt(() => parseApproval(bytes));
  if (bytes === null || approval === null || approval instanceof Failure) return null;
  if (approval.build !== build || approval.version !== version) return null;
  const evidence = await gatherEvidence(project, depot, approval, bytes, now);
  if (evidence.approvers.length === 0) return null;
  const needed = revokersNeeded(project, evidence.files.has(releaseProofFile));
  const revoked = evidence.revocations.length >= needed;
  const state = buildState({ approval, ...evidence, revoked, now });
  switch (state) {
    case 'revoked':
    case 'refused':
    case 'frozen':
    case 'expired':
      return null;
    case 'approved':
    case 'enrolled':
    case 'built':
      break;
    case 'verified':
    case 'signed':
    case 'published':
      return { allowed: true, why: SEALED };
  }
  const missing = missingApprovers(project, approval, evidence.approvers);
  if (missing !== null)
    return {
      allowed: false,
      why: `${missing}, until ${approval.expires}; ${revokeToFree(build)} ends it`,
    };
  const free = `or free it: ${revokeToFree(build)}`;
  // whether its intent is logged, which binds the version for good, the signer knows
  if (state === 'built') return { allowed: true, why: `${SEALED}; ${free}, unless it is being signed` };
  const open = `approved until ${approval.expires}: go on with it if you have its ticket, else approve again after that, or another version; ${free}`;
  return { allowed: true, why: open };
}
