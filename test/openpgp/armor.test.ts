import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeArmor, dearmorKey, encodeArmor } from '../../src/openpgp/armor.ts';

const block = encodeArmor('PGP SIGNATURE', Buffer.from('eighteen octets, 3 a group, and some more of them'));
const decode = (text: string): Buffer => decodeArmor(Buffer.from(text, 'latin1'), 'PGP SIGNATURE');
const withHeaders = (headers: string): string => block.replace('-----\n\n', `-----\n${headers}\n\n`);

test('what is written is read back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 500 }), (array) => {
      const bytes = Buffer.from(array);
      expect(decode(encodeArmor('PGP SIGNATURE', bytes))).toEqual(bytes);
    }),
  );
});

test('the checksum is the one of RFC 4880: that of the example in its section 6.6', () => {
  const example = [
    '-----BEGIN PGP SIGNATURE-----',
    '',
    'yDgBO22WxBHv7O8X7O/jygAEzol56iUKiXmV+XmpCtmpqQUKiQrFqclFqUDBovzS',
    'vBSFjNSiVHsuAA==',
    '=njUN',
    '-----END PGP SIGNATURE-----',
    '',
  ].join('\n');
  expect(encodeArmor('PGP SIGNATURE', decode(example))).toBe(example);
});

test.each([
  ['header lines that tools write', withHeaders('Version: GnuPG v2\nComment: https://example.org')],
  ['line ends of another system', block.replaceAll('\n', '\r\n')],
  ['no checksum', block.replace(/\n=.{4}\n/, '\n')],
  ['no line end at the end', block.trimEnd()],
])('accepted: %s', (_, text) => {
  expect(decode(text)).toEqual(decode(block));
});

test.each([
  ['text before it', `read this\n${block}`],
  ['text after it', `${block}read this\n`],
  ['an empty line before it', `\n${block}`],
  ['an empty line after it', `${block}\n`],
  ['the block twice', block + block],
  ['another label', block.replaceAll('SIGNATURE', 'PUBLIC KEY BLOCK')],
  ['another label at the end', block.replace('END PGP SIGNATURE', 'END PGP MESSAGE')],
  ['no empty line above the base64', block.replace('-----\n\n', '-----\n')],
  ['an unknown header', withHeaders('Subject: hello')],
  ['a header that is none', withHeaders('hello')],
  ['a wrong checksum', block.replace(/\n=(.)/, (_, first) => `\n=${first === 'A' ? 'B' : 'A'}`)],
  ['junk in the base64', block.replace('-----\n\n', '-----\n\n!!')],
  ['a space in the base64', block.replace('-----\n\n', '-----\n\n ')],
  ['padding in the middle', block.replace('-----\n\n', '-----\n\nAA==\n')],
  ['an empty block', '-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n'],
  ['nothing', ''],
])('refused: %s', (_, text) => {
  expect(() => decode(text)).toThrow(expect.objectContaining({ kind: 'refused', code: 'armor-malformed' }));
});

test('a key file is binary, or one block with blank space around it', () => {
  const binary = Buffer.from([0xc6, 1, 0]);
  expect(dearmorKey(binary)).toEqual(binary);
  expect(dearmorKey(Buffer.from(`\n${encodeArmor('PGP PUBLIC KEY BLOCK', binary)}\n\n`))).toEqual(binary);
  const problem = expect.objectContaining({ code: 'certificate-malformed' });
  expect(() => dearmorKey(Buffer.from(encodeArmor('PGP SIGNATURE', binary)))).toThrow(problem);
  expect(() => dearmorKey(Buffer.alloc(0))).toThrow(problem);
});
