/** Who else could change what lies where the ticket lies: `--run-as` is a wall only if that user cannot. */
import { realpath, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { usage } from '../failure.ts';
import { orNull } from '../host/files.ts';
import type { User } from './run-command.ts';

/**
 * Throws usage `run-as-ticket` if `user` could put something else in place of `directory`, which need not be there yet,
 * or of what others lay into it. What the build leaves running does so while we, perhaps as root, tidy up.
 */
export async function requireOutOfReach(directory: string, user: User): Promise<void> {
  const path = resolve(directory);
  const there = await nearest(path);
  // as it is named, for who may turn a link on the way elsewhere, and as it is
  for (const each of new Set([...upwards(path), ...upwards(await realpath(there))])) {
    if (await isChangedBy(each, user))
      throw usage(
        'run-as-ticket',
        `the ticket, or what waits to be sent, would lie in ${directory}, and ${user.name} may change ${each}`,
        "keep the ticket in a directory that is root's alone, and so are those above it",
      );
  }
}

/** The sticky bit leaves everybody no more than names of their own. */
async function isChangedBy(directory: string, user: User): Promise<boolean> {
  const status = await orNull(stat(directory), `look at ${directory}`);
  if (status === null) return false;
  const { uid, gid, mode } = status;
  const shared = (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && gid === user.gid);
  return uid === user.uid || (shared && (mode & 0o1000) === 0);
}

const upwards = (path: string): string[] =>
  path === dirname(path) ? [path] : [path, ...upwards(dirname(path))];

async function nearest(path: string): Promise<string> {
  const status = await orNull(stat(path), `look at ${path}`);
  return status === null ? nearest(dirname(path)) : path;
}
