/**
 * Lists that take many files to tell: found out one after the other, once for all who ask at the same time, and for the
 * second after it. So whoever asks again and again keeps L as busy as one does.
 */
import { unable } from '../failure.ts';
import type { Heard } from '../tree/happening.ts';
import { KeyedMutex } from '../tree/mutex.ts';

const KEPT_MS = 1000;
/** How many different ones wait for their turn. */
const WAITING_MAX = 32;

export class Lists {
  readonly #turns = new KeyedMutex();
  readonly #kept = new Map<string, Promise<unknown>>();

  /** What has changed here since is in the next one. */
  readonly heard: Heard = ({ kind }) => {
    if (kind === 'changed' || kind === 'dropped') this.#kept.clear();
  };

  /** What `work` finds out; `name` is of that list alone. Throws what `work` throws, unable('busy'). */
  async tell<T>(name: string, work: () => Promise<T>): Promise<T> {
    const kept = this.#kept.get(name);
    // one name, one kind of list
    if (kept !== undefined) return kept as Promise<T>;
    if (this.#kept.size >= WAITING_MAX)
      throw unable('busy', 'the depot is asked for as many lists as it can tell', 'try again in a minute');
    const telling = this.#turns.run('list', work);
    this.#kept.set(name, telling);
    const forget = (): void => {
      if (this.#kept.get(name) === telling) this.#kept.delete(name);
    };
    telling.then(() => setTimeout(forget, KEPT_MS).unref(), forget);
    return telling;
  }
}
