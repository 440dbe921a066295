/** Properties of names and patterns, against references that are slow and plain. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  artifactNameProblem,
  artifactSetProblems,
  decodeBase64Strict,
  decodeBase64Url,
  isTimestamp,
  newBuildId,
} from '../../src/records/names.ts';
import { isPattern, matchesAny } from '../../src/records/pattern.ts';
import { isTreePath, parseBuildFile } from '../../src/records/paths.ts';
import * as arbitrary from './arbitrary.ts';

/** Does the pattern match the name? By trying everything. */
function matchesByTrying(pattern: string, name: string): boolean {
  if (pattern === '') return name === '';
  const rest = (from: number) => name.slice(from);
  if (pattern.startsWith('**')) {
    for (let taken = 0; taken <= name.length; taken++)
      if (matchesByTrying(pattern.slice(2), rest(taken))) return true;
    return false;
  }
  if (pattern.startsWith('*')) {
    for (let taken = 0; taken <= name.length; taken++) {
      if (matchesByTrying(pattern.slice(1), rest(taken))) return true;
      if (name[taken] === '/') return false;
    }
    return false;
  }
  const [first] = name;
  if (first === undefined) return false;
  const takes = pattern.startsWith('?') ? first !== '/' : pattern.startsWith(first);
  return takes && matchesByTrying(pattern.slice(1), rest(1));
}

describe('patterns', () => {
  test('match what trying everything matches', () => {
    const name = fc.stringMatching(/^[ab/]{0,10}$/);
    fc.assert(
      fc.property(arbitrary.pattern, name, (pattern, text) => {
        expect(matchesAny([pattern], text)).toBe(matchesByTrying(pattern, text));
      }),
      { numRuns: 5000 },
    );
  });

  test('match the names that they were made of', () => {
    const parts = fc.array(fc.tuple(arbitrary.artifactName, fc.constantFrom('', '**', '?')), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(parts, (chosen) => {
        const pattern = chosen.map(([name, wildcard]) => name + wildcard).join('');
        const name = chosen
          .map(([text, wildcard]) => text + wildcard.replace('?', 'x').replace('**', 'y/z'))
          .join('');
        expect(matchesAny([pattern], name)).toBe(true);
      }),
    );
  });

  test('take time in proportion to the lengths', () => {
    const hostile = fc.stringMatching(/^[a*?]{200,255}$/);
    fc.assert(
      fc.property(hostile, (pattern) => {
        const started = performance.now();
        matchesAny([pattern], `${'a'.repeat(254)}b`);
        expect(performance.now() - started).toBeLessThan(500);
      }),
    );
  });

  test('are the characters of names and wildcards', () => {
    fc.assert(
      fc.property(arbitrary.artifactName, (name) => {
        expect(isPattern(name)).toBe(true);
      }),
    );
    const foreign = fc.constantFrom(' ', '\n', '\\', '[', '{', '!', 'é', '\0');
    fc.assert(
      fc.property(arbitrary.artifactName, foreign, (name, character) => {
        expect(isPattern(`*${name}${character}`)).toBe(false);
      }),
    );
  });
});

describe('artifact names', () => {
  test('are paths of a tree, one of each meaning', () => {
    fc.assert(
      fc.property(arbitrary.artifactName, (name) => {
        expect(isTreePath(name)).toBe(true);
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
        expect(new URL(`http://host/a/b/${name}`).pathname).toBe(`/a/b/${name}`);
        expect(parseBuildFile(`signatures/${name}.asc`)).toEqual({ kind: 'signature', signed: name });
      }),
    );
  });

  test('are never anything that holds a foreign character, or leads elsewhere', () => {
    const foreign = fc.oneof(
      fc
        .string({ unit: 'binary', minLength: 1, maxLength: 1 })
        .filter((unit) => !/^[A-Za-z0-9._+~@=/-]$/.test(unit)),
      fc.constantFrom('/../', '//', '/./', '/-', '/.'),
    );
    fc.assert(
      fc.property(arbitrary.artifactName, foreign, fc.nat(), (name, inserted, place) => {
        const at = place % (name.length + 1);
        expect(artifactNameProblem(name.slice(0, at) + inserted + name.slice(at))).not.toBeNull();
      }),
    );
  });

  test('together: a set has problems if and only if two of it have', () => {
    const names = fc.array(fc.stringMatching(/^[aA](?:\/[bB]){0,2}$/), { maxLength: 4 });
    fc.assert(
      fc.property(names, (all) => {
        const clash = (a: string, b: string) => {
          const [x, y] = [a.toLowerCase(), b.toLowerCase()];
          return x === y || x.startsWith(`${y}/`) || y.startsWith(`${x}/`);
        };
        const some = all.some((name, index) => all.slice(index + 1).some((other) => clash(name, other)));
        expect(artifactSetProblems(all).length > 0).toBe(some);
      }),
    );
  });
});

test('build ids have the order of their times', () => {
  const time = fc.nat({ max: 2 ** 48 - 1 });
  const random = fc.uint8Array({ minLength: 10, maxLength: 10 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(time, time, random, random, (a, b, x, y) => {
      const [first, second] = [newBuildId(new Date(a), x), newBuildId(new Date(b), y)];
      if (a !== b) expect(first < second).toBe(a < b);
    }),
  );
});

test('a timestamp is what Date writes, cut', () => {
  const two = fc.integer({ min: 0, max: 69 }).map((number) => String(number).padStart(2, '0'));
  fc.assert(
    fc.property(fc.integer({ min: 1600, max: 2500 }), two, two, two, two, two, (year, ...rest) => {
      const [month, day, hour, minute, second] = rest;
      const text = `${year}-${month}-${day}T${hour}:${minute}:${second}Z`;
      const date = new Date(
        Date.UTC(year, Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second)),
      );
      expect(isTimestamp(text)).toBe(date.toISOString() === text.replace('Z', '.000Z'));
    }),
    { numRuns: 2000 },
  );
});

test('base64 has one text for each sequence of bytes', () => {
  const text = fc.stringMatching(/^[A-Da-d+/_=\n -]{0,12}$/);
  fc.assert(
    fc.property(text, (candidate) => {
      for (const [decode, encoding] of [
        [decodeBase64Strict, 'base64'],
        [decodeBase64Url, 'base64url'],
      ] as const) {
        let bytes: Buffer | null = null;
        try {
          bytes = decode(candidate, 'test');
        } catch {
          continue;
        }
        expect(bytes.toString(encoding)).toBe(candidate);
      }
    }),
    { numRuns: 2000 },
  );
});
