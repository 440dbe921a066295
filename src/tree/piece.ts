/** A stage that stays when its upload is cut, and goes on where it ended. `pieces.ts` opens it. */
import { rename } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { diskFailure } from '../host/files.ts';
import { removeOwn } from './own.ts';
import type { DirectoryStage } from './stage.ts';
import type { Piece, Written } from './tree.ts';

const CHUNK = 1024 * 1024;

export class DirectoryPiece implements Piece {
  readonly size: number;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #stage: DirectoryStage;

  /** `stage`: of the same file, opened to append, under the name that it takes before it is complete. */
  constructor(path: string, file: FileHandle, size: number, stage: DirectoryStage) {
    this.#path = path;
    this.#file = file;
    this.size = size;
    this.#stage = stage;
  }

  async *read(): AsyncGenerator<Buffer, void, undefined> {
    const chunk = Buffer.allocUnsafe(CHUNK);
    for (let at = 0; ;) {
      const { bytesRead } = await this.#file.read(chunk, 0, CHUNK, at).catch((error: unknown) => {
        throw diskFailure(error, `read ${this.#path}`);
      });
      if (bytesRead === 0) return;
      yield chunk.subarray(0, bytesRead);
      at += bytesRead;
    }
  }

  write(...chunks: Buffer[]): Promise<void> {
    return this.#stage.write(...chunks);
  }

  async commit(path: string): Promise<Written> {
    try {
      // from here on nobody finds it who would go on with it: not even after a crash between two names of it
      await rename(this.#path, this.#stage.temporary);
    } catch (error) {
      throw diskFailure(error, `write ${path}`);
    }
    return this.#stage.commit(path);
  }

  async discard(): Promise<void> {
    if (await this.#stage.close()) await removeOwn(this.#path);
  }

  async leave(): Promise<number | null> {
    const size = await this.#file.stat().then(
      (status) => status.size,
      () => null, // it is closed
    );
    return (await this.#stage.close()) ? size : null;
  }
}
