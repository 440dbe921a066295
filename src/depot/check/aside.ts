/**
 * Where what is no good goes: `.aside/<time>/` in the depot's directory, under the path that it had. Nothing is deleted,
 * nothing serves what lies there, and `countersign sync` brings what is missing then. It may be what waited: it is open to
 * the depot's user alone.
 */
import { lstat, mkdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { diskFailure, errorCode, makeDirectory, orNull, syncDirectory } from '../../host/files.ts';

export const ASIDE = '.aside';

export class Aside {
  readonly #root: string;
  readonly #now: Date;
  #place: Promise<string> | null = null;

  constructor(root: string, now: Date) {
    this.#root = root;
    this.#now = now;
  }

  /** Moves what lies at the path away. Returns where it is now, in the depot; null if nothing was there. Throws unable('disk'). */
  async move(path: string): Promise<string | null> {
    const from = join(this.#root, path);
    try {
      if ((await orNull(lstat(from), `look at ${from}`)) === null) return null;
      let place = await (this.#place ??= this.#make());
      // of a directory some may be there already
      if ((await orNull(lstat(join(this.#root, place, path)), `look at ${place}`)) !== null)
        place = await (this.#place = this.#make());
      const to = join(this.#root, place, path);
      await makeDirectory(dirname(to), 0o755);
      await rename(from, to);
      // first where it is now, then that it is no longer where it was
      await syncDirectory(dirname(to));
      await syncDirectory(dirname(from));
      return `${place}/${path}`;
    } catch (error) {
      throw diskFailure(error, `move ${from} aside`);
    }
  }

  /** One for each run, and one more for each path that comes twice. */
  async #make(): Promise<string> {
    await makeDirectory(join(this.#root, ASIDE), 0o700);
    const time = this.#now.toISOString().replace(/[-:]|\.[0-9]+/g, '');
    for (let number = 1; ; number++) {
      const place = `${ASIDE}/${time}${number === 1 ? '' : `.${number}`}`;
      try {
        await mkdir(join(this.#root, place), 0o755);
        await syncDirectory(join(this.#root, ASIDE));
        return place;
      } catch (error) {
        if (errorCode(error) !== 'EEXIST') throw error;
      }
    }
  }
}
