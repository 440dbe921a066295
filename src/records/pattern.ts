/**
 * Patterns of artifact names (protocol §2): `*` anything but `/`, `**` anything, `?` one character but `/`,
 * nothing else special. A pattern matches a whole name.
 */
import { refused } from '../failure.ts';
import { isArtifactName } from './artifact-name.ts';
import { listOf, malformed } from './fields.ts';

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

/** Of the patterns with wildcards in one list, together: what a hundred thousand names may cost is bounded by it. */
const MAX_TOGETHER = 1024;

/** A list of 1 to 64 patterns, those with wildcards of at most 1,024 characters together; throws refused(`record-malformed`). */
export function toPatterns(value: unknown, where: string): string[] {
  const patterns = listOf(value, where, { min: 1, max: 64 }, toPattern);
  if (patterns.filter(hasWildcard).join('').length > MAX_TOGETHER)
    throw malformed(where, `patterns with wildcards of more than ${MAX_TOGETHER} characters together`);
  return patterns;
}

/** Whether one of the patterns matches the whole name. For many names `matcherOf` is made once. */
export const matchesAny = (patterns: readonly string[], name: string): boolean => matcherOf(patterns)(name);

/** Tells of names whether one of the patterns matches. */
export function matcherOf(patterns: readonly string[]): (name: string) => boolean {
  const plain = new Set(patterns.filter((pattern) => !hasWildcard(pattern)));
  const wild = patterns.filter(hasWildcard).map(tokensOf);
  // the default pattern
  if (wild.some((tokens) => tokens.length === 1 && tokens[0] === '**')) return () => true;
  const automaton = new Automaton(wild);
  return (name) => plain.has(name) || (wild.length > 0 && automaton.matches(name));
}

/** One character of the pattern each, or a run of two and more stars. */
const tokensOf = (pattern: string): string[] => pattern.replace(/\*{3,}/g, '**').match(/\*\*|[^]/g) ?? [];

/** Stands behind the last token of a pattern. */
const END = '';

/** Sets of places, 32 to a word. */
type Places = Uint32Array;

/** Where a character leads: from each of `one` to the next place, from each of `many` also to itself. */
interface Steps {
  readonly one: Places;
  readonly many: Places;
}

/**
 * All the patterns as one finite automaton, which walks a name once with all the places that are reached, as bits: no
 * backtracking, and 32 places cost as much as one.
 *
 * A pattern of n tokens has n + 1 places; at its i-th, its first i tokens have matched. The places of one pattern stand
 * behind those of the one before, whose last place leads nowhere.
 */
class Automaton {
  readonly #first: Places;
  readonly #last: Places;
  readonly #stars: Places;
  readonly #steps = new Map<string, Steps>();
  /** Of a character that no pattern names. */
  readonly #otherwise: Steps;
  /** Of no character: every place stays. */
  readonly #nothing: Steps;

  constructor(patterns: readonly (readonly string[])[]) {
    const tokens = patterns.flatMap((pattern) => [...pattern, END]);
    const where = (holds: (token: string, at: number) => boolean): Places => {
      const places = new Uint32Array(Math.ceil(tokens.length / 32));
      for (const [at, token] of tokens.entries())
        if (holds(token, at)) places[at >>> 5] = (places[at >>> 5] ?? 0) | (1 << (at & 31));
      return places;
    };
    const stepsOf = (character: string | null): Steps => ({
      one: where((token) => token === character || (token === '?' && character !== '/')),
      many: where((token) => token === '**' || (token === '*' && character !== '/')),
    });
    this.#last = where((token) => token === END);
    this.#stars = where((token) => token === '*' || token === '**');
    this.#first = where((_, at) => at === 0 || tokens[at - 1] === END);
    this.#otherwise = stepsOf(null);
    this.#nothing = { one: where(() => false), many: where(() => true) };
    for (const character of new Set(['/', ...tokens.filter((token) => !/^(?:\*\*?|\?|)$/.test(token))]))
      this.#steps.set(character, stepsOf(character));
  }

  matches(name: string): boolean {
    const places = this.#first.slice();
    this.#step(places, this.#nothing);
    for (const character of name)
      if (!this.#step(places, this.#steps.get(character) ?? this.#otherwise)) return false;
    return places.some((word, at) => (word & (this.#last[at] ?? 0)) !== 0);
  }

  /** Takes one character, or nothing. False: no place is left. */
  #step(places: Places, { one, many }: Steps): boolean {
    const stars = this.#stars;
    let [reached, carried, skipped] = [0, 0, 0];
    for (let at = 0; at < places.length; at++) {
      const here = places[at] ?? 0;
      if ((here | carried | skipped) === 0) continue;
      const moved = here & (one[at] ?? 0);
      let next = (moved << 1) | carried | (here & (many[at] ?? 0));
      carried = moved >>> 31;
      // A star may match nothing, so the place behind it is reached too; what stands there is no star.
      const past = next & (stars[at] ?? 0);
      next |= (past << 1) | skipped;
      skipped = past >>> 31;
      places[at] = next;
      reached |= next;
    }
    return reached !== 0;
  }
}
