/**
 * Tree paths as places in a directory, links inside it never followed.
 *
 * A directory that is not where its name says, because a link led elsewhere, is none of ours. Node has no
 * openat(2): whoever may rename directories in here while we work could still lead us astray. So where others may
 * write nothing is written: own.ts.
 */
import { realpathSync } from 'node:fs';
import { lstat, mkdir, readdir, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { refused, unable } from '../failure.ts';
import { diskFailure, errorCode, orNull, syncDirectory } from '../host/files.ts';
import { isTreePath } from '../records/paths.ts';
import { SharedWork } from './shared-work.ts';

export class Inside {
  /** Where it really is. */
  readonly root: string;
  readonly #syncs = new SharedWork(syncDirectory);
  /** Files are looked for many at a time: one look at their directory does for all that wait for it. */
  readonly #looks = new SharedWork((relative: string) => this.#look(relative));
  /** Whether there was ever anything in it. */
  #used = false;

  private constructor(root: string) {
    this.root = root;
  }

  /** The directory itself may be reached through links. Throws unable('disk'). */
  static async of(directory: string): Promise<Inside> {
    try {
      return new Inside(await realpath(directory));
    } catch (error) {
      throw diskFailure(error, `find ${directory}`);
    }
  }

  /**
   * Where the path is: its directory is there, the last name may not be.
   * Null without its directory. Throws refused('path-malformed').
   */
  async locate(path: string): Promise<string | null> {
    if (!isTreePath(path)) throw refused('path-malformed', `not a path of a depot: ${path}`);
    return (await this.directory(dirname(path))) && join(this.root, path);
  }

  /** As `locate`, at once; null also for what is no path, or where nothing can be found: `locate` says why. */
  locateNow(path: string): string | null {
    const directory = join(this.root, dirname(path));
    try {
      return isTreePath(path) && realpathSync.native(directory) === directory ? join(this.root, path) : null;
    } catch {
      return null;
    }
  }

  /** As `locate`, and makes the directory. Throws unable('disk') also if something else is in its place. */
  async makeRoom(path: string): Promise<string> {
    if (!isTreePath(path)) throw refused('path-malformed', `not a path of a depot: ${path}`);
    await this.makeDirectory(dirname(path));
    return join(this.root, path);
  }

  /**
   * A directory at a path that is ours, not the world's: null if it is not there or lies elsewhere.
   * Throws unable: `no-depot` if nothing is there any more, `disk`.
   */
  directory(relative: string): Promise<string | null> {
    return this.#looks.run(relative);
  }

  async #look(relative: string): Promise<string | null> {
    const place = join(this.root, relative);
    if ((await orNull(realpath(place), `find ${place}`)) !== place) {
      await this.#requireRoot();
      return null;
    }
    if (relative !== '.') this.#used = true;
    return place;
  }

  /** As `directory`, and makes it and those above it so that they last. */
  async makeDirectory(relative: string): Promise<string> {
    const place = join(this.root, relative);
    if (relative === '.' || (await this.directory(relative))) return place;
    const parent = await this.makeDirectory(dirname(relative));
    try {
      this.#used = true;
      await mkdir(place, 0o755);
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
      // made by someone else just now, or a link, which the check above has not followed
      if (!(await lstat(place)).isDirectory()) throw unable('disk', `${place} is not a plain directory`);
    }
    await this.sync(parent);
    return place;
  }

  /** What the system said, as `diskFailure` says it; or that there is no depot any more. */
  async failure(error: unknown, doing: string): Promise<unknown> {
    if (errorCode(error) !== 'ENOENT') return diskFailure(error, doing);
    return this.#requireRoot().then(
      () => diskFailure(error, doing),
      (gone: unknown) => gone,
    );
  }

  /** A stick that is pulled out leaves no directory, or the empty one that it was mounted on. */
  async #requireRoot(): Promise<void> {
    const names = await orNull(readdir(this.root), `list ${this.root}`);
    if (names === null || (this.#used && names.length === 0))
      throw unable('no-depot', `${this.root} is gone`, 'is it mounted? put it back and run this again');
  }

  /** Makes the names in a directory last. */
  sync(place: string): Promise<void> {
    return this.#syncs.run(place);
  }
}
