/** Log proofs that are nearly right, and odd ones that are: the forms that C2SP tlog-proof and its readers leave room for. */
import { describe, expect, test } from 'vitest';
import { formatCheckpoint } from '../../src/tlog/checkpoint.ts';
import { cosign, generateWitnessKey, parseWitnessSigner } from '../../src/tlog/cosignature.ts';
import { leafHash, treeOf } from '../../src/tlog/merkle.ts';
import { generateNoteKey, parseSignerKey, signatureLine, signNote } from '../../src/tlog/note.ts';
import { formatProof, parseProof, verifyProof } from '../../src/tlog/proof.ts';
import { refusalOf } from '../harness/failure.ts';

const origin = 'example.org/log';
const log = parseSignerKey(generateNoteKey(origin).signer);
const witness = parseWitnessSigner(generateWitnessKey('witness.example.org/w1').signer);
const trust = { origin, key: log.verifier, witnesses: [witness.verifier], quorum: 1 };

const leaf = Buffer.from('c');
const tree = treeOf(['a', 'b', 'c', 'd', 'e'].map((each) => leafHash(Buffer.from(each))));
const noteText = formatCheckpoint({ origin, size: 5, root: tree.root() });
const cosignature = cosign(noteText, witness, 1_800_000_000);
const signed = signNote(noteText, log);
const checkpoint = signed + cosignature;
const text = formatProof({ extra: leaf, index: 2, hashes: tree.inclusionProof(2), checkpoint }).toString();
const hash = leafHash(Buffer.from('d')).toString('base64');

const verify = (proof: string) => verifyProof(parseProof(Buffer.from(proof)), leaf, trust);
/** The line of a key of another kind, of as many bytes. */
const foreign = (name: string, bytes: number): string =>
  signatureLine({ ...log.verifier, name, id: Buffer.of(1, 2, 3, 4) }, Buffer.alloc(bytes, 7));

test('good as it is: the rows below change one thing each', () => {
  expect(text).toContain(`index 2\n${hash}\n`);
  expect(verify(text)).toMatchObject({ checkpoint: { size: 5 }, cosignatures: [{ time: 1_800_000_000 }] });
});

describe('legal and odd', () => {
  test.each([
    ['an RFC 6962 signature by the same name, as static-ct-api has it', foreign(origin, 78)],
    ['a cosignature of ML-DSA-44', foreign('witness.example.org/w1', 8 + 2420)],
    ['a witness whose name has other letters', foreign('zeuge.example/größe', 72)],
    ['a signature of one byte', foreign('short.example', 1)],
    ['the same line of the log again', signed.slice(noteText.length + 1)],
    ['the same cosignature again', cosignature],
    ['an older cosignature by the same witness', cosign(noteText, witness, 1_700_000_000)],
    ['as many lines as a note may have', foreign('many.example', 64).repeat(98)],
  ])('%s', (_, line) => {
    const proven = verify(text + line);
    expect(proven.cosignatures).toMatchObject([{ key: { name: witness.name }, time: 1_800_000_000 }]);
  });

  test('the checkpoint signed after it was cosigned', () => {
    const turned = `${noteText}\n${cosignature}${signed.slice(noteText.length + 1)}`;
    expect(verify(text.replace(checkpoint, turned)).cosignatures).toHaveLength(1);
  });
});

test.each([
  ['the header alone', text.slice(0, text.indexOf('\n') + 1)],
  ['a header with a space behind', text.replace('@v1\n', '@v1 \n')],
  ['a header of an address', text.replace('c2sp.org', 'https://c2sp.org')],
  ['a minor version', text.replace('@v1\n', '@v1.0.0\n')],
  ['two headers', text.replace('@v1\n', '@v1\nc2sp.org/tlog-proof@v1\n')],
  ['an empty line below the header', text.replace('@v1\n', '@v1\n\n')],
  ['extra with two spaces', text.replace('extra ', 'extra  ')],
  ['extra with a tab', text.replace('extra ', 'extra\t')],
  ['extra in base64url', text.replace('extra Yw==', 'extra _-8=')],
  ['extra behind the hashes', text.replace(/(extra .*\n)([^]*?)\n\n/, '$2\n$1\n')],
  ['index twice', text.replace('index 2\n', 'index 2\nindex 2\n')],
  ['index in other digits', text.replace('index 2', 'index ٢')],
  ['index with a grouping mark', text.replace('index 2', 'index 1_000')],
  ['index with an exponent', text.replace('index 2', 'index 2e0')],
  ['a hash of 33 bytes', text.replace(hash, Buffer.alloc(33).toString('base64'))],
  ['a hash whose last bits are not zero', text.replace(hash, `${'A'.repeat(42)}B=`)],
  ['a hash without its padding', text.replace(hash, hash.slice(0, -1))],
  ['two hashes on a line', text.replace(hash, hash + hash)],
  ['a hash with a space in front', text.replace(hash, ` ${hash}`)],
  ['a comment', text.replace(hash, `# sibling\n${hash}`)],
  [
    'the example of the specification, which leaves parts out',
    text.replace(hash, `${hash.slice(0, 8)}[...]`),
  ],
])('malformed: %s', (_, bad) => {
  expect(bad).not.toBe(text);
  expect(refusalOf(() => parseProof(Buffer.from(bad))).code).toBe('proof-malformed');
});

test.each([
  ['an empty line between the hashes', text.replace(hash, `${hash}\n`)],
  ['two empty lines above the checkpoint', text.replace(`\n\n${origin}`, `\n\n\n${origin}`)],
  ['nothing where the checkpoint should be', text.slice(0, text.indexOf(`\n\n${origin}`) + 2)],
  ['no newline at its end', text.slice(0, -1)],
  ['a line behind the signatures', `${text}bye\n`],
  ['an empty line behind the signatures', `${text}\n`],
  ['carriage returns in the checkpoint', text.replace(noteText, noteText.replaceAll('\n', '\r\n'))],
  ['a size with a zero in front', text.replace('\n5\n', '\n05\n')],
  ['an extension line, not signed', text.replace(noteText, `${noteText}more\n`)],
  [
    'an extension line, signed',
    text.replace(checkpoint, signNote(`${noteText}more\n`, log) + cosign(`${noteText}more\n`, witness, 1)),
  ],
  ['a hyphen for the dash', text.replaceAll('— ', '- ')],
  ['a signature cut off', text.replace(/(— \S+ \S{40})\S+/, '$1')],
  [
    'a cosignature of another checkpoint',
    text.replace(cosignature, cosign(`${origin}\n`, witness, 1_800_000_000)),
  ],
  ['more lines than a note may have', text + foreign('many.example', 64).repeat(99)],
])('invalid: %s', (_, bad) => {
  expect(bad).not.toBe(text);
  expect(refusalOf(() => verify(bad)).code).toBe('proof-invalid');
});

test('without the cosignature it is the witness that is missing', () => {
  expect(refusalOf(() => verify(text.replace(cosignature, ''))).code).toBe('witnesses-missing');
});
