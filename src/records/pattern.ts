/**
 * Patterns of artifact names (protocol §2): `*` anything but `/`, `**` anything, `?` one character but `/`,
 * nothing else special. A pattern matches a whole name.
 */
import { refused } from '../failure.ts';
import { isArtifactName } from './artifact-name.ts';

const MAX_LENGTH = 255;

/** Whether the pattern stands for more than one name. A pattern without wildcards must be in the build. */
export const hasWildcard = (pattern: string): boolean => /[*?]/.test(pattern);

/**
 * A pattern that some name can match: the characters of names and `*` `?`, at most 255; without wildcards
 * an artifact name. So `[a-z]` or `{a,b}`, which are not special here, are an error and not a surprise.
 */
export const isPattern = (text: string): boolean =>
  text.length <= MAX_LENGTH &&
  (hasWildcard(text) ? /^[A-Za-z0-9._+~@=/*?-]+$/.test(text) : isArtifactName(text));

/** The value as a pattern; throws refused(`record-malformed`) naming `where`. */
export function toPattern(value: unknown, where: string): string {
  if (typeof value === 'string' && isPattern(value)) return value;
  throw refused('record-malformed', `${where}: not a pattern of artifact names, of * ** and ?`);
}

// A token is one character of the pattern, or a run of two and more stars.
const isStar = (token: string | undefined): boolean => token === '*' || token === '**';
const takesOne = (token: string | undefined, character: string): boolean =>
  token === character || (token === '?' && character !== '/');
const takesMany = (token: string | undefined, character: string): boolean =>
  token === '**' || (token === '*' && character !== '/');

/**
 * Whether the pattern matches the whole name.
 *
 * Walks the name once with all the places in the pattern that are reached, as a finite automaton does: no
 * backtracking, so the time is the product of the two lengths at worst.
 */
export function matchesPattern(pattern: string, name: string): boolean {
  const start = pattern.search(/[*?]/);
  if (start === -1) return pattern === name;
  if (!name.startsWith(pattern.slice(0, start))) return false;
  const tokens =
    pattern
      .slice(start)
      .replace(/\*{3,}/g, '**')
      .match(/\*\*|[^]/g) ?? [];
  // The usual end of a pattern, and the default pattern whole.
  if (tokens.length === 1 && tokens[0] === '**') return true;
  let places: number[] = [];
  // At place i the first i tokens have matched; a star may match nothing, so the place behind it is reached too.
  const reach = (found: number[], place: number) => {
    // Places come in ascending order but for those that are there already.
    if (place > (found.at(-1) ?? -1)) found.push(place);
    if (isStar(tokens[place]) && found.at(-1) === place) found.push(place + 1);
  };
  reach(places, 0);
  for (const character of name.slice(start)) {
    const next: number[] = [];
    for (const place of places) {
      const token = tokens[place];
      if (takesMany(token, character)) reach(next, place);
      else if (takesOne(token, character)) reach(next, place + 1);
    }
    if (next.length === 0) return false;
    places = next;
  }
  return places.at(-1) === tokens.length;
}

/** Whether one of the patterns matches the whole name. */
export const matchesAny = (patterns: readonly string[], name: string): boolean =>
  patterns.some((pattern) => matchesPattern(pattern, name));
