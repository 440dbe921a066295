/**
 * Attack family "encoding": bytes that two parsers could read as two things, thrown at every parser of a
 * JSON record. The good examples beside them show that the parsers take something.
 */
import { describe, expect, test } from 'vitest';
import { parseSignaturesList } from '../../src/records/signatures-list.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodingsOf, junkBase64 } from '../harness/encodings.ts';
import { refusalOf } from '../harness/failure.ts';
import { records } from './samples.ts';

describe.each(records)('$name', ({ bytes, parse, again }) => {
  test('the example is taken, and encoded again is the same bytes', () => {
    expect(again(bytes)).toEqual(bytes);
  });

  test.each([...encodingsOf(bytes)])('%s', (_, input) => {
    expect(input).not.toEqual(bytes);
    expect(refusalOf(() => parse(input)).message).toMatch(/^[ -~]+$/);
  });
});

/** Fields that hold base64: junk in them is refused, although Node would skip it. */
const base64 = [
  ['approval', 'certificate', '=='],
  ['ticket', 'secretKey', '=='],
  ['ticket', 'uploadToken', ''],
  ['ticket of scheme mac', 'nonce', ''],
  ['ticket of scheme enrol', 'nonce', ''],
  ['ticket of scheme enrol', 'secretKey', '=='],
  ['approval with nonces', 'sealedNonce', '=='],
  ['enrolment', 'certificate', '=='],
  ['envelope', 'payload', '=='],
  ['envelope', 'sig', '=='],
] as const;

describe.each(base64)('base64 of %s, %s', (name, field, padding) => {
  const record = records.find((candidate) => candidate.name === name);
  if (record === undefined) throw new Error(`no record ${name}`);
  const place = new RegExp(`(?<="${field}":")[^"]*`);
  const text = record.bytes.toString();
  const value = place.exec(text)?.[0] ?? '';

  test.each([...junkBase64(value, padding)])('%s', (what, junk) => {
    if (field === 'payload' && what === 'nothing') return;
    const hostile = Buffer.from(text.replace(place, junk));
    expect(hostile).not.toEqual(record.bytes);
    expect(refusalOf(() => record.parse(hostile)).message).toContain(field);
  });
});

const line = (name: string) => `${sha256Hex(name)}  ${name}\n`;

describe('signatures.list', () => {
  const good = `${sha256Hex('1')}  SHA256SUMS.asc\n${sha256Hex('2')}  a/b+c.deb.asc\n${sha256Hex('3')}  hello.asc\n`;
  const hostile: Record<string, string | Buffer> = {
    nothing: '',
    'no newline at the end': good.slice(0, -1),
    'an empty line': `${good}\n`,
    'no checksum file': line('a.asc'),
    'a line twice': good + line('hello.asc'),
    'not in order': line('b.asc') + good,
    'one space': good.replaceAll('  ', ' '),
    'binary mode of sha256sum': good.replaceAll('  ', ' *'),
    'carriage returns': good.replaceAll('\n', '\r\n'),
    'upper-case hex': good.replace(/^[0-9a-f]*/, (hex) => hex.toUpperCase()),
    'byte order mark': `\ufeff${good}`,
    'an escaped name': `\\${good}`,
    'no signature': good + line('hello2'),
    'a signature of a signature': good + line('hello.asc.asc'),
    'out of the directory': line('../x.asc') + good,
    'a control character': good + line('i\x1b[2Jx.asc'),
    'invalid UTF-8': Buffer.concat([
      Buffer.from(good),
      Buffer.from(sha256Hex('4')),
      Buffer.from([32, 32, 0xff]),
    ]),
  };

  test('the good one is taken', () => {
    expect([...parseSignaturesList(Buffer.from(good)).keys()]).toEqual([
      'SHA256SUMS.asc',
      'a/b+c.deb.asc',
      'hello.asc',
    ]);
  });

  test.each(Object.entries(hostile))('%s', (_, bytes) => {
    refusalOf(() => parseSignaturesList(Buffer.from(bytes)));
  });
});
