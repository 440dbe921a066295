/** What a release has, looked up by what a file is and by what it is called: asked of each of thousands of files. */
import { basename, resolve, sep } from 'node:path';
import type { Sha256 } from '../records/names.ts';
import type { Subject } from '../records/statement.ts';

/** Artifact names have at most eight parts. */
const MAX_DEPTH = 8;

type Content = Pick<Subject, 'sha256' | 'size'>;

export class Subjects {
  readonly #byName: ReadonlyMap<string, Subject>;
  /** The first of each, in the release's order. */
  readonly #byContent: ReadonlyMap<string, Subject>;
  readonly #byLastPart: ReadonlyMap<string, Subject>;
  /** Thousands may have the same bytes, and thousands be called the same. */
  readonly #byBoth: ReadonlyMap<string, Subject>;
  readonly #signatures: ReadonlySet<string>;

  /** `signatures`: the digest of each signature file. */
  constructor(subjects: readonly Subject[], signatures: ReadonlyMap<string, Sha256>) {
    this.#byName = firsts(subjects, ({ name }) => name);
    this.#byContent = firsts(subjects, contentKey);
    this.#byLastPart = firsts(subjects, ({ name }) => basename(name));
    this.#byBoth = firsts(subjects, (subject) => bothKey(contentKey(subject), subject.name));
    this.#signatures = new Set([...signatures].map(([name, sha256]) => bothKey(sha256, name)));
  }

  /** The first with these bytes. */
  withContent(content: Content): Subject | null {
    return this.#byContent.get(contentKey(content)) ?? null;
  }

  /** The one with these bytes that the path claims to be, else the first of them whose name ends like the path. */
  matching(path: string, content: Content): Subject | null {
    const claimed = this.claimedBy(path);
    if (claimed && contentKey(claimed) === contentKey(content)) return claimed;
    return this.#byBoth.get(bothKey(contentKey(content), path)) ?? null;
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
    return this.#byLastPart.get(basename(path)) ?? null;
  }

  /** Whether these are the bytes of a signature file of such a name. */
  isSignature(path: string, sha256: Sha256): boolean {
    return this.#signatures.has(bothKey(sha256, path));
  }
}

const contentKey = ({ sha256, size }: Content): string => `${sha256} ${size}`;
const bothKey = (content: string, path: string): string => `${content} ${basename(path)}`;

function firsts(subjects: readonly Subject[], keyOf: (subject: Subject) => string): Map<string, Subject> {
  // of the same key the last one in stays
  return new Map(subjects.toReversed().map((subject) => [keyOf(subject), subject]));
}
