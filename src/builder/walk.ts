/**
 * Finds the artifacts: names relative to the base, directories walked, everything odd an error that names it.
 *
 * Nothing is followed and nothing is guessed: what a symlink means on M is not what it means on L, and a file
 * that was not meant to be released is found here or not at all.
 */
import type { Dirent } from 'node:fs';
import { lstat, readdir, realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { refused, usage } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { diskFailure, orNull } from '../host/files.ts';
import type { Approval } from '../records/approval.ts';
import { artifactNameProblem, artifactSetProblems, isArtifactName } from '../records/names.ts';
import type { ArtifactName, NameProblem } from '../records/names.ts';
import { hasWildcard, matchesAny } from '../records/pattern.ts';

export interface Found {
  readonly name: ArtifactName;
  /** Absolute, without symlinks. */
  readonly path: string;
  /** When it was found; hashing says what it really is. */
  readonly size: number;
}

/** What a walk gathers as it goes. */
interface Walk {
  /** Absolute, without symlinks. */
  readonly base: string;
  readonly exclude: readonly string[];
  readonly maxCount: number;
  readonly found: Map<string, Found>;
  readonly problems: NameProblem[];
}

/**
 * All artifacts under `paths`, in byte order of their names.
 *
 * Takes paths relative to the working directory; `exclude` are patterns of names left out. Throws usage for a
 * path that is not there or not below `base`, refused `artifacts-refused` that names the first bad file and
 * says how many more there are, unable('disk').
 */
export async function findArtifacts(
  base: string,
  paths: readonly string[],
  exclude: readonly string[],
  limits: Approval['artifacts'],
): Promise<Found[]> {
  const root = await realpath(base).catch(() => {
    throw usage('no-such-file', `the base ${base} is not there`);
  });
  const walk: Walk = { base: root, exclude, maxCount: limits.maxCount, found: new Map(), problems: [] };
  for (const path of paths) await visitArgument(walk, path, relative(resolve(base), resolve(path)));

  const found = [...walk.found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const problems = [...walk.problems, ...problemsOf(found, limits)];
  if (problems.length > 0) throw refuse(problems);
  if (found.length === 0)
    throw usage('no-artifacts', 'there are no files to attest', 'name files or directories');
  return found;
}

/** Walks down from the base to what an argument names, so that no step on the way is a symlink. */
async function visitArgument(walk: Walk, path: string, name: string): Promise<void> {
  if (name === '..' || name.startsWith(`..${sep}`) || isAbsolute(name))
    throw usage(
      'outside-base',
      `${path} is outside the base ${walk.base}`,
      'names are relative to --base: choose one above it',
    );
  const steps = name === '' ? [] : name.split(sep);
  for (let depth = 1; depth <= steps.length; depth++) {
    const upTo = steps.slice(0, depth);
    const kind = await orNull(lstat(join(walk.base, ...upTo)), `look at ${path}`);
    if (kind === null || (kind.isFile() && depth < steps.length))
      throw usage('no-such-file', `${path} is not there`);
    if (depth === steps.length || !kind.isDirectory()) return visit(walk, upTo.join('/'), kind);
  }
  await visitDirectory(walk, '');
}

type Kind = Pick<Dirent, 'isFile' | 'isDirectory' | 'isSymbolicLink' | 'isFIFO' | 'isSocket'>;

async function visit(walk: Walk, name: string, kind: Kind): Promise<void> {
  if (walk.found.size + walk.problems.length > walk.maxCount) return;
  if (matchesAny(walk.exclude, name)) return;
  if (kind.isDirectory()) {
    // `.git/**` leaves out what is inside, so the directory itself is no surprise
    if (!matchesAny(walk.exclude, `${name}/`)) await visitDirectory(walk, name);
    return;
  }
  const problem = kindProblem(kind) ?? dotProblem(name) ?? artifactNameProblem(name);
  if (problem !== null || !isArtifactName(name)) {
    walk.problems.push({ name, text: problem ?? '' });
    return;
  }
  const path = join(walk.base, name);
  const { size } = await lstat(path).catch((error: unknown) => {
    throw diskFailure(error, `look at ${name}`);
  });
  walk.found.set(name, { name, path, size });
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
  for (const { name, size } of found) {
    if (!matchesAny(patterns, name)) problems.push({ name, text: 'not a name that was approved' });
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

function refuse(problems: readonly NameProblem[]): Failure {
  const [first, ...rest] = problems;
  const others = rest.slice(0, 3).map(({ name }) => name);
  const more = rest.length > others.length ? ', …' : '';
  return refused(
    'artifacts-refused',
    `${first?.name ?? ''}: ${first?.text ?? ''}`,
    rest.length === 0
      ? 'nothing was signed'
      : `${rest.length} more: ${others.join(', ')}${more}; nothing was signed`,
  );
}
