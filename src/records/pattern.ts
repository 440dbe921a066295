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

/**
 * Whether the pattern matches the whole name.
 *
 * Walks the name once with the set of places in the pattern that are reached, as a finite automaton does:
 * no backtracking, so the time is the product of the two lengths at worst.
 */
export function matchesPattern(pattern: string, name: string): boolean {
  if (!hasWildcard(pattern)) return pattern === name;
  const tokens = pattern.match(/\*{2,}|[^]/g) ?? [];
  const isStar = (token: string | undefined) => token !== undefined && token.startsWith('*');
  const takes = (token: string | undefined, character: string) =>
    token === character || (token === '?' && character !== '/');
  const stays = (token: string | undefined, character: string) =>
    token !== undefined && (token.length > 1 || (token === '*' && character !== '/'));

  // reached[i]: the tokens before i match what has been read of the name.
  const reached: boolean[] = new Array<boolean>(tokens.length + 1).fill(false);
  const skipStars = () => {
    for (let i = 0; i < tokens.length; i++) if (reached[i] && isStar(tokens[i])) reached[i + 1] = true;
  };
  reached[0] = true;
  skipStars();
  for (const character of name) {
    for (let i = tokens.length; i >= 0; i--)
      reached[i] =
        (reached[i] === true && stays(tokens[i], character)) ||
        (i > 0 && reached[i - 1] === true && takes(tokens[i - 1], character));
    skipStars();
  }
  return reached[tokens.length] === true;
}

/** Whether one of the patterns matches the whole name. */
export const matchesAny = (patterns: readonly string[], name: string): boolean =>
  patterns.some((pattern) => matchesPattern(pattern, name));
