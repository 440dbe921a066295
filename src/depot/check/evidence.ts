/**
 * Whether a depot is that of the project file: by another one nothing in it is as it should be, and mending would take a
 * healthy depot apart. What the project's log key has signed says so; a name alone does not.
 */
import { Failure, usage } from '../../failure.ts';
import { attempt } from '../../policy/attempt.ts';
import type { Project } from '../../policy/project.ts';
import { verifyRefusal, verifyReleaseEntry } from '../../policy/release-chain.ts';
import { isBuildId } from '../../records/names.ts';
import {
  approvalFile,
  logEntryFile,
  refusalFile,
  refusalProofFile,
  releaseProofFile,
} from '../../records/paths.ts';
import { parseApproval } from '../../records/approval.ts';
import type { Tree } from '../../tree/tree.ts';
import { readable } from './facts.ts';
import type { Ledger } from './ledger.ts';
import { list } from './walk.ts';

/**
 * The log's checkpoint, with an entry of this project if it has any; else, as that may be what is damaged, a proof of a
 * release or a refusal; in a depot that never had either, an approval. One is enough. Throws unable('disk').
 */
export async function isOfProject(tree: Tree, project: Project, ledger: Ledger | null): Promise<boolean> {
  if (ledger !== null) return ledger.projects.size === 0 || ledger.projects.has(project.name);
  const directories: string[] = [];
  for (const above of ['releases', 'builds'])
    for (const { path, kind } of (await list(tree.directory, above)) ?? []) {
      if (kind !== 'directory') continue;
      if (above === 'builds' && isBuildId(path.slice('builds/'.length))) directories.push(path);
      if (above === 'releases')
        for (const release of (await list(tree.directory, path)) ?? [])
          directories.push(`${release.path}/countersign`);
    }
  let rests = (await list(tree.directory, 'log'))?.some(({ path }) => path === 'log/checkpoint') ?? false;
  for (const directory of directories) {
    const found = await isProven(tree, project, directory);
    if (found === true) return true;
    rests ||= found === false;
  }
  if (rests || directories.length === 0) return !rests;
  for (const directory of directories) {
    const bytes = await readable(tree, `${directory}/${approvalFile}`);
    const approval = bytes && attempt(() => parseApproval(bytes));
    if (approval && !(approval instanceof Failure) && approval.project === project.name) return true;
  }
  return false;
}

/** By a proof in the directory; null if there is none. */
async function isProven(tree: Tree, project: Project, directory: string): Promise<boolean | null> {
  const read = (file: string): Promise<Buffer | null> => readable(tree, `${directory}/${file}`);
  const log = { ...project.log, quorum: 0 };
  const release = await read(releaseProofFile);
  const refusal = await read(refusalProofFile);
  const [entry, refused] = [release && (await read(logEntryFile)), refusal && (await read(refusalFile))];
  for (const proven of [
    release && entry && attempt(() => verifyReleaseEntry(release, entry, log).entry),
    refusal && refused && attempt(() => verifyRefusal(refusal, refused, log).entry),
  ])
    if (proven && !(proven instanceof Failure) && proven.project === project.name) return true;
  return release === null && refusal === null ? null : false;
}

/** Nothing is moved by a project file that nothing here knows. */
export const wrongProject = (directory: string, { name }: Project): Failure =>
  usage(
    'wrong-project',
    `nothing in ${directory} is signed by the log of project ${name}: nothing was moved`,
    'is it the right project file (-c), and the right --data? without --repair the check looks all the same',
  );
