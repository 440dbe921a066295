/** The releases that a project expects: a version or a build id a line, `#` begins a comment. Pure. */
import { usage } from '../../failure.ts';
import { isBuildId, isVersion } from '../../records/names.ts';
import type { BuildEntry } from '../../records/log-entry.ts';

export class Expected {
  readonly #names: ReadonlySet<string>;

  /** Throws usage(`expect-malformed`) naming the line. */
  constructor(text: string) {
    const names = text.split('\n').map((line) => line.replace(/#.*$/, '').trim());
    for (const [at, name] of names.entries())
      if (name !== '' && !isBuildId(name) && !isVersion(name))
        throw usage('expect-malformed', `line ${at + 1} is neither a version nor a build id`);
    this.#names = new Set(names.filter((name) => name !== ''));
  }

  has({ version, build }: BuildEntry): boolean {
    return this.#names.has(version) || this.#names.has(build);
  }
}
