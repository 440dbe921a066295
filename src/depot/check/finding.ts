/** What is not as it should be in a depot's directory, file by file. */

export type What =
  /** It is there, and is not what it should be. */
  | 'damaged'
  /** Something that is there, or the log, needs it. */
  | 'missing'
  /** It belongs to no depot. */
  | 'foreign'
  /** What a crash, or work that goes on, leaves: no fault. */
  | 'leftover';

export interface Finding {
  /** In the depot; a directory where all of it is meant. */
  readonly path: string;
  readonly what: What;
  /** Stable, kebab-case. */
  readonly code: string;
  /** One line for a person. */
  readonly text: string;
}

/** A finding, and what became of it. */
export interface Outcome extends Finding {
  /** It was made again, and is as it should be. */
  readonly repaired: boolean;
  /** It was moved aside, and nothing misses it. */
  readonly aside: boolean;
  /** What was done, or what would help. */
  readonly how?: string;
}

/** By path: of one file one thing is said. */
export class Findings {
  readonly #found = new Map<string, Finding>();

  get size(): number {
    return this.#found.size;
  }

  add(what: What, code: string, path: string, text: string): void {
    if (!this.#found.has(path)) this.#found.set(path, { path, what, code, text });
  }

  get(path: string): Finding | undefined {
    return this.#found.get(path);
  }

  /** In the order of their paths. */
  all(): Finding[] {
    return [...this.#found.values()].sort((one, other) => (one.path < other.path ? -1 : 1));
  }
}

/** A fault, which leftovers are not. */
export const isFault = ({ what }: Finding): boolean => what !== 'leftover';
