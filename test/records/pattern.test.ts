/** Patterns: what each wildcard takes, what nothing else means, and how long it takes. */
import { describe, expect, test } from 'vitest';
import {
  hasWildcard,
  isPattern,
  matcherOf,
  matchesAny,
  toPattern,
  toPatterns,
} from '../../src/records/pattern.ts';
import { refusalOf } from '../harness/failure.ts';

const table: [pattern: string, matches: string[], others: string[]][] = [
  ['hello', ['hello'], ['hello2', 'ahello', 'Hello', 'hello/a', 'a/hello']],
  ['*', ['a', 'hello.tar.gz'], ['a/b', 'a/b/c']],
  ['**', ['a', 'a/b', 'a/b/c/d'], []],
  ['***', ['a', 'a/b', 'a/b/c/d'], []],
  ['?', ['a', '0'], ['ab', 'a/b', '']],
  ['*.deb', ['a.deb', '.deb', 'a.deb.deb'], ['a.debx', 'a/b.deb', 'adeb']],
  ['**.deb', ['a.deb', 'a/b.deb', 'a/b/c.deb'], ['a.deb/b']],
  ['dist/*', ['dist/a', 'dist/a.b'], ['dist', 'dist2/a', 'dist/a/b', 'a/dist/b']],
  ['dist/**', ['dist/a', 'dist/a/b/c'], ['dist', 'dist2/a', 'a/dist/b']],
  ['dist/**/x', ['dist/a/x', 'dist/a/b/x'], ['dist/x', 'dist/a/xy', 'dist/x/a']],
  ['**/x', ['a/x', 'a/b/x'], ['x', 'a/xx']],
  ['a*b*c', ['abc', 'aXbYc', 'abbcbc'], ['ab', 'acb', 'a/bc', 'abcd']],
  ['a**b*c', ['a/x/bc', 'abc', 'a/b/bc', 'ab/bXc'], ['a/b/c', 'abb/c']],
  ['*/**/*', ['a/b/c', 'a/b/c/d'], ['a', 'a/b']],
  ['*/b/**c*', ['a/b/c', 'a/b/x/cx', 'x/b/ccc'], ['a/a/b/c', 'a/b/c/x']],
  ['a?c', ['abc', 'aac', 'a?c'], ['ac', 'a/c', 'abbc']],
  ['?*', ['a', 'ab'], ['', 'a/b', '/']],
  ['*?', ['a', 'ab'], ['']],
  ['a.c', ['a.c'], ['abc']],
  ['a+', ['a+'], ['aa', 'a']],
  ['*+*', ['a+b', '+'], ['ab']],
  ['a**', ['a', 'ab', 'a/b'], ['b', 'ba']],
];

describe.each(table)('%s', (pattern, matches, others) => {
  test.each(matches)('matches %s', (name) => expect(matchesAny([pattern], name)).toBe(true));
  test.each(others)('does not match %j', (name) => expect(matchesAny([pattern], name)).toBe(false));
});

test('one of several is enough, none of none is', () => {
  expect(matchesAny(['*.deb', 'doc/**'], 'doc/a/b')).toBe(true);
  expect(matchesAny(['*.deb', 'doc/**'], 'src/a')).toBe(false);
  expect(matchesAny([], 'a')).toBe(false);
});

describe('what is a pattern', () => {
  test.each(['**', 'hello', 'dist/**', '*.tar.?z', '-*', '.*', 'a/../*', 'x'.repeat(251)])('%s', (text) => {
    expect(isPattern(text)).toBe(true);
    expect(toPattern(text, 'here')).toBe(text);
  });

  // A plain name that no artifact can have could never be there; brackets and braces mean nothing here.
  test.each([
    '',
    '../x',
    '/a',
    'a/',
    'a.asc',
    'CON',
    '[a-z]*',
    '{a,b}',
    '!a*',
    'a *',
    'é*',
    'a\n*',
    '\\*',
    '*'.repeat(256),
  ])('not %j', (text) => {
    expect(isPattern(text)).toBe(false);
    expect(refusalOf(() => toPattern(text, 'here')).message).toMatch(/^here: not a pattern/);
  });

  test('a name without wildcards asks for a file', () => {
    expect([hasWildcard('a/b.c'), hasWildcard('a*'), hasWildcard('a?')]).toEqual([false, true, true]);
  });
});

describe('a list of patterns', () => {
  test('is one of 1 to 64, those with wildcards of at most 1,024 characters together', () => {
    const plain = Array.from({ length: 55 }, (_, at) => `${'x'.repeat(200)}${at}`);
    const wild = Array.from({ length: 4 }, () => `${'x'.repeat(254)}*`);
    expect(toPatterns([...wild, '****', ...plain], 'here')).toHaveLength(60);
    for (const list of [[...wild, '*****'], [...plain, ...plain], []])
      expect(refusalOf(() => toPatterns(list, 'here')).message).toMatch(/^here: /);
  });

  test('matches what one of its patterns matches, however they stand', () => {
    const names = table.flatMap(([, matches]) => matches);
    const patterns = table
      .map(([pattern]) => pattern)
      .filter((pattern) => !/^\*\*|^[*?]$|^\?\*$|^\*\?$/.test(pattern));
    for (const list of [patterns, patterns.toReversed()]) {
      const matches = matcherOf(list);
      for (const name of names) expect(matches(name), name).toBe(list.some((one) => matchesAny([one], name)));
      expect(matches('nothing/of/this/kind')).toBe(true); // */**/*
    }
    expect(matcherOf(['a*', 'b?'])('ab')).toBe(true);
    expect(matcherOf(['a', 'b?'])('ab')).toBe(false);
    expect(matcherOf(['a*', 'b?'])('a*b?')).toBe(true);
    expect(matcherOf(['x?', 'y'])('xa\u{1f600}y')).toBe(false);
  });
});

test.each([
  '*a'.repeat(127),
  '**a'.repeat(85),
  '*?'.repeat(127),
  `${'*'.repeat(254)}b`,
  `${'**?'.repeat(84)}b`,
  '*'.repeat(255),
])('no list of patterns is slow: four times %s', (pattern) => {
  const started = performance.now();
  const matches = matcherOf(Array<string>(4).fill(pattern));
  // A hundred thousand names are a matter of seconds; one place at a time it would be minutes, with backtracking for ever.
  for (let round = 0; round < 10_000; round++) matches('a'.repeat(255));
  expect(performance.now() - started).toBeLessThan(5000);
});
