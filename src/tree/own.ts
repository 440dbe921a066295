/**
 * Whose a depot's directory is. Node has no openat(2): whoever else may rename in it could lead a process that
 * writes there elsewhere, so nobody else may.
 */
import { lstat, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Failure } from '../failure.ts';
import { usage } from '../failure.ts';
import { orNull } from '../host/files.ts';
import { foreign, isOurs, openToAll } from '../host/permissions.ts';
import { word } from '../host/shell.ts';

const OTHERS_WRITE = 0o002;
const GROUP_WRITES = 0o020;

/** Throws usage(`depot-shared`) if another user, but root, may rename in the directory or lead elsewhere on the way to it. */
export async function requireOwn(root: string): Promise<void> {
  for (const name of ['.', '.tmp', 'builds', 'releases', 'log']) {
    const place = join(root, name);
    const status = await orNull(lstat(place), `look at ${place}`);
    if (!status?.isDirectory()) continue; // nor is anything written through a link
    if (!isOurs(status))
      throw shared(place, `it belongs to user ${status.uid}`, `chown -R ${process.geteuid?.()}`);
    if ((status.mode & OTHERS_WRITE) !== 0) throw shared(place, 'everybody may write there', 'chmod o-w');
    // its own group is its user's business
    if ((status.mode & GROUP_WRITES) !== 0 && status.gid !== process.getegid?.())
      throw shared(place, `group ${status.gid} may write there`, 'chmod g-w');
  }
  const open = openToAll(root);
  if (open !== null) throw shared(open, 'everybody may write there', 'chmod o-w');
  const others = foreign(root);
  if (others !== null) throw shared(others, 'it belongs to another user', `chown ${process.geteuid?.()}`);
}

function shared(place: string, why: string, cure: string): Failure {
  return usage(
    'depot-shared',
    `${place} may be written by others (${why}), who could lead this process to write elsewhere`,
    `${cure} ${word(place)}   # or a directory for each writer, and sync between them (docs/how-to/two-users.md); FAT: mount -o uid=…,umask=022`,
  );
}

/** Removes what this process's user made, and whatever is in it; what is not there, or another's, stays. */
export async function removeOwn(path: string): Promise<void> {
  const status = await orNull(lstat(path), `look at ${path}`);
  if (status !== null && status.uid === process.geteuid?.()) await rm(path, { recursive: true, force: true });
}
