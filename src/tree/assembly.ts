/**
 * A directory that becomes visible whole: made under `.tmp/`, given its name by one rename(2).
 */
import { constants } from 'node:fs';
import { copyFile, link, lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { refused, unable } from '../failure.ts';
import { diskFailure, errorCode, orNull, syncDirectory, writeFully } from '../host/files.ts';
import { isTreePath } from '../records/paths.ts';
import type { Inside } from './inside.ts';
import type { Assembly } from './tree.ts';

export class DirectoryAssembly implements Assembly {
  readonly #inside: Inside;
  readonly #temporary: string;
  readonly #path: string;
  readonly #directories = new Set<string>();

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
    const source = await this.#inside.locate(from);
    const status = source === null ? null : await orNull(lstat(source), `look at ${source}`);
    // link(2) would give a second name to a symbolic link, too
    if (source === null || !status?.isFile()) throw unable('missing', `${from} is not there`);
    const place = await this.#place(name);
    try {
      await link(source, place);
    } catch (error) {
      // too many links (thousands of empty files are one blob), or a file system without them
      if (!['EMLINK', 'EXDEV', 'EPERM', 'ENOTSUP'].includes(errorCode(error))) {
        throw diskFailure(error, `link ${place}`);
      }
      await copyDurably(source, place);
    }
  }

  async write(name: string, bytes: Buffer): Promise<void> {
    const place = await this.#place(name);
    try {
      const file = await open(place, 'wx', 0o644);
      try {
        await writeFully(file, bytes);
        await file.sync();
      } finally {
        await file.close();
      }
    } catch (error) {
      throw diskFailure(error, `write ${place}`);
    }
  }

  async commit(): Promise<boolean> {
    try {
      for (const directory of this.#directories) await syncDirectory(directory);
      const place = await this.#inside.makeRoom(this.#path);
      await rename(this.#temporary, place);
      await syncDirectory(dirname(place));
      return true;
    } catch (error) {
      if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(errorCode(error))) return false;
      throw diskFailure(error, `write ${this.#path}`);
    } finally {
      await this.discard();
    }
  }

  async discard(): Promise<void> {
    await rm(this.#temporary, { recursive: true, force: true });
  }

  /** Where `name` goes, its directory made. */
  async #place(name: string): Promise<string> {
    if (!isTreePath(`${this.#path}/${name}`))
      throw refused('path-malformed', `not a path of a depot: ${name}`);
    const place = join(this.#temporary, name);
    await this.#directory(dirname(place));
    return place;
  }

  async #directory(place: string): Promise<void> {
    if (this.#directories.has(place)) return;
    if (place !== this.#temporary) await this.#directory(dirname(place));
    try {
      await mkdir(place, 0o755);
    } catch (error) {
      throw diskFailure(error, `make ${place}`);
    }
    this.#directories.add(place);
  }
}

async function copyDurably(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    const file = await open(to, 'r');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw diskFailure(error, `copy ${from}`);
  }
}
