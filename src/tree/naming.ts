/**
 * How a complete file gets the name that it keeps: by link(2), which never replaces; and on a file system without
 * hard links (FAT, exFAT) by rename(2) after a look, which is only safe alone. So there the first file takes a lock
 * on the directory, which this process keeps to its end, and files are named one after the other.
 */
import { dirname, join } from 'node:path';
import { errorCode, linkOnce, renameOnce } from '../host/files.ts';
import { takeLock } from '../host/lock.ts';
import type { Lock } from '../host/lock.ts';
import { KeyedMutex } from './mutex.ts';
import type { Written } from './tree.ts';

const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'];

export class Naming {
  readonly #turns = new KeyedMutex();
  #lock: Lock | null = null;

  /** Gives the file at `temporary` the name `place`, shown as `path`. Throws refused(`conflict`), unable(`locked`). */
  async name(temporary: string, place: string, path: string): Promise<Written> {
    if (this.#lock === null) {
      try {
        return await linkOnce(temporary, place, path);
      } catch (error) {
        if (!NO_LINKS.includes(errorCode(error))) throw error;
      }
    }
    return this.#turns.run('', async () => {
      this.#lock ??= await takeLock(join(dirname(temporary), 'lock'));
      return renameOnce(temporary, place, path);
    });
  }
}
