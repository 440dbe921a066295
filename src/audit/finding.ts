/** What is wrong with a log, and where. */

export type FindingCode =
  /** The entry is not what the log signed. */
  | 'entry-changed'
  /** The tile's hash of it, or of what lies below, is not. */
  | 'tile-changed'
  /** One of the two is not, and nothing says which. */
  | 'entry-or-tile-changed'
  /** Entries and tiles agree with one another, and not with what was signed over them. */
  | 'range-changed'
  /** A bundle does not divide into its entries from there on. */
  | 'bundle-malformed'
  | 'bundle-missing'
  | 'tile-malformed'
  | 'tile-missing'
  /** Signed by the log, but no entry that a log may have. */
  | 'entry-malformed'
  /** Signed by the log, but nothing that may come after what came before. */
  | 'entry-order'
  /** It is dated long before those before it. */
  | 'entry-time'
  /** Fewer witnesses than the project asks for. */
  | 'witnesses-missing'
  /** More is wrong than is worth telling apart. */
  | 'too-much';

export interface Finding {
  readonly code: FindingCode;
  /** The first entry that it is about; null where it is about all of the log. */
  readonly index: number | null;
  /** The last one. */
  readonly through: number | null;
  /** The file, relative to the log; null where there is none. */
  readonly path: string | null;
  readonly text: string;
}

/** More than this is listed by nobody. */
const LISTED_MAX = 100;

/** A list that counts what it does not keep. */
export class Findings {
  readonly #listed: Finding[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The first hundred, by index. */
  get listed(): readonly Finding[] {
    return this.#listed.toSorted((one, other) => (one.index ?? -1) - (other.index ?? -1));
  }

  add(
    code: FindingCode,
    [index, through]: readonly [number | null, number | null],
    path: string | null,
    text: string,
  ): void {
    this.#count += 1;
    if (this.#listed.length < LISTED_MAX) this.#listed.push({ code, index, through, path, text });
  }

  /** Those of another list, too. */
  take(other: Findings): void {
    this.#count += other.#count;
    this.#listed.push(...other.#listed.slice(0, LISTED_MAX - this.#listed.length));
  }
}

/** `entry 7`, `entries 0 to 255`. */
export const entriesText = (first: number, last: number): string =>
  first === last ? `entry ${first}` : `entries ${first} to ${last}`;
