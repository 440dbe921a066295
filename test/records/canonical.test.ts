/** Canonical JSON: the public vectors of RFC 8785, and what its writer refuses to write. */
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { canonicalize, encodeCanonical, parseCanonical } from '../../src/records/canonical.ts';
import { refusalOf } from '../harness/failure.ts';
import { readJson } from '../harness/json.ts';
import { filesBelow, sharedVectors } from '../harness/vectors.ts';

const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
const limits = { maxBytes: 1024 * 1024, what: 'test' };
const parse = (text: string) => parseCanonical(Buffer.from(text), limits);
const problem = (text: string) => refusalOf(() => parse(text)).message;

const jcs = sharedVectors('jcs', 6);

describe.skipIf(jcs.skipped)('cyberphone/json-canonicalization', () => {
  test.each(filesBelow(join(jcs.directory, 'input')).map((path) => basename(path)))('%s', (name) => {
    const input = readFileSync(join(jcs.directory, 'input', name), 'utf8');
    const output = readFileSync(join(jcs.directory, 'output', name));
    const value = readJson(input);
    expect(encodeCanonical(value)).toEqual(output);
    expect(parseCanonical(output, limits)).toEqual(value);
    // Each input is the same value in another form, so it is refused: but one that is canonical already.
    if (!output.equals(Buffer.from(input)))
      expect(problem(input)).toBe('test: not in canonical form (RFC 8785)');
  });
});

describe('the writer', () => {
  test('sorts keys by UTF-16 code units, numbers among them, and keeps __proto__', () => {
    const text = '{"10":1,"9":2,"__proto__":3,"a":4,"é":5,"😀":6,"\ufb33":7}';
    expect(canonicalize(parse(text))).toBe(text);
  });

  test('writes numbers as ECMAScript does', () => {
    expect(canonicalize([0, -0, 1e21, 1e-7, 0.1, -5, 2 ** 53])).toBe(
      '[0,0,1e+21,1e-7,0.1,-5,9007199254740992]',
    );
  });

  test('writes no Infinity, no NaN, no lone surrogate', () => {
    for (const value of [Infinity, NaN, [-Infinity], '\ud800', { '\udc00': 1 }, 'a\ude00b'])
      expect(() => canonicalize(value)).toThrow(RangeError);
    expect(canonicalize('😀')).toBe('"😀"');
  });
});

describe('the reader', () => {
  test.each(['{}', '[]', 'null', '"\\u0000\\b\\t\\n\\f\\r\\u001f\u007f"', '{"":{"":[[],{}]}}', '"\\\\\\""'])(
    'takes %s',
    (text) => expect(canonicalize(parse(text))).toBe(text),
  );

  test.each([
    '',
    ' {}',
    '{} ',
    '{}\n',
    '{"b":1,"a":2}',
    '[1.0]',
    '[1E3]',
    '[-0]',
    '"\\u0041"',
    '"\\/"',
    '{"a": 1}',
  ])('refuses %j', (text) => expect(problem(text)).toMatch(/not JSON|not in canonical form/));

  test('counts levels outside strings only, and stops at 32', () => {
    expect(canonicalize(parse(nested(32)))).toBe(nested(32));
    expect(problem(nested(33))).toBe('test: nested deeper than 32 levels');
    const text = JSON.stringify(['['.repeat(100), '\\"[{"'.repeat(20), '\\'.repeat(41)]);
    expect(canonicalize(parse(text))).toBe(text);
    // What is no JSON may confuse the count, but nothing recursive sees it.
    expect(problem('"unended \\'.repeat(3) + '['.repeat(20))).toBe('test: not JSON');
    expect(problem(']]]]' + '['.repeat(200_000))).toBe('test: nested deeper than 32 levels');
  });

  test('looks at no more bytes than it may', () => {
    const error = refusalOf(() => parseCanonical(Buffer.from('"1234"'), { maxBytes: 5, what: 'test' }));
    expect(error.code).toBe('record-too-large');
    expect(parseCanonical(Buffer.from('"123"'), { maxBytes: 5, what: 'test' })).toBe('123');
  });
});
