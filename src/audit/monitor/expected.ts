/** The releases that a project expects: a version, with its project before it or not, or a build id a line; `#` begins a comment. Pure. */
import { usage } from '../../failure.ts';
import { isBuildId, isProjectName, isVersion } from '../../records/names.ts';
import type { BuildEntry } from '../../records/log-entry.ts';

export class Expected {
  readonly #names: ReadonlySet<string>;

  /** `file`: its name. Throws usage(`expect-malformed`) naming the line. */
  constructor(text: string, file: string) {
    const names = text.split('\n').map((line) => line.replace(/#.*$/, '').trim().replace(/\s+/, ' '));
    for (const [at, name] of names.entries())
      if (name !== '' && !isBuildId(name) && !isRelease(name))
        throw usage(
          'expect-malformed',
          `${file}, line ${at + 1}: neither a version nor a build id`,
          'a line is like 1.4.0, hello 1.4.0, or the id of a build',
        );
    this.#names = new Set(names.filter((name) => name !== ''));
  }

  has({ project, version, build }: BuildEntry): boolean {
    return [version, `${project} ${version}`, build].some((name) => this.#names.has(name));
  }
}

function isRelease(name: string): boolean {
  const [version = '', project, ...more] = name.split(' ').reverse();
  return isVersion(version) && (project === undefined || isProjectName(project)) && more.length === 0;
}
