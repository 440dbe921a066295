/** A file that is written in pieces under `.tmp/`, and named when it is complete and on the disk. */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { unable } from '../failure.ts';
import { diskFailure, writeFully } from '../host/files.ts';
import type { Inside } from './inside.ts';
import type { Naming } from './naming.ts';
import { removeOwn } from './own.ts';
import type { Stage, Written } from './tree.ts';

export class DirectoryStage implements Stage {
  readonly #inside: Inside;
  readonly #naming: Naming;
  /** Where it lies until it is named. */
  readonly temporary: string;
  #file: FileHandle | null;

  constructor(inside: Inside, naming: Naming, temporary: string, file: FileHandle) {
    this.#inside = inside;
    this.#naming = naming;
    this.temporary = temporary;
    this.#file = file;
  }

  static async open(inside: Inside, naming: Naming, temporary: string): Promise<DirectoryStage> {
    try {
      return new DirectoryStage(inside, naming, temporary, await open(temporary, 'wx', 0o644));
    } catch (error) {
      throw await inside.failure(error, `write ${temporary}`);
    }
  }

  async write(...chunks: Buffer[]): Promise<void> {
    try {
      await writeFully(this.#opened(), ...chunks);
    } catch (error) {
      throw diskFailure(error, `write ${this.temporary}`);
    }
  }

  async commit(path: string): Promise<Written> {
    const file = this.#opened();
    try {
      await file.sync();
      const place = await this.#inside.makeRoom(path);
      const written = await this.#naming.name(this.temporary, place, path);
      // also for `same`: whoever wrote it may not have come this far yet
      await this.#inside.sync(dirname(place));
      return written;
    } catch (error) {
      throw await this.#inside.failure(error, `write ${path}`);
    } finally {
      await this.discard();
    }
  }

  async discard(): Promise<void> {
    if (await this.close()) await removeOwn(this.temporary);
  }

  /** Without `commit`, and leaves the file where it is. False if that was done before. */
  async close(): Promise<boolean> {
    const file = this.#file;
    this.#file = null;
    await file?.close();
    return file !== null;
  }

  #opened(): FileHandle {
    if (!this.#file) throw unable('internal', 'a staged file was used after its end');
    return this.#file;
  }
}
