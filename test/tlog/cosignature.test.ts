/** Cosignatures by the letter of C2SP tlog-cosignature: what is signed, who is counted, what is merged. */
import { createPublicKey, verify } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  cosign,
  cosignaturesOf,
  generateWitnessKey,
  mergeCosignatures,
  parseWitnessKey,
  parseWitnessSigner,
} from '../../src/tlog/cosignature.ts';
import {
  generateNoteKey,
  openNote,
  parseSignerKey,
  parseVerifierKey,
  signNote,
  signatureLine,
} from '../../src/tlog/note.ts';
import { refusalOf } from '../harness/failure.ts';

const [one, other, stranger] = ['example.org/one', 'example.org/other', 'example.org/one'].map((name) =>
  parseWitnessSigner(generateWitnessKey(name).signer),
);
if (!one || !other || !stranger) throw new Error('three witnesses');
const keys = [one.verifier, other.verifier];
const log = parseSignerKey(generateNoteKey('example.com/behind-the-sofa').signer);
/** The specification's. */
const text = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n';
const note = signNote(text, log);
const times = (some: string): (readonly [string, number])[] =>
  cosignaturesOf(some, keys).map(({ key, time }) => [key.name, time]);

test('the message is that of the specification, as another Ed25519 sees it', () => {
  const line = cosign(text, one, 1_679_315_147);
  const [, name = '', encoded = ''] = /^— (\S+) (\S+)\n$/.exec(line) ?? [];
  const bytes = Buffer.from(encoded, 'base64');
  expect(name).toBe('example.org/one');
  expect(bytes.subarray(0, 4)).toEqual(one.verifier.id);
  expect(bytes.subarray(4, 12).toString('hex')).toBe('00000000641850cb');
  const key = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: one.verifier.publicKey.toString('base64url') },
    format: 'jwk',
  });
  const message = Buffer.from(`cosignature/v1\ntime 1679315147\n${text}`);
  expect(verify(null, message, key, bytes.subarray(12))).toBe(true);
});

describe('keys', () => {
  test('of a witness and of a log are not taken for each other', () => {
    const [witness, ofLog] = [generateWitnessKey('example.org/w'), generateNoteKey('example.org/w')];
    expect(parseWitnessKey(witness.verifier).text).toBe(witness.verifier);
    expect(refusalOf(() => parseWitnessKey(ofLog.verifier)).code).toBe('note-key-malformed');
    expect(refusalOf(() => parseVerifierKey(witness.verifier)).code).toBe('note-key-malformed');
    expect(refusalOf(() => parseWitnessSigner(ofLog.signer)).code).toBe('note-key-malformed');
    expect(refusalOf(() => parseSignerKey(witness.signer)).code).toBe('note-key-malformed');
  });
});

describe('counted', () => {
  test('is each witness once, with its newest, in the order of the keys', () => {
    const many = note + cosign(text, other, 30) + cosign(text, one, 20) + cosign(text, one, 40);
    expect(times(many)).toEqual([
      ['example.org/one', 40],
      ['example.org/other', 30],
    ]);
    expect(times(note)).toEqual([]);
  });

  test('is no stranger, also of the same name', () => {
    expect(times(note + cosign(text, stranger, 10))).toEqual([]);
    expect(openNote(note + cosign(text, stranger, 10), log.verifier)).toBe(text);
  });

  test('the signature of the log is none, nor is one of another text or another time', () => {
    expect(times(note)).toEqual([]);
    const bad = (line: string): string => refusalOf(() => cosignaturesOf(note + line, keys)).code;
    expect(bad(cosign(text.replace('20852163', '20852164'), one, 10))).toBe('note-invalid');
    const late = Buffer.from(cosign(text, one, 10).split(' ')[2] ?? '', 'base64').subarray(4);
    late.writeBigUInt64BE(11n);
    expect(bad(signatureLine(one.verifier, late))).toBe('note-invalid');
    // of the other witness, under this one's name
    const others = Buffer.from(cosign(text, other, 10).split(' ')[2] ?? '', 'base64').subarray(4);
    expect(bad(signatureLine(one.verifier, others))).toBe('note-invalid');
    // a good one beside it does not help
    expect(bad(cosign(text, one, 10) + signatureLine(one.verifier, others))).toBe('note-invalid');
  });

  test.each([0n, 2n ** 63n, 2n ** 64n - 1n])('the time %d is none', (time) => {
    const stamp = Buffer.alloc(8);
    stamp.writeBigUInt64BE(time);
    const message = Buffer.from(`cosignature/v1\ntime ${time}\n${text}`);
    const line = signatureLine(one.verifier, Buffer.concat([stamp, one.sign(message)]));
    expect(refusalOf(() => cosignaturesOf(note + line, keys)).code).toBe('note-invalid');
  });

  test('bytes that are too few or too many are none', () => {
    const whole = Buffer.from(cosign(text, one, 10).split(' ')[2] ?? '', 'base64').subarray(4);
    for (const bytes of [whole.subarray(0, 8), whole.subarray(0, 71), Buffer.concat([whole, Buffer.of(0)])]) {
      const line = signatureLine(one.verifier, bytes);
      expect(refusalOf(() => cosignaturesOf(note + line, keys)).code).toBe('note-invalid');
    }
  });
});

describe('merged', () => {
  test('is the newest of each witness, whatever the order; and strangers go', () => {
    const [first, second] = [cosign(text, one, 10), cosign(text, one, 20)];
    const ofOther = cosign(text, other, 15);
    const both = note + second + ofOther;
    for (const notes of [
      [note + first, note + second + ofOther],
      [note + second, note + ofOther + first],
      [note + ofOther, note + first, note + second],
    ]) {
      const [head = '', ...rest] = notes;
      expect(mergeCosignatures([head, ...rest], log.verifier, keys)).toBe(both);
    }
    expect(mergeCosignatures([note + cosign(text, stranger, 5)], log.verifier, keys)).toBe(note);
  });

  test('a false one is not carried on', () => {
    const wrong = note + cosign(text.replace('2', '3'), one, 10);
    expect(refusalOf(() => mergeCosignatures([note, wrong], log.verifier, keys)).code).toBe('note-invalid');
  });

  test('nor are those of another text', () => {
    const otherText = signNote(text.replace('20852163', '20852164'), log);
    expect(() => mergeCosignatures([note, otherText], log.verifier, keys)).toThrow(RangeError);
  });
});
