/** What lies in a directory of a depot: every file, and whatever is neither file nor directory. */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { orNull } from '../../host/files.ts';

export interface Lying {
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'other';
  /** Which file it is: names of one file share it. */
  readonly inode: string;
  readonly size: number;
  /** When it was last written, in milliseconds since 1970. */
  readonly written: number;
}

/** All names directly in a directory, sorted; null where there is no such directory. Throws unable('disk'). */
export async function list(root: string, path: string): Promise<Lying[] | null> {
  const place = join(root, path);
  if ((await orNull(lstat(place), `look at ${place}`))?.isDirectory() !== true) return null;
  const names = (await orNull(readdir(place), `list ${place}`)) ?? [];
  const found: Lying[] = [];
  for (const name of names.sort()) {
    const lying = await look(root, path === '.' ? name : `${path}/${name}`);
    if (lying !== null) found.push(lying);
  }
  return found;
}

/** What lies at the path; null for nothing. Throws unable('disk'). */
export async function look(root: string, path: string): Promise<Lying | null> {
  const place = join(root, path);
  const status = await orNull(lstat(place), `look at ${place}`);
  if (status === null) return null;
  const kind = status.isFile() ? 'file' : status.isDirectory() ? 'directory' : 'other';
  const { dev, ino, size, mtimeMs } = status;
  return { path, kind, inode: `${dev}:${ino}`, size, written: mtimeMs };
}

/** Everything below a directory that is no directory itself, and directories that are empty. Throws unable('disk'). */
export async function* walk(root: string, path: string): AsyncGenerator<Lying, void, undefined> {
  for (const lying of (await list(root, path)) ?? []) {
    if (lying.kind === 'directory') yield* walk(root, lying.path);
    else yield lying;
  }
}
