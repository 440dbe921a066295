/**
 * Work on a key, shared by all who ask for it at the same time: who comes while it is under way waits for the next run,
 * which does for all of them.
 */
export class SharedWork<Key extends string, Result = void> {
  readonly #work: (key: Key) => Promise<Result>;
  readonly #running = new Map<Key, Promise<Result>>();
  readonly #next = new Map<Key, Promise<Result>>();

  constructor(work: (key: Key) => Promise<Result>) {
    this.#work = work;
  }

  /** What a run gives that began after this call; throws what it threw. */
  run(key: Key): Promise<Result> {
    return this.#next.get(key) ?? this.#schedule(key);
  }

  #schedule(key: Key): Promise<Result> {
    const before: Promise<unknown> = this.#running.get(key) ?? Promise.resolve();
    const next = before
      .catch(() => {}) // whoever asked for that one is told
      .then(() => {
        this.#next.delete(key);
        this.#running.set(key, next);
        return this.#work(key);
      })
      .finally(() => {
        if (this.#running.get(key) === next) this.#running.delete(key);
      });
    this.#next.set(key, next);
    return next;
  }
}
