/** Whether a directory holds a depot at all: what is not mounted looks whole, and what is none is not to be mended. */
import { usage } from '../../failure.ts';
import type { Failure } from '../../failure.ts';
import { isBuildId } from '../../records/names.ts';
import type { Tree } from '../../tree/tree.ts';

/** By what nothing else has: a log's files, a build's name, the records of a release. Throws unable('disk'). */
export async function holdsDepot(tree: Pick<Tree, 'list'>): Promise<boolean> {
  const log = await tree.list('log');
  if (log.includes('checkpoint') || log.includes('tile')) return true;
  if ((await tree.list('builds')).some(isBuildId)) return true;
  for (const project of await tree.list('releases'))
    for (const version of await tree.list(`releases/${project}`))
      if ((await tree.list(`releases/${project}/${version}`)).includes('countersign')) return true;
  return false;
}

/** There is nothing to check, and nothing is moved. */
export const noDepotIn = (directory: string): Failure =>
  usage(
    'not-a-depot',
    `there is neither a log nor a build nor a release in ${directory}`,
    'is the disk mounted? is --data right?',
  );
