/** Signed notes: the example of the specification, keys in the forms that Go's note uses, and bad notes. */
import { describe, expect, test } from 'vitest';
import {
  generateNoteKey,
  openNote,
  parseSignerKey,
  parseVerifierKey,
  signNote,
} from '../../src/tlog/note.ts';
import { refusalOf } from '../harness/failure.ts';
import { textOf } from '../harness/json.ts';
import { ownVector } from '../harness/vectors.ts';

const vkey = textOf(ownVector('signed-note.json'), 'verifier');
const note = textOf(ownVector('signed-note.json'), 'note');
const key = parseVerifierKey(vkey);

const EM_DASH = '\u2014';
const text = 'example.org/log\n1\nhello\n';
const { signer: secret, verifier } = generateNoteKey('example.org/log');
const signer = parseSignerKey(secret);
const signed = signNote(text, signer);
const invalid = (bad: string | Buffer, with_ = signer.verifier) => {
  const error = refusalOf(() => openNote(bad, with_));
  expect(error.code).toBe('note-invalid');
  return error.message;
};

describe('the example of C2SP signed-note', () => {
  test('verifies', () => {
    expect(openNote(note, key)).toBe('This is an example message.\n');
    expect(openNote(Buffer.from(note), key)).toBe('This is an example message.\n');
    expect([key.name, key.id.toString('hex'), key.text]).toEqual(['example.com/foo', '530d903a', vkey]);
  });

  test('does not with a letter changed', () => {
    expect(invalid(note.replace('an', 'no'), key)).toContain('the signature of example.com/foo is wrong');
  });
});

describe('keys', () => {
  test('come in pairs, in one text form each', () => {
    expect(secret).toMatch(/^PRIVATE\+KEY\+example\.org\/log\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}$/);
    expect(signer.verifier).toEqual(parseVerifierKey(verifier));
    expect(signer.name).toBe('example.org/log');
    expect(openNote(signed, parseVerifierKey(verifier))).toBe(text);
  });

  test('of golang.org/x/mod/sumdb/note: its example', () => {
    const go = parseSignerKey(
      'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz',
    );
    expect(go.verifier.text).toBe('PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW');
    const message =
      "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    expect(signNote(message, go)).toBe(
      `${message}\n${EM_DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`,
    );
  });

  test.each([
    '',
    'example.com/foo',
    vkey.slice(0, -1),
    `${vkey}=`,
    `${vkey}\n`,
    ` ${vkey}`,
    vkey.replace('foo', 'bar'),
    vkey.replace('530d903a', '530D903A'),
    vkey.replace('530d903a', '530d903b'),
    vkey.replace('+AekyeR', '+BekyeR'),
    vkey.replace('+Ae', '+ Ae'),
    vkey.replace('example.com/foo', ''),
    vkey.replace('/foo', '\u00a0foo'),
    'example.com/foo+530d903a+AQ==',
  ])('not a verifier key: %j', (bad) => {
    expect(refusalOf(() => parseVerifierKey(bad)).code).toBe('note-key-malformed');
  });

  test.each([
    verifier,
    secret.replace('PRIVATE+KEY+', ''),
    secret.slice(0, -4),
    secret.replace('/log', '/other'),
    `${secret}\n`,
  ])('not a private key, and not repeated', (bad) => {
    const error = refusalOf(() => parseSignerKey(bad));
    expect(error.code).toBe('note-key-malformed');
    expect(error.message).not.toContain(bad.slice(-40, -5));
  });

  test.each(['', 'a b', 'a+b', 'a\n', 'a\u2003b', '\ud800'])('no key has the name %j', (name) => {
    expect(() => generateNoteKey(name)).toThrow(RangeError);
  });
});

describe('what a note may hold', () => {
  test('empty lines, other alphabets, what looks like a signature', () => {
    for (const body of [
      '\n',
      'a\n\nb\n',
      'Ognuno sta solo\n\ned è subito sera.\n',
      `${EM_DASH} a b\n`,
      `a\n\n${EM_DASH} a b\n`,
    ])
      expect(openNote(signNote(body, signer), signer.verifier)).toBe(body);
  });

  test('signatures of others, before and after, also by our name or our id alone', () => {
    const other = parseSignerKey(generateNoteKey('witness.example').signer);
    const namesake = parseSignerKey(generateNoteKey('example.org/log').signer);
    const lineOf = (whole: string) => whole.slice(text.length + 1);
    const sameId = Buffer.concat([signer.verifier.id, Buffer.alloc(64)]).toString('base64');
    const lines = [
      lineOf(signNote(text, other)),
      lineOf(signNote(text, namesake)),
      `${EM_DASH} someone.example ${sameId}\n`,
      `${EM_DASH} cosigner.example ${Buffer.alloc(5000, 1).toString('base64')}\n`,
    ];
    expect(openNote(`${text}\n${lines.join('')}${lineOf(signed)}`, signer.verifier)).toBe(text);
    expect(openNote(signed + lines.join(''), signer.verifier)).toBe(text);
    expect(openNote(signed + lineOf(signed), signer.verifier)).toBe(text);
    expect(invalid(`${text}\n${lines.join('')}`)).toContain('not signed by example.org/log');
    // A line of ours that does not verify spoils the note, however many do.
    const wrong = `${EM_DASH} ${signer.name} ${sameId}\n`;
    expect(invalid(signed + wrong)).toContain('the signature of example.org/log is wrong');
    expect(invalid(`${text}\n${wrong}${lineOf(signed)}`)).toContain(
      'the signature of example.org/log is wrong',
    );
  });

  test('at least 16 signatures, at most 100', () => {
    const line = `${EM_DASH} w.example ${Buffer.alloc(5000, 1).toString('base64')}\n`;
    expect(openNote(signed + line.repeat(16), signer.verifier)).toBe(text);
    const short = `${EM_DASH} w.example ${Buffer.alloc(5).toString('base64')}\n`;
    expect(openNote(signed + short.repeat(99), signer.verifier)).toBe(text);
    expect(invalid(signed + short.repeat(100))).toContain('more than 100 signatures');
    expect(invalid(signed + line.repeat(60))).toContain('more than 262144 bytes');
  });
});

test.each([
  ['nothing', ''],
  ['the text alone', text],
  ['the text and an empty line', `${text}\n`],
  ['no empty line', signed.replace('\n\n', '\n')],
  ['no newline at the end', signed.slice(0, -1)],
  ['a newline more', `${signed}\n`],
  ['text behind the signatures', `${signed}hello\n`],
  ['another dash', signed.replace(EM_DASH, '-')],
  ['two spaces', signed.replace(`${EM_DASH} `, `${EM_DASH}  `)],
  ['base64 with junk', signed.replace(/=?\n$/, '!\n')],
  ['a short signature', `${text}\n${EM_DASH} ${signer.name} ${signer.verifier.id.toString('base64')}\n`],
  ['carriage returns', signed.replaceAll('\n', '\r\n')],
  ['a NUL', signed.replace('hello', 'hel\0lo')],
  ['a tab', signed.replace('hello', 'hel\tlo')],
  ['another text', signed.replace('hello', 'hallo')],
  ['invalid UTF-8', Buffer.concat([Buffer.from([0xff]), Buffer.from(signed)])],
  ['byte order mark', `\ufeff${signed}`],
])('a bad note: %s', (_, bad) => {
  invalid(bad);
});

test('no note is made of what is not lines', () => {
  for (const bad of ['', 'a', 'a\r\n', 'a\0\n', '\ud800\n'])
    expect(() => signNote(bad, signer)).toThrow(RangeError);
});
