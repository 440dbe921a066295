/** Many small files of a build or of a published release, for whoever has been told that there is such a thing. */
import { refused } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { isTreePath } from '../records/paths.ts';
import { inParallel } from './parallel.ts';
import type { FileRef, Tree } from './tree.ts';

/** How many are looked at or read at a time, and how many lie in memory of one answer. */
const TOGETHER = 16;
const PIECE = 64 * 1024;

/** A file that is wanted, with its size. */
export interface Wanted {
  readonly path: string;
  readonly size: number;
}

/** A file of a release. Throws refused('not-found') at a name that is none. */
export function placed(directory: string, { name, size }: FileRef): Wanted {
  const path = `${directory}/${name}`;
  if (!isTreePath(path)) throw missing('such file in a release');
  return { path, size };
}

/**
 * Their bytes, in the order asked for: no more than `PIECE` of them in memory, and none of them open, while somebody takes
 * his time. A file that is larger comes in several buffers, each other one in one. Throws as `readWhole`.
 */
export async function* readPieces(
  tree: Tree,
  files: readonly Wanted[],
): AsyncGenerator<Buffer, void, undefined> {
  for (const some of groups(files)) {
    const [first] = some;
    if (first && first.size > PIECE) {
      for (let start = 0; start < first.size; start += PIECE)
        yield await reading.run(() => readPart(tree, first, start));
    } else yield* await Promise.all(some.map((file) => reading.run(() => readWhole(tree, file))));
  }
}

/** Each of them. Throws refused('not-found') at one that is not there, or has another size. */
export async function readAll(tree: Tree, files: readonly Wanted[]): Promise<Buffer[]> {
  const read: Buffer[] = [];
  await inParallel(files.entries(), TOGETHER, async ([at, file]) => {
    read[at] = await readWhole(tree, file);
  });
  return read;
}

/** The size of each; null where there is none. */
export async function sizesOf(tree: Tree, paths: readonly string[]): Promise<(number | null)[]> {
  const sizes: (number | null)[] = [];
  await inParallel(paths.entries(), TOGETHER, async ([at, path]) => {
    sizes[at] = await tree.size(path);
  });
  return sizes;
}

/** What is said of a file, or a release, that is not there. */
export const missing = (path: string): Failure => refused('not-found', `there is no ${path}`);

async function readWhole(tree: Tree, { path, size }: Wanted): Promise<Buffer> {
  const bytes = await tree.read(path, size);
  if (bytes?.length !== size) throw missing(path);
  return bytes;
}

async function readPart(tree: Tree, { path, size }: Wanted, start: number): Promise<Buffer> {
  const file = await tree.open(path);
  if (file?.size !== size) file?.stream.destroy();
  const parts: Buffer[] = [];
  const end = Math.min(start + PIECE, size) - 1;
  if (file?.size === size)
    for await (const chunk of file.chunks({ start, end })) parts.push(Buffer.from(chunk));
  const bytes = Buffer.concat(parts);
  if (bytes.length !== Math.min(PIECE, size - start)) throw missing(path);
  return bytes;
}

/** What is read together; a large file by itself. */
function* groups(files: readonly Wanted[]): Generator<readonly Wanted[]> {
  let [some, bytes]: [Wanted[], number] = [[], 0];
  for (const file of files) {
    if (some.length === TOGETHER || (some.length > 0 && bytes + file.size > PIECE)) {
      yield some;
      [some, bytes] = [[], 0];
    }
    some.push(file);
    bytes += file.size;
  }
  if (some.length > 0) yield some;
}

/** So many at a time of all that ask, the others in turn: each has a file open. */
class Turns {
  #free = TOGETHER;
  readonly #waiting: (() => void)[] = [];

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}
const reading = new Turns();
