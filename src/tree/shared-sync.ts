import { syncDirectory } from '../host/files.ts';

/**
 * fsync(2) of directories, shared by all who ask at the same time: who comes while one is under way waits for the
 * next, which does for all of them.
 */
export class SharedSync {
  readonly #running = new Map<string, Promise<void>>();
  readonly #next = new Map<string, Promise<void>>();

  /** Names that are in the directory now are on the disk when this returns. */
  async sync(directory: string): Promise<void> {
    const next = this.#next.get(directory) ?? this.#schedule(directory);
    await next;
  }

  #schedule(directory: string): Promise<void> {
    const before = this.#running.get(directory) ?? Promise.resolve();
    const next = before
      .catch(() => {}) // whoever asked for that one is told
      .then(() => {
        this.#next.delete(directory);
        this.#running.set(directory, next);
        return syncDirectory(directory);
      })
      .finally(() => {
        if (this.#running.get(directory) === next) this.#running.delete(directory);
      });
    this.#next.set(directory, next);
    return next;
  }
}
