/** Subjects: the artifacts of a build, as a statement and a manifest list them. */
import { refused } from '../failure.ts';
import { artifactSetProblems, toArtifactName } from './artifact-name.ts';
import type { ArtifactName } from './artifact-name.ts';
import { MAX_SUBJECTS } from './canonical.ts';
import { closedObject, integer, listOf, malformed } from './fields.ts';
import { toSha256 } from './names.ts';
import type { Sha256 } from './names.ts';

export interface Subject {
  readonly name: ArtifactName;
  readonly sha256: Sha256;
  /** Bytes, below 2^53. */
  readonly size: number;
}

function toSubject(value: unknown, where: string): Subject {
  const fields = closedObject(value, where, ['name', 'digest', 'annotations']);
  const digest = closedObject(fields.digest, `${where}.digest`, ['sha256']);
  const annotations = closedObject(fields.annotations, `${where}.annotations`, ['size']);
  return {
    name: toArtifactName(fields.name, `${where}.name`),
    sha256: toSha256(digest.sha256, `${where}.digest.sha256`),
    size: integer(annotations.size, `${where}.annotations.size`),
  };
}

/**
 * Reads a list of subjects: 1 to 100,000, in byte order of their names, which fit into one directory.
 * Throws refused: `record-malformed`, `name-malformed`.
 */
export function toSubjects(value: unknown, where: string): Subject[] {
  const subjects = listOf(value, where, { min: 1, max: MAX_SUBJECTS }, toSubject);
  const names = subjects.map((subject) => subject.name);
  const problem = artifactSetProblems(names)[0];
  if (problem !== undefined) throw refused('name-malformed', `${where}: '${problem.name}' ${problem.text}`);
  // Names are ASCII, so the order of code units is the order of bytes.
  if (names.some((name, index) => index > 0 && name < (names[index - 1] ?? '')))
    throw malformed(where, 'not in byte order of the names');
  return subjects;
}

/** Subjects in byte order of their names. */
export const sortSubjects = (subjects: Iterable<Subject>): Subject[] =>
  [...subjects].sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));

export const subjectsJson = (subjects: readonly Subject[]) =>
  subjects.map(({ name, sha256, size }) => ({ name, digest: { sha256 }, annotations: { size } }));
