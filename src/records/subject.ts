/**
 * Subjects: the artifacts of a build, as a statement and a manifest list them. In digest mode the statement also has
 * the state of each artifact's hash (protocol §5.5): the manifest has none, since it follows from the bytes.
 */
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

/** A subject as its builder states it. */
export interface StatedSubject extends Subject {
  /** In a statement for digest mode. */
  readonly sha256State?: HashState;
}

/**
 * SHA-256 of an artifact before it is finished, hex: the eight chaining words after the last whole block, big-endian,
 * then the tail (size mod 64 bytes).
 */
export type HashState = string & { readonly [brand]: 'HashState' };
declare const brand: unique symbol;

/** Octets of a block, and of the chaining words. */
const [BLOCK, WORDS] = [64, 32];
const BOUNDS = { min: 1, max: MAX_SUBJECTS };

function toNamed(value: unknown, where: string) {
  const fields = closedObject(value, where, ['name', 'digest', 'annotations']);
  const digest = closedObject(fields.digest, `${where}.digest`, ['sha256']);
  return {
    name: toArtifactName(fields.name, `${where}.name`),
    sha256: toSha256(digest.sha256, `${where}.digest.sha256`),
    annotations: fields.annotations,
  };
}

function toSubject(value: unknown, where: string): Subject {
  const { name, sha256, annotations } = toNamed(value, where);
  const { size } = closedObject(annotations, `${where}.annotations`, ['size']);
  return { name, sha256, size: integer(size, `${where}.annotations.size`) };
}

function toStatedSubject(value: unknown, where: string): StatedSubject {
  const { name, sha256, annotations } = toNamed(value, where);
  if (typeof annotations !== 'object' || annotations === null || !('sha256State' in annotations))
    return toSubject(value, where);
  const inside = `${where}.annotations`;
  const fields = closedObject(annotations, inside, ['size', 'sha256State']);
  const size = integer(fields.size, `${inside}.size`);
  return { name, sha256, size, sha256State: toHashState(fields.sha256State, `${inside}.sha256State`, size) };
}

/** Reads the state of an artifact of that many bytes, in its one spelling. Throws refused(`record-malformed`). */
export function toHashState(value: unknown, where: string, size: number): HashState {
  if (typeof value === 'string' && isStateOf(value, size)) return value;
  const length = stateLength(size);
  throw malformed(where, `not ${length} digits of lower-case hex, as the state of ${size} bytes is`);
}

const stateLength = (size: number): number => 2 * (WORDS + (size % BLOCK));

/** Whether it is the state of an artifact of that many bytes, by its form. */
export const isStateOf = (text: string, size: number): text is HashState =>
  text.length === stateLength(size) && /^[0-9a-f]*$/.test(text);

/**
 * Reads a manifest's list of subjects: 1 to 100,000, in byte order of their names, which fit into one directory.
 * Throws refused: `record-malformed`, `name-malformed`.
 */
export const toSubjects = (value: unknown, where: string): Subject[] =>
  checkedList(listOf(value, where, BOUNDS, toSubject), where);

/** Reads a statement's list of subjects: the same, some perhaps with a state. Throws the same. */
export const toStatedSubjects = (value: unknown, where: string): StatedSubject[] =>
  checkedList(listOf(value, where, BOUNDS, toStatedSubject), where);

/**
 * The subjects, if their names are in byte order and fit into one directory.
 * Throws refused: `record-malformed`, `name-malformed`.
 */
export function checkedList<Each extends Subject>(subjects: Each[], where: string): Each[] {
  const names = subjects.map((subject) => subject.name);
  const problem = artifactSetProblems(names)[0];
  if (problem !== undefined) throw refused('name-malformed', `${where}: '${problem.name}' ${problem.text}`);
  // Names are ASCII, so the order of code units is the order of bytes.
  if (names.some((name, index) => index > 0 && name < (names[index - 1] ?? '')))
    throw malformed(where, 'not in byte order of the names');
  return subjects;
}

/** Subjects in byte order of their names. */
export const sortSubjects = <Each extends Subject>(subjects: Iterable<Each>): Each[] =>
  [...subjects].sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));

export const subjectsJson = (subjects: readonly Subject[]) =>
  subjects.map(({ name, sha256, size }) => ({ name, digest: { sha256 }, annotations: { size } }));

export const statedSubjectsJson = (subjects: readonly StatedSubject[]) =>
  subjects.map(({ name, sha256, size, sha256State }) => ({
    name,
    digest: { sha256 },
    annotations: { size, ...(sha256State !== undefined && { sha256State }) },
  }));
