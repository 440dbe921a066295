/** One at a time for each key, in the order of asking; a key that nobody waits for takes no memory. */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<void>>();

  /** What `work` gives or throws, once all work of the same key before it has ended. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const result = (this.#tails.get(key) ?? Promise.resolve()).then(work);
    const tail = result.then(
      () => {},
      () => {},
    );
    this.#tails.set(key, tail);
    try {
      return await result;
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }
}
