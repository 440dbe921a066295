/** Raw copies of a depot, whole and broken: what rsync, cp and sticks make of one. */
import { cp, lstat, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Every file of a depot by its path, in the order in which rsync copies them; what is being written is left out. */
export async function filesOf(directory: string, below = ''): Promise<string[]> {
  const names = await readdir(join(directory, below), { withFileTypes: true }).catch(() => []);
  const found: string[] = [];
  for (const entry of names.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (path === '.tmp') continue;
    if (entry.isDirectory()) found.push(...(await filesOf(directory, path)));
    else found.push(path);
  }
  return found;
}

/** All of a depot: paths and bytes. */
export async function contentsOf(directory: string, below = ''): Promise<Record<string, string>> {
  const paths = await filesOf(directory, below);
  const contents = paths.map(
    async (path) => [path, await readFile(join(directory, path), 'latin1')] as const,
  );
  return Object.fromEntries(await Promise.all(contents));
}

/** When each file and directory was changed, `.tmp` too. */
export async function timesOf(directory: string): Promise<Record<string, number>> {
  const names = ['.', ...(await readdir(directory, { recursive: true }))];
  const times = names.map(async (name) => [name, (await lstat(join(directory, name))).mtimeMs] as const);
  return Object.fromEntries(await Promise.all(times));
}

/** Copies some files of a depot, past every gate. */
export async function copyFiles(from: string, to: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await mkdir(dirname(join(to, path)), { recursive: true });
    await cp(join(from, path), join(to, path));
  }
}

/** A file in place of another, whatever was there. */
export async function replace(directory: string, path: string, bytes: Buffer | string): Promise<void> {
  await rm(join(directory, path), { force: true });
  await mkdir(dirname(join(directory, path)), { recursive: true });
  await writeFile(join(directory, path), bytes);
}

/** In memory where there is such a place: thousands of fsync(2) take long on a disk that others use. */
const MADE_IN = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** Directories that go at the end. */
export class Directories {
  readonly #made: string[] = [];

  async make(): Promise<string> {
    const directory = await mkdtemp(join(MADE_IN, 'cs-sync-'));
    this.#made.push(directory);
    return directory;
  }

  async remove(): Promise<void> {
    for (const directory of this.#made.splice(0)) await rm(directory, { recursive: true, force: true });
  }
}
