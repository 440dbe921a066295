/** What a release has, looked up by what a file is and by what it is called: asked of each of thousands of files. */
import { basename, resolve, sep } from 'node:path';
import type { Sha256 } from '../records/names.ts';
import type { Subject } from '../records/statement.ts';

/** Artifact names have at most eight parts. */
const MAX_DEPTH = 8;

export class Subjects {
  readonly #byName: ReadonlyMap<string, Subject>;
  readonly #byDigest: ReadonlyMap<Sha256, readonly Subject[]>;
  readonly #byLastPart: ReadonlyMap<string, readonly Subject[]>;
  readonly #signatures: ReadonlyMap<Sha256, readonly (readonly [string, Sha256])[]>;

  /** `signatures`: the digest of each signature file. */
  constructor(subjects: readonly Subject[], signatures: ReadonlyMap<string, Sha256>) {
    this.#byName = new Map(subjects.map((subject) => [subject.name, subject]));
    this.#byDigest = grouped(subjects, ({ sha256 }) => sha256);
    this.#byLastPart = grouped(subjects, ({ name }) => basename(name));
    this.#signatures = grouped([...signatures], ([, digest]) => digest);
  }

  /** Those with these bytes, in the release's order. */
  withBytes(sha256: Sha256, size: number): readonly Subject[] {
    return (this.#byDigest.get(sha256) ?? []).filter((subject) => subject.size === size);
  }

  /** The longest artifact name that the path ends with; null if it ends with none. */
  claimedBy(path: string): Subject | null {
    const parts = resolve(path).split(sep);
    for (let from = Math.max(0, parts.length - MAX_DEPTH); from < parts.length; from++) {
      const claimed = this.#byName.get(parts.slice(from).join('/'));
      if (claimed) return claimed;
    }
    return null;
  }

  /** The first whose name ends like the path. */
  withLastPart(path: string): Subject | null {
    return this.#byLastPart.get(basename(path))?.[0] ?? null;
  }

  /** Whether these are the bytes of a signature file of such a name. */
  isSignature(path: string, sha256: Sha256): boolean {
    return (this.#signatures.get(sha256) ?? []).some(([name]) => sameLastPart(path, name));
  }
}

export const sameLastPart = (path: string, name: string): boolean => basename(path) === basename(name);

function grouped<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
