import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  alignColumns,
  bold,
  escapeText,
  formatSize,
  jsonLine,
  red,
  renderLine,
  wrapParts,
} from '../../src/cli/text.ts';

describe('foreign text on a terminal', () => {
  test('stays one line and cannot move the cursor, colour, hide or reorder anything', () => {
    expect(escapeText('x\n[GNUPG:] GOODSIG 0')).toBe('x\\x0a[GNUPG:] GOODSIG 0');
    expect(escapeText('\u001b[2Jgone\r\u0007')).toBe('\\x1b[2Jgone\\x0d\\x07');
    expect(escapeText('safe\u202egpj.exe')).toBe('safe\\u{202e}gpj.exe');
    expect(escapeText('zero\u200bwidth \u0085 \ud800')).toBe('zero\\u{200b}width \\x85 \\u{d800}');
    expect(escapeText('grüße, 日本')).toBe('grüße, 日本');
  });

  test('whatever it is, what comes out is printable', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => !/\p{C}/u.test(assigned(escapeText(text)))),
    );
  });

  test('is cut when it is longer than anybody reads', () => {
    expect(escapeText('x'.repeat(1_000_000)).length).toBeLessThan(5_000);
  });

  test('cannot bring a style of its own, with or without colour', () => {
    expect(renderLine(['a', bold('b\u001b[31m')], true)).toBe('a\u001b[1mb\\x1b[31m\u001b[0m');
    expect(renderLine(['a', bold('b')], false)).toBe('ab');
  });

  test('never holds a ticket or a private key, also when somebody gave one as a file name', () => {
    const line = "no file 'countersign-ticket-v1.eyJhIjoxfQ' or PRIVATE+KEY+name+01234567+AQID";
    expect(escapeText(line)).toBe("no file 'countersign-ticket-v1.…' or PRIVATE+KEY+…");
    expect(jsonLine({ line })).not.toMatch(/eyJ|AQID/);
  });

  test('is ASCII in JSON, and the same text again when it is read', () => {
    const text = 'ü\u202e\u007f\ud83d\ude00\n';
    expect(jsonLine({ text })).toMatch(/^[\x20-\x7e]+$/);
    expect(JSON.parse(jsonLine({ text }))).toEqual({ text });
  });
});

/** Without the code points that nobody has given a character to yet: those are shown as they are. */
const assigned = (text: string): string => text.replace(/\p{Cn}|\p{Co}/gu, '');

test('columns are as wide as their widest cell, styles not counted', () => {
  const lines = alignColumns([
    ['a', red('refused'), 'why'],
    ['long', 'ok', 'because'],
  ]).map((parts) => renderLine(parts, false));
  expect(lines).toEqual(['a     refused  why', 'long  ok       because']);
});

describe('lines that are too long', () => {
  const lines = (parts: Parameters<typeof wrapParts>[0], width: number): string[] =>
    wrapParts(parts, width).map((line) => renderLine(line, false));

  test('are broken between words, styles kept, and nothing is lost', () => {
    expect(lines(['one ', bold('two three'), ' four'], 9)).toEqual(['one two ', 'three ', 'four']);
    expect(wrapParts([bold('two three')], 5)).toEqual([[bold('two ')], [bold('three')]]);
    expect(lines(['  indented'], 80)).toEqual(['  indented']);
    expect(lines([''], 80)).toEqual(['']);
  });

  test('are not broken between a number and what it counts', () => {
    expect(lines(['12 releases, 2 revocations'], 14)).toEqual(['12 releases, ', '2 revocations']);
    expect(lines(['sha256 of b2'], 9)).toEqual(['sha256 of ', 'b2']);
  });

  test('go on indented where they are told to', () => {
    const row = wrapParts(['one two three four'], 9, '  ').map((line) => renderLine(line, false).trimEnd());
    expect(row).toEqual(['one two', '  three', '  four']);
  });

  test('are not broken within a word, however long', () => {
    expect(lines(['see https://example.org/a/long/path now'], 10)).toEqual([
      'see ',
      'https://example.org/a/long/path ',
      'now',
    ]);
    expect(lines(['ab', bold('cd'), 'ef gh'], 3)).toEqual(['abcdef ', 'gh']);
  });

  test('in a table go on below their column, within 80 with an indent of two', () => {
    const words = Array.from({ length: 30 }, (_, i) => `word${i}`).join(' ');
    const table = alignColumns([
      ['label', words],
      ['', 'more'],
    ]).map((parts) => renderLine(parts, false));
    expect(table.length).toBeGreaterThan(3);
    for (const line of table) expect(line.trimEnd().length).toBeLessThanOrEqual(78);
    expect(table.slice(1).every((line) => /^ {7}\S/.test(line))).toBe(true);
    expect(table.map((line) => line.slice(7)).join('')).toBe(`${words}more`);
  });
});

test('sizes are as people say them', () => {
  expect([0, 1, 1023, 1024, 1536, 300_000_000, 300.01 * 2 ** 20, 64 * 2 ** 30].map(formatSize)).toEqual([
    '0 B',
    '1 B',
    '1023 B',
    '1 KiB',
    '1.5 KiB',
    '286.1 MiB',
    '300 MiB',
    '64 GiB',
  ]);
});
