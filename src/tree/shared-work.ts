/**
 * Work on a key, shared by all who ask for it at the same time: who comes while it is under way waits for the next run,
 * which does for all of them.
 */
export class SharedWork<Key extends string> {
  readonly #work: (key: Key) => Promise<void>;
  readonly #running = new Map<Key, Promise<void>>();
  readonly #next = new Map<Key, Promise<void>>();

  constructor(work: (key: Key) => Promise<void>) {
    this.#work = work;
  }

  /** Returns when a run that began after this call has ended; throws what it threw. */
  async run(key: Key): Promise<void> {
    await (this.#next.get(key) ?? this.#schedule(key));
  }

  #schedule(key: Key): Promise<void> {
    const before = this.#running.get(key) ?? Promise.resolve();
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
