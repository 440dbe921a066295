/** Whether a build has come further than its builders bring it, by what lies in the tree. */
import { Failure } from '../failure.ts';
import { attempt } from '../policy/attempt.ts';
import type { Approval } from '../records/approval.ts';
import type { BuildId } from '../records/names.ts';
import { buildPath, parseBuildFile, releaseDir, releaseFile, releaseProofFile } from '../records/paths.ts';
import type { BuildFile } from '../records/paths.ts';
import { parseRelease } from '../records/release.ts';
import type { Tally, Tree } from './tree.ts';

type Version = Pick<Approval, 'project' | 'version'>;

/** What approvers and builders write. */
const BEFORE: ReadonlySet<BuildFile['kind']> = new Set<BuildFile['kind']>([
  ...(['approval', 'approval-signature', 'revocation', 'revocation-signature', 'blob'] as const),
  ...(['statement', 'statement-signature', 'statement-mac', 'statement-envelope'] as const),
  ...(['enrolment', 'enrolment-signature', 'enrolment-mac'] as const),
]);

const countersignDir = ({ project, version }: Version): string =>
  `${releaseDir(project, version)}/countersign`;

/** Which build's release is visible as this version; null if none is, or nobody knows. */
export async function publishedBuild(tree: Tree, version: Version): Promise<BuildId | null> {
  const proof = await tree.size(`${countersignDir(version)}/${releaseProofFile}`);
  return proof === null ? null : releasedBuild(tree, version);
}

/** Whether there is anything of the build that approvers and builders do not write, or a release that may be its own. */
export async function isBegun(
  tree: Tree,
  { build, ...version }: Version & { build: BuildId },
): Promise<boolean> {
  const directory = buildPath(build);
  for await (const { path } of filesBelow(tree, directory)) {
    const kind = parseBuildFile(path.slice(directory.length + 1))?.kind;
    if (kind === undefined || !BEFORE.has(kind)) return true;
  }
  const { project, version: name } = version;
  if ((await tree.list(releaseDir(project, name))).length === 0) return false;
  const released = await releasedBuild(tree, version);
  return released === null || released === build;
}

/** All files in a directory. */
export async function tallyOf(tree: Tree, directory: string): Promise<Tally> {
  let [files, bytes] = [0, 0];
  for await (const { size } of filesBelow(tree, directory)) {
    files += 1;
    bytes += size;
  }
  return { files, bytes };
}

async function releasedBuild(tree: Tree, version: Version): Promise<BuildId | null> {
  const bytes = await tree.read(`${countersignDir(version)}/${releaseFile}`);
  const release = bytes && attempt(() => parseRelease(bytes));
  return release === null || release instanceof Failure ? null : release.build;
}

async function* filesBelow(tree: Tree, directory: string): AsyncGenerator<{ path: string; size: number }> {
  for (const name of await tree.list(directory)) {
    const path = `${directory}/${name}`;
    const size = await tree.size(path);
    if (size === null) yield* filesBelow(tree, path);
    else yield { path, size };
  }
}
