/** One process at a time: an advisory lock that the kernel gives back however its holder ends. */
import { spawnSync } from 'node:child_process';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { unable } from '../failure.ts';
import { cleanEnvironment } from './process.ts';

export interface Lock {
  release(): Promise<void>;
}

/**
 * Takes the lock on the file at `path`, which is made if need be and stays behind, empty, when the lock is gone.
 *
 * Node has no flock(2), so flock(1) locks our open file through the descriptor it inherits: the lock belongs
 * to the file description, outlives the child and ends with us, also on SIGKILL. No pid files to go stale.
 * Throws unable: `locked` if another process holds it, `lock-failed` if it can't be tried.
 */
export async function takeLock(path: string): Promise<Lock> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags, 0o600).catch((cause: unknown) => {
    throw unable('lock-failed', `${path} can't be opened to lock it`, 'check who owns the directory', cause);
  });
  const { status, error } = spawnSync('flock', ['-xn', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', file.fd],
    env: cleanEnvironment(),
    timeout: 10_000,
  });
  if (status === 0) return { release: () => file.close() };
  await file.close();
  if (status === 1)
    throw unable('locked', `another process holds ${path}`, 'wait for it to end, or stop it, and try again');
  throw unable('lock-failed', `flock could not lock ${path}`, 'install the Debian package util-linux', error);
}
