/**
 * A directory that becomes visible whole: made under `.tmp/`, given its name by one rename(2).
 */
import { link, lstat, mkdir, opendir, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { refused, unable } from '../failure.ts';
import { errorCode, orNull, syncDirectory, writeSynced } from '../host/files.ts';
import { isTreePath } from '../records/paths.ts';
import { copyDurably } from './copy.ts';
import type { Inside } from './inside.ts';
import { removeOwn } from './own.ts';
import { inParallel } from './parallel.ts';
import type { Assembly } from './tree.ts';

/** How many of its directories are made to last at a time. */
const SYNCS = 4;

export class DirectoryAssembly implements Assembly {
  readonly #inside: Inside;
  readonly #temporary: string;
  readonly #path: string;
  /** Made, or being made: several files may go into one at the same time. */
  readonly #directories = new Map<string, Promise<void>>();
  /** Directories of what is linked, as they are looked for; null for what is not there. */
  readonly #sources = new Map<string, Promise<string | null>>();

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
      if (errorCode(error) === 'ENOENT' && (await orNull(lstat(source), `look at ${source}`)) === null)
        throw unable('missing', `${from} is not there`);
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
      await inParallel(this.#directories.keys(), SYNCS, async (directory) => {
        await this.#requirePlain(directory);
        await syncDirectory(directory);
      });
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

  /** Where a file of the tree is. Throws unable('missing') without its directory. */
  async #source(from: string): Promise<string> {
    const directory = dirname(from);
    const known =
      this.#sources.get(directory) ?? this.#inside.locate(from).then((place) => place && dirname(place));
    this.#sources.set(directory, known);
    const place = await known;
    if (place === null) throw unable('missing', `${from} is not there`);
    return join(place, basename(from));
  }

  /** link(2) gives a second name to a symbolic link, or to whatever else lies in the place of a file, too. */
  async #requirePlain(directory: string): Promise<void> {
    for await (const entry of await opendir(directory, { bufferSize: 1024 }))
      if (!entry.isFile() && !entry.isDirectory())
        throw unable('missing', `what was to be ${join(directory, entry.name)} is no regular file`);
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
