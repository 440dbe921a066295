/**
 * Small files that are made durable together: each is staged, synced and named by itself, each directory is synced
 * once, at the end. Where a directory is, is found out twice for all of them: before the first file goes into it, and
 * after the last, so that nothing counts as written that a link has led elsewhere meanwhile.
 */
import { unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { refused, unable } from '../failure.ts';
import { errorCode, temporaryName, writeSynced } from '../host/files.ts';
import { isTreePath } from '../records/paths.ts';
import type { Inside } from './inside.ts';
import type { Naming } from './naming.ts';
import type { Written } from './tree.ts';

export class DirectoryBatch {
  readonly #inside: Inside;
  readonly #naming: Naming;
  readonly #scratch: string;
  /** By tree path, the directories that were written into. */
  readonly #rooms = new Map<string, Promise<string>>();

  /** `scratch` is where files lie that are not whole. */
  constructor(inside: Inside, naming: Naming, scratch: string) {
    this.#inside = inside;
    this.#naming = naming;
    this.#scratch = scratch;
  }

  /** As `Tree.write`, but for its name, which is durable after `sync`. */
  async write(path: string, bytes: Buffer): Promise<Written> {
    if (!isTreePath(path)) throw refused('path-malformed', `not a path of a depot: ${path}`);
    const temporary = join(this.#scratch, temporaryName());
    try {
      const room = await this.#room(dirname(path));
      try {
        await writeSynced(temporary, bytes, 0o644);
        return await this.#naming.name(temporary, join(room, basename(path)), path);
      } finally {
        await unlink(temporary).catch(ignoreMissing);
      }
    } catch (error) {
      throw await this.#inside.failure(error, `write ${path}`);
    }
  }

  /** All that was written lasts: also for `same`, as whoever wrote it may not have come this far yet. */
  async sync(): Promise<void> {
    for (const [directory, room] of this.#rooms) {
      const place = await this.#inside.directory(directory);
      if (place === null) throw unable('disk', `${await room} is no directory any more, or lies elsewhere`);
      try {
        await this.#inside.sync(place);
      } catch (error) {
        throw await this.#inside.failure(error, `write ${directory}`);
      }
    }
  }

  #room(directory: string): Promise<string> {
    const room = this.#rooms.get(directory) ?? this.#inside.makeDirectory(directory);
    this.#rooms.set(directory, room);
    return room;
  }
}

/** It was renamed, or never made. */
function ignoreMissing(error: unknown): void {
  if (errorCode(error) !== 'ENOENT') throw error;
}
