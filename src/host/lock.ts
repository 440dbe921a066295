/** One process at a time: an advisory lock that the kernel gives back however its holder ends. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { unable } from '../failure.ts';
import { diskFailure } from './files.ts';
import { run } from './process.ts';

export interface Lock {
  release(): Promise<void>;
}

/**
 * Takes the lock on the file at `path`, which is made if need be and stays behind when the lock is gone; our pid
 * is in it, for whoever finds it locked.
 *
 * Node has no flock(2), so flock(1) locks our open file through the descriptor that it inherits: the lock
 * belongs to the file description, outlives the child and ends with us, also on SIGKILL. No pid file goes
 * stale. Throws unable: `locked` if another process holds it, also after `waitSeconds`; `lock-failed` or `disk` if it
 * can't be tried. `isShared`: all who say so may have it at a time, and nobody else beside them.
 */
export async function takeLock(path: string, waitSeconds = 0, isShared = false): Promise<Lock> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags, 0o600).catch((error: unknown) => {
    throw diskFailure(error, `lock ${path}`);
  });
  try {
    const how = [isShared ? '-s' : '-x', ...(waitSeconds === 0 ? ['-n'] : ['-w', String(waitSeconds)])];
    const timeoutMs = 10_000 + 1000 * waitSeconds;
    const { code } = await run('flock', [...how, '4'], { fds: [file.fd], timeoutMs, maxOutput: 4096 });
    if (code === 0) {
      if (!isShared) await file.truncate();
      if (!isShared) await file.write(String(process.pid), 0);
      return { release: () => file.close() };
    }
    if (code === 1) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(16), 0, 16, 0);
      const pid = buffer.toString('latin1', 0, bytesRead).replace(/[^0-9]/g, '');
      const holder = pid === '' ? 'another process' : `another process (${pid})`;
      throw unable('locked', `${holder} holds ${path}`, 'wait until it ends, or stop it');
    }
    throw unable('lock-failed', `flock could not lock ${path}`, 'try again');
  } catch (error) {
    await file.close();
    throw diskFailure(error, `lock ${path}`);
  }
}
