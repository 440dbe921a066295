/** Files of a published release, many at a time. Whoever asks has been told that there is such a release. */
import { refused } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { isTreePath } from '../records/paths.ts';
import type { TarEntry } from './tar.ts';
import type { FileRef, Tree } from './tree.ts';

/** How many are looked at or read at a time. */
const TOGETHER = 16;

/**
 * The files in the order asked for; few of them in memory at a time. Throws refused('not-found') at one that is not
 * there, or has another size.
 */
export async function* readReleased(
  tree: Tree,
  directory: string,
  files: readonly FileRef[],
): AsyncGenerator<TarEntry, void, undefined> {
  for (const some of chunks(files)) {
    const read = some.map(({ name, size }) => tree.read(pathOf(directory, name), size));
    for (const [at, bytes] of (await Promise.all(read)).entries()) {
      const file = some[at];
      if (!file || bytes?.length !== file.size) throw missing(`${directory}/${file?.name}`);
      yield { name: file.name, bytes };
    }
  }
}

/** The size of each; null where there is none. */
export async function releasedSizes(
  tree: Tree,
  directory: string,
  names: readonly string[],
): Promise<(number | null)[]> {
  const sizes: (number | null)[] = [];
  for (const some of chunks(names))
    sizes.push(...(await Promise.all(some.map((name) => tree.size(pathOf(directory, name))))));
  return sizes;
}

/** What is said of a file, or a release, that is not there. */
export const missing = (path: string): Failure => refused('not-found', `there is no ${path}`);

function pathOf(directory: string, name: string): string {
  const path = `${directory}/${name}`;
  if (!isTreePath(path)) throw missing('such file in a release');
  return path;
}

function* chunks<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += TOGETHER) yield items.slice(at, at + TOGETHER);
}
