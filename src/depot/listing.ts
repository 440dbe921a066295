/** What the depot shows of itself: releases, builds, one build. Read from the tree each time; nothing is cached. */
import { Failure } from '../failure.ts';
import { buildState } from '../policy/state.ts';
import type { BuildState } from '../policy/state.ts';
import { parseApproval } from '../records/approval.ts';
import type { Approval } from '../records/approval.ts';
import { RECORD_MAX } from '../records/canonical.ts';
import { parseManifest } from '../records/manifest.ts';
import type { Manifest } from '../records/manifest.ts';
import { isProjectName, isVersion } from '../records/names.ts';
import type { BuildId, ProjectName, Version } from '../records/names.ts';
import { approvalFile, buildPath, refusalFile, releaseDir } from '../records/paths.ts';
import { parseRefusal } from '../records/refusal.ts';
import type { Reason, Refusal } from '../records/refusal.ts';
import { parseRelease } from '../records/release.ts';
import type { Release } from '../records/release.ts';
import type { Tree } from '../tree/tree.ts';

export interface BuildListing {
  readonly build: BuildId;
  readonly state: BuildState;
  readonly approval: Approval;
  /** Paths below `builds/<build>/`, without blobs and signatures, which may be many. */
  readonly files: readonly string[];
  readonly reasons: readonly Reason[];
}

/** A record that the gate let in is well-formed; one that is not any more is damaged, and shown as not there. */
async function record<T>(tree: Tree, path: string, parse: (bytes: Buffer) => T): Promise<T | null> {
  const bytes = await tree.read(path);
  if (bytes === null || bytes.length > RECORD_MAX) return null;
  try {
    return parse(bytes);
  } catch (error) {
    if (error instanceof Failure) return null;
    throw error;
  }
}

/** One build; null if there is no approval of it. */
export async function listBuild(tree: Tree, build: BuildId, now: Date): Promise<BuildListing | null> {
  const approval = await record(tree, buildPath(build, approvalFile), parseApproval);
  if (approval === null) return null;
  const top = await tree.list(buildPath(build));
  const statements = top.includes('statements') ? await tree.list(buildPath(build, 'statements')) : [];
  const files = [
    ...top.filter((name) => name.includes('.')),
    ...statements.map((name) => `statements/${name}`),
  ].sort();
  const refusal: Refusal | null = files.includes(refusalFile)
    ? await record(tree, buildPath(build, refusalFile), parseRefusal)
    : null;
  const released = await listRelease(tree, approval.project, approval.version);
  const published = released?.build === build;
  const state = buildState({ approval, files: new Set(files), refusal, revoked: false, published, now });
  return { build, state, approval, files, reasons: refusal?.reasons ?? [] };
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

/** Every published release, by name. */
export async function listReleases(tree: Tree): Promise<{ project: ProjectName; version: Version }[]> {
  const found: { project: ProjectName; version: Version }[] = [];
  for (const project of (await tree.list('releases')).filter(isProjectName).sort())
    for (const version of (await tree.list(`releases/${project}`)).filter(isVersion).sort())
      if ((await listRelease(tree, project, version)) !== null) found.push({ project, version });
  return found;
}
