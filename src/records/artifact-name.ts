/** Artifact names (protocol §2): paths that mean the same file on every file system that may hold a release. */
import { refused } from '../failure.ts';

declare const brand: unique symbol;
export type ArtifactName = string & { readonly [brand]: 'ArtifactName' };

const MAX_BYTES = 255;
const MAX_SEGMENTS = 8;
// A file system takes 255 bytes a segment, and `.asc` must still fit.
const MAX_SEGMENT_BYTES = 251;
const FOREIGN = /[^A-Za-z0-9._+~@=-]/u;
const START = /^[A-Za-z0-9_]/;
// In any case, as a file system that folds case would let `x.ASC` stand where the signature `x.asc` goes.
const RESERVED_SUFFIX = /\.(?:asc|sig|mac|proof)$/i;
const RESERVED_ROOT = /^(?:countersign|sha256sums)$/i;
// Windows opens the device whatever follows the first dot.
const WINDOWS_DEVICE = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/i;

/** Why this is not an artifact name, in a few words; null when it is one. */
export function artifactNameProblem(name: string): string | null {
  if (name === '') return 'the name is empty';
  // Cheap first: a name may come as a string of megabytes. Legal characters are one byte each.
  if (name.length > MAX_BYTES) return `longer than ${MAX_BYTES} bytes`;
  const segments = name.split('/');
  if (segments.length > MAX_SEGMENTS) return `more than ${MAX_SEGMENTS} path segments`;
  for (const segment of segments) {
    if (segment === '') return 'not a relative path with single slashes';
    if (segment === '.' || segment === '..') return `has a segment ${segment}`;
    const foreign = FOREIGN.exec(segment)?.[0];
    if (foreign !== undefined)
      return `${spokenCharacter(foreign)} is not allowed, only letters, digits and . _ + ~ @ = -`;
    if (!START.test(segment)) return `a segment starts with ${segment[0]}, not with a letter, digit or _`;
    if (segment.length > MAX_SEGMENT_BYTES)
      return `a segment is longer than ${MAX_SEGMENT_BYTES} bytes: its signature needs four more`;
    if (segment.endsWith('.')) return 'a segment ends in a dot';
    if (RESERVED_SUFFIX.test(segment))
      return 'a segment ends in .asc, .sig, .mac or .proof, which are reserved';
    if (WINDOWS_DEVICE.test(segment)) return 'a segment is a Windows device name';
  }
  if (RESERVED_ROOT.test(segments[0] ?? '')) return 'countersign and SHA256SUMS are reserved at the top';
  return null;
}

/** A character for a message: in ASCII, and so that a person sees it. */
function spokenCharacter(character: string): string {
  if (character === ' ') return 'a space';
  if (/^[!-~]$/.test(character)) return character;
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}

const SEGMENT = '[A-Za-z0-9_](?:[A-Za-z0-9._+~@=-]*[A-Za-z0-9_+~@=-])?';
/** What most names are: in form, and nothing like a reserved word in them. Releases have a hundred thousand. */
const USUAL = new RegExp(`^${SEGMENT}(?:/${SEGMENT}){0,${MAX_SEGMENTS - 1}}$`);
const SUSPECT = /\.(?:asc|sig|mac|proof)(?:\/|$)|(?:^|\/)(?:con|prn|aux|nul|com|lpt|countersign|sha256sums)/i;
const isUsual = (text: string): boolean =>
  text.length <= MAX_SEGMENT_BYTES && USUAL.test(text) && !SUSPECT.test(text);

export const isArtifactName = (text: string): text is ArtifactName =>
  isUsual(text) || artifactNameProblem(text) === null;

/** The value as an artifact name; throws refused(`name-malformed`) that quotes the name and says what is wrong. */
export function toArtifactName(value: unknown, where: string): ArtifactName {
  if (typeof value !== 'string') throw refused('record-malformed', `${where}: not a string`);
  if (isArtifactName(value)) return value;
  const shown = value.length > 300 ? `${value.slice(0, 300)}…` : value;
  throw refused('name-malformed', `${where}: '${shown}': ${artifactNameProblem(value) ?? ''}`);
}

/** What is wrong with one name of a set. */
export interface NameProblem {
  readonly name: string;
  readonly text: string;
}

/**
 * What keeps these names from lying in one directory: the same name twice, names that differ only in case,
 * a name that is a directory of another. Linear in the length of all names. Empty: nothing.
 */
export function artifactSetProblems(names: readonly string[]): NameProblem[] {
  const problems: NameProblem[] = [];
  const byFolded = new Map<string, string>();
  for (const name of names) {
    const folded = name.toLowerCase();
    const twin = byFolded.get(folded);
    if (twin === undefined) byFolded.set(folded, name);
    else if (twin === name) problems.push({ name, text: 'named twice' });
    else problems.push({ name, text: `differs from ${twin} only in case` });
  }
  // names of one directory most often come one after another
  let clean = '';
  for (const [folded, name] of byFolded) {
    const directory = folded.slice(0, folded.lastIndexOf('/') + 1);
    if (directory === clean) continue;
    const before = problems.length;
    for (let slash = folded.indexOf('/'); slash !== -1; slash = folded.indexOf('/', slash + 1)) {
      const file = byFolded.get(folded.slice(0, slash));
      if (file !== undefined)
        problems.push({ name, text: `needs ${file} to be a directory, which is a file` });
    }
    if (problems.length === before) clean = directory;
  }
  return problems;
}
