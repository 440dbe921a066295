import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { alignColumns, bold, escapeText, formatSize, jsonLine, red, renderLine } from '../../src/cli/text.ts';

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

test('sizes are as people say them', () => {
  expect([0, 1, 1023, 1024, 1536, 300_000_000, 64 * 2 ** 30].map(formatSize)).toEqual([
    '0 B',
    '1 B',
    '1023 B',
    '1 KiB',
    '1.5 KiB',
    '286.1 MiB',
    '64 GiB',
  ]);
});
