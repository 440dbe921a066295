/**
 * A directory that becomes visible whole: made under `.tmp/`, given its name by one rename(2).
 */
import { link, lstat, mkdir, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { refused, unable } from '../failure.ts';
import { errorCode, orNull, syncDirectory, writeSynced } from '../host/files.ts';
import { isTreePath } from '../records/paths.ts';
import { copyDurably } from './copy.ts';
import type { Inside } from './inside.ts';
import { removeOwn } from './own.ts';
import type { Assembly } from './tree.ts';

export class DirectoryAssembly implements Assembly {
  readonly #inside: Inside;
  readonly #temporary: string;
  readonly #path: string;
  /** Made, or being made: several files may go into one at the same time. */
  readonly #directories = new Map<string, Promise<void>>();
  /** Directories that were found where they should be. */
  readonly #sources = new Map<string, string>();

  private constructor(inside: Inside, temporary: string, path: string) {
    this.#inside = inside;
    this.#temporary = temporary;
    this.#path = path;
  }

  static async open(inside: Inside, temporary: string, path: string): Promise<DirectoryAssembly> {
    const assembly = new DirectoryAssembly(inside, temporary, path);
    await assembly.#directory(temporary);
    return assembly;
  }

  async link(from: string, name: string): Promise<void> {
    const source = await this.#source(from);
    const place = await this.#place(name);
    try {
      await link(source, place);
    } catch (error) {
      // too many links (thousands of empty files are one blob), or a file system without them
      if (!['EMLINK', 'EXDEV', 'EPERM', 'ENOTSUP'].includes(errorCode(error))) {
        throw await this.#inside.failure(error, `link ${place}`);
      }
      await copyDurably(source, place);
    }
  }

  async write(name: string, bytes: Buffer): Promise<void> {
    const place = await this.#place(name);
    try {
      await writeSynced(place, bytes, 0o644);
    } catch (error) {
      throw await this.#inside.failure(error, `write ${place}`);
    }
  }

  async commit(): Promise<boolean> {
    try {
      for (const directory of this.#directories.keys()) await syncDirectory(directory);
      const place = await this.#inside.makeRoom(this.#path);
      await rename(this.#temporary, place);
      await this.#inside.sync(dirname(place));
      return true;
    } catch (error) {
      if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(errorCode(error))) return false;
      throw await this.#inside.failure(error, `write ${this.#path}`);
    } finally {
      await this.discard();
    }
  }

  async discard(): Promise<void> {
    await removeOwn(this.#temporary);
  }

  /** Where `name` goes, its directory made. */
  async #place(name: string): Promise<string> {
    if (!isTreePath(`${this.#path}/${name}`))
      throw refused('path-malformed', `not a path of a depot: ${name}`);
    const place = join(this.#temporary, name);
    await this.#directory(dirname(place));
    return place;
  }

  /** A regular file of the tree. Throws unable('missing'). */
  async #source(from: string): Promise<string> {
    const directory = dirname(from);
    const known = this.#sources.get(directory);
    const place = known === undefined ? await this.#inside.locate(from) : join(known, basename(from));
    const status = place === null ? null : await orNull(lstat(place), `look at ${place}`);
    // link(2) would give a second name to a symbolic link, too
    if (place === null || !status?.isFile()) throw unable('missing', `${from} is not there`);
    this.#sources.set(directory, dirname(place));
    return place;
  }

  #directory(place: string): Promise<void> {
    const made = this.#directories.get(place) ?? this.#makeDirectory(place);
    this.#directories.set(place, made);
    return made;
  }

  async #makeDirectory(place: string): Promise<void> {
    try {
      if (place !== this.#temporary) await this.#directory(dirname(place));
      await mkdir(place, 0o755);
    } catch (error) {
      throw await this.#inside.failure(error, `make ${place}`);
    }
  }
}
