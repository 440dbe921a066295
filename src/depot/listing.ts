/** What the depot shows of itself: releases, builds, one build. Read from the tree each time; nothing is cached. */
import { Failure } from '../failure.ts';
import { validRevocations } from '../policy/gate/revocation.ts';
import type { Project } from '../policy/project.ts';
import { revokersNeeded } from '../policy/revocation-verdict.ts';
import type { Revocable } from '../policy/revocation-verdict.ts';
import { buildState } from '../policy/state.ts';
import type { BuildState } from '../policy/state.ts';
import { below } from '../policy/view.ts';
import { parseApproval } from '../records/approval.ts';
import type { Approval } from '../records/approval.ts';
import { RECORD_MAX } from '../records/canonical.ts';
import { parseManifest } from '../records/manifest.ts';
import type { Manifest } from '../records/manifest.ts';
import { isProjectName, isVersion } from '../records/names.ts';
import type { BuildId, Fingerprint, ProjectName, Timestamp, Version } from '../records/names.ts';
import { approvalFile, buildPath, refusalFile, releaseDir, releaseProofFile } from '../records/paths.ts';
import { parseRefusal } from '../records/refusal.ts';
import type { Reason, Refusal } from '../records/refusal.ts';
import { parseRelease } from '../records/release.ts';
import type { Release } from '../records/release.ts';
import { sha256Hex } from '../records/sha256.ts';
import type { Tree } from '../tree/tree.ts';

export interface BuildListing {
  readonly build: BuildId;
  readonly state: BuildState;
  readonly approval: Approval;
  /** Paths below `builds/<build>/`, without blobs and signatures, which may be many. */
  readonly files: readonly string[];
  readonly reasons: readonly Reason[];
  readonly revocations: readonly RevocationListing[];
}

/** Who revoked a build, and why. */
export interface RevocationListing {
  readonly approver: Fingerprint;
  /** As the project file's certificate has it. */
  readonly person: string;
  readonly reason: string;
  readonly time: Timestamp;
}

/** A record that the gate let in is well-formed; one that is not any more is damaged, and shown as not there. */
async function record<T>(tree: Tree, path: string, parse: (bytes: Buffer) => T): Promise<T | null> {
  const bytes = await tree.read(path);
  return bytes && whole(bytes, parse);
}

function whole<T>(bytes: Buffer, parse: (bytes: Buffer) => T): T | null {
  if (bytes.length > RECORD_MAX) return null;
  try {
    return parse(bytes);
  } catch (error) {
    if (error instanceof Failure) return null;
    throw error;
  }
}

/** What is listed, and by whose word. */
export interface Listed {
  readonly project: Project;
  readonly tree: Tree;
  readonly now: () => Date;
}

/** Below a build's directory, what is listed of it. */
const LISTED = ['enrolments', 'revocations', 'statements'];

/** One build; null if there is no approval of it. */
export async function listBuild(listed: Listed, build: BuildId): Promise<BuildListing | null> {
  const { tree, project } = listed;
  const bytes = await tree.read(buildPath(build, approvalFile));
  const approval = bytes && whole(bytes, parseApproval);
  if (!bytes || !approval) return null;
  const top = await tree.list(buildPath(build));
  const files = top.filter((name) => name.includes('.'));
  for (const directory of LISTED.filter((name) => top.includes(name)))
    files.push(...(await tree.list(buildPath(build, directory))).map((name) => `${directory}/${name}`));
  files.sort();
  const refusal: Refusal | null = files.includes(refusalFile)
    ? await record(tree, buildPath(build, refusalFile), parseRefusal)
    : null;
  const released = await listRelease(tree, approval.project, approval.version);
  const published = released?.build === build;
  const revocations = top.includes('revocations')
    ? await listRevocations(listed, { build, approval: sha256Hex(bytes) })
    : [];
  // what the log holds the release of is withdrawn by as many as it took to start
  const revoked =
    revocations.length >= revokersNeeded(project, published || files.includes(releaseProofFile));
  const state = buildState({
    ...{ approval, files: new Set(files), refusal, revoked, published, now: listed.now() },
  });
  return { build, state, approval, files, reasons: refusal?.reasons ?? [], revocations };
}

/** Those with a good signature. */
async function listRevocations(
  { project, tree, now }: Listed,
  revocable: Revocable,
): Promise<RevocationListing[]> {
  const directory = below(tree, buildPath(revocable.build));
  const valid = await validRevocations(project, revocable, directory, now());
  return project.approvers.flatMap(({ primary, userIds }) => {
    const revocation = valid.get(primary.fingerprint);
    if (revocation === undefined) return [];
    const { reason, time } = revocation;
    return [{ approver: primary.fingerprint, person: userIds[0] ?? primary.fingerprint, reason, time }];
  });
}

/** The record of a published release; null where there is none. */
async function listRelease(tree: Tree, project: ProjectName, version: Version): Promise<Release | null> {
  const directory = `${releaseDir(project, version)}/countersign`;
  if ((await tree.size(`${directory}/release.proof`)) === null) return null;
  return record(tree, `${directory}/release.json`, parseRelease);
}

/** Some thousands of artifacts. Parsing and showing 100,000 to whoever asks takes hundreds of megabytes each time. */
const LISTED_MAX = 2 * 1024 * 1024;

/** A published release with what it holds, unless that is too much to be listed; null where there is none. */
export async function readRelease(
  tree: Tree,
  project: ProjectName,
  version: Version,
): Promise<{ release: Release; manifest: Manifest | null } | null> {
  const release = await listRelease(tree, project, version);
  if (release === null) return null;
  const path = `${releaseDir(project, version)}/countersign/manifest.json`;
  if (((await tree.size(path)) ?? 0) > LISTED_MAX) return { release, manifest: null };
  const bytes = await tree.read(path);
  return bytes && { release, manifest: parseManifest(bytes) };
}

/** A release, as a list has it. */
export interface ReleaseListing {
  readonly project: ProjectName;
  readonly version: Version;
  readonly withdrawn: boolean;
}

/** Every published release, by name. */
export async function listReleases(listed: Listed): Promise<ReleaseListing[]> {
  const { tree } = listed;
  const found: ReleaseListing[] = [];
  for (const project of (await tree.list('releases')).filter(isProjectName).sort())
    for (const version of (await tree.list(`releases/${project}`)).filter(isVersion).sort()) {
      const release = await listRelease(tree, project, version);
      if (release === null) continue;
      found.push({ project, version, withdrawn: await isWithdrawn(listed, release) });
    }
  return found;
}

async function isWithdrawn(listed: Listed, { build }: Release): Promise<boolean> {
  // most have none
  if ((await listed.tree.list(buildPath(build, 'revocations'))).length === 0) return false;
  return (await listBuild(listed, build))?.state === 'revoked';
}
