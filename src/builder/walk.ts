/**
 * Finds the artifacts: names relative to the base, directories walked, everything odd an error that names it.
 *
 * Nothing is followed and nothing is guessed: what a symlink means on M is not what it means on L, and a file
 * that was not meant to be released is found here or not at all.
 */
import { lstatSync } from 'node:fs';
import type { Dirent } from 'node:fs';
import { lstat, readdir, realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { refused, usage } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { diskFailure, orNull } from '../host/files.ts';
import type { Approval } from '../records/approval.ts';
import { artifactNameProblem, artifactSetProblems, isArtifactName } from '../records/names.ts';
import type { ArtifactName, NameProblem } from '../records/names.ts';
import { hasWildcard, matcherOf } from '../records/pattern.ts';

export interface Found {
  readonly name: ArtifactName;
  /** Absolute, without symlinks. */
  readonly path: string;
  /** When it was found; hashing says what it really is. */
  readonly size: number;
}

/** What to walk. */
export interface Places {
  readonly base: string;
  /** Relative to the working directory. */
  readonly paths: readonly string[];
  /** Patterns of names left out. */
  readonly exclude: readonly string[];
  /** Absolute paths left out: files of our own. */
  readonly skip?: ReadonlySet<string>;
}

/** What a walk gathers as it goes. */
interface Walk {
  /** Absolute, without symlinks. */
  readonly base: string;
  readonly excludes: (name: string) => boolean;
  readonly skip: ReadonlySet<string>;
  readonly maxCount: number;
  readonly found: Map<string, Found>;
  readonly problems: NameProblem[];
  readonly missing: Missing[];
}

/** A path that is not there, as it was given, and the name that it would have. */
export interface Missing {
  readonly path: string;
  readonly name: string;
}

/** What lies under the paths, in byte order, before anything is said about the whole. */
export interface Walked {
  readonly found: readonly Found[];
  readonly problems: readonly NameProblem[];
  readonly missing: readonly Missing[];
}

/**
 * All artifacts, in byte order of their names.
 *
 * Throws usage for a path that is not there or not below the base, refused `artifacts-refused` that names the
 * first bad file and says how many more there are, unable('disk').
 */
export async function findArtifacts(
  places: Places,
  limits: Approval['artifacts'],
): Promise<readonly Found[]> {
  if ((await orNull(lstat(places.base), `look at ${places.base}`)) === null)
    throw usage('no-such-file', `the base ${places.base} is not there`);
  const { found, problems: odd, missing } = await walkPaths(places, limits.maxCount);
  const [absent] = missing;
  if (absent !== undefined) throw usage('no-such-file', `${absent.path} is not there`);
  const problems = [...odd, ...problemsOf(found, limits)];
  if (problems.length > 0) throw refuse(problems, baseHint(places.base, found, limits.patterns));
  if (found.length === 0)
    throw usage('no-artifacts', 'there are no files to attest', 'name files or directories');
  return found;
}

/**
 * Walks; stops early at more than `maxCount` files.
 * Throws usage for a path that is not below the base, unable('disk').
 */
export async function walkPaths(places: Places, maxCount: number): Promise<Walked> {
  const { base, paths, exclude, skip = new Set<string>() } = places;
  requireBelow(places);
  const nameOf = (path: string): string => nameBelow(base, path);
  const root = await orNull(realpath(base), `look at ${base}`);
  if (root === null)
    return { found: [], problems: [], missing: paths.map((path) => ({ path, name: nameOf(path) })) };
  const walk: Walk = {
    ...{ base: root, excludes: matcherOf(exclude), skip, maxCount },
    ...{ found: new Map(), problems: [], missing: [] },
  };
  for (const path of paths) await visitArgument(walk, path, nameOf(path));
  const found = [...walk.found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return { found, problems: walk.problems, missing: walk.missing };
}

const nameBelow = (base: string, path: string): string => relative(resolve(base), resolve(path));

/** Throws usage for a path that is not below the base, whether it is there yet or not. */
export function requireBelow({ base, paths }: Pick<Places, 'base' | 'paths'>): void {
  for (const path of paths) {
    const name = nameBelow(base, path);
    if (name !== '..' && !name.startsWith(`..${sep}`) && !isAbsolute(name)) continue;
    throw usage(
      'outside-base',
      `${path} is outside the base ${base}`,
      'names are relative to --base: choose one above it',
    );
  }
}

/** Walks down from the base to what an argument names, so that no step on the way is a symlink. */
async function visitArgument(walk: Walk, path: string, name: string): Promise<void> {
  const steps = name === '' ? [] : name.split(sep);
  for (let depth = 1; depth <= steps.length; depth++) {
    const upTo = steps.slice(0, depth);
    const kind = await orNull(lstat(join(walk.base, ...upTo)), `look at ${path}`);
    if (kind === null || (kind.isFile() && depth < steps.length)) {
      walk.missing.push({ path, name: steps.join('/') });
      return;
    }
    if (depth === steps.length || !kind.isDirectory()) return visit(walk, upTo.join('/'), kind);
  }
  await visitDirectory(walk, '');
}

type Kind = Pick<Dirent, 'isFile' | 'isDirectory' | 'isSymbolicLink' | 'isFIFO' | 'isSocket'>;

async function visit(walk: Walk, name: string, kind: Kind): Promise<void> {
  if (walk.found.size + walk.problems.length > walk.maxCount) return;
  if (walk.excludes(name) || walk.skip.has(join(walk.base, name))) return;
  if (kind.isDirectory()) {
    // `.git/**` leaves out what is inside, so the directory itself is no surprise
    if (!walk.excludes(`${name}/`)) await visitDirectory(walk, name);
    return;
  }
  const problem = kindProblem(kind) ?? dotProblem(name) ?? artifactNameProblem(name);
  if (problem !== null || !isArtifactName(name)) {
    walk.problems.push({ name, text: problem ?? '' });
    return;
  }
  const path = join(walk.base, name);
  walk.found.set(name, { name, path, size: sizeOf(path, name) });
}

/** At once: of thousands each would wait longer for its turn than it takes. */
function sizeOf(path: string, name: string): number {
  try {
    return lstatSync(path).size;
  } catch (error) {
    throw diskFailure(error, `look at ${name}`);
  }
}

async function visitDirectory(walk: Walk, name: string): Promise<void> {
  const problem = name === '' ? null : (dotProblem(name) ?? artifactNameProblem(`${name}/x`));
  if (problem !== null) {
    walk.problems.push({ name: `${name}/`, text: problem });
    return;
  }
  const entries = await readdir(join(walk.base, name), { withFileTypes: true }).catch((error: unknown) => {
    throw diskFailure(error, `list ${name === '' ? walk.base : name}`);
  });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) await visit(walk, name === '' ? entry.name : `${name}/${entry.name}`, entry);
}

function kindProblem(kind: Kind): string | null {
  if (kind.isFile()) return null;
  if (kind.isSymbolicLink()) return 'a symlink; only regular files are attested';
  if (kind.isFIFO()) return 'a FIFO; only regular files are attested';
  if (kind.isSocket()) return 'a socket; only regular files are attested';
  return 'a device; only regular files are attested';
}

const dotProblem = (name: string): string | null =>
  /(^|\/)\./.test(name) ? 'a dot-file; leave it out with --exclude' : null;

/** What the ticket says of the whole: patterns, counts, sizes. H says the same later, and then it is final. */
function problemsOf(found: readonly Found[], limits: Approval['artifacts']): NameProblem[] {
  const { patterns, maxCount, maxBytes, maxTotalBytes } = limits;
  const names = found.map(({ name }) => name);
  const problems: NameProblem[] = artifactSetProblems(names);
  const isApproved = matcherOf(patterns);
  for (const { name, size } of found) {
    if (!isApproved(name)) problems.push({ name, text: 'not a name that was approved' });
    if (size > maxBytes) problems.push({ name, text: `${size} bytes; at most ${maxBytes} were approved` });
  }
  const present: ReadonlySet<string> = new Set(names);
  for (const pattern of patterns) {
    if (!hasWildcard(pattern) && !present.has(pattern))
      problems.push({ name: pattern, text: 'approved, but not here' });
  }
  const total = found.reduce((sum, { size }) => sum + size, 0);
  if (found.length > maxCount)
    problems.push({
      name: found[maxCount]?.name ?? '',
      text: `one too many: ${maxCount} files were approved`,
    });
  if (total > maxTotalBytes)
    problems.push({
      name: found.at(-1)?.name ?? '',
      text: `${total} bytes in all; ${maxTotalBytes} were approved`,
    });
  return problems;
}

/** What was approved, where a file is not; and the base from which its name would have been. */
function baseHint(base: string, found: readonly Found[], patterns: readonly string[]): string {
  const isApproved = matcherOf(patterns);
  const stray = found.find(({ name }) => !isApproved(name));
  if (stray === undefined) return '';
  const parts = stray.name.split('/');
  const depth = parts.findIndex((_, at) => isApproved(parts.slice(at).join('/')));
  const better = depth > 0 ? `: --base ${join(base, ...parts.slice(0, depth))} would fit` : '';
  const shown = patterns.length > 5 ? [...patterns.slice(0, 5), '…'] : patterns;
  return `; approved: ${shown.join(' ')}${better}`;
}

function refuse(problems: readonly NameProblem[], hint: string): Failure {
  const [first, ...rest] = problems;
  const others = rest.slice(0, 3).map(({ name }) => name);
  const more = rest.length > others.length ? ', …' : '';
  const all = rest.length === 0 ? '' : `${rest.length} more: ${others.join(', ')}${more}; `;
  return refused(
    'artifacts-refused',
    `${first?.name ?? ''}: ${first?.text ?? ''}`,
    `${all}nothing was signed${hint}`,
  );
}
