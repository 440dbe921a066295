/** Checkpoints of public logs, cosigned by public witnesses, as test/vectors has them. */
import { expect, test } from 'vitest';
import { parseCheckpoint } from '../../src/tlog/checkpoint.ts';
import { cosignaturesOf, parseWitnessKey } from '../../src/tlog/cosignature.ts';
import { openNote, parseVerifierKey, splitNote } from '../../src/tlog/note.ts';
import { formatProof, parseProof, unwitnessed, verifyProof } from '../../src/tlog/proof.ts';
import { refusalOf } from '../harness/failure.ts';
import { ownVector } from '../harness/vectors.ts';

interface Public {
  readonly source: string;
  readonly origin: string;
  readonly size: number;
  readonly note: string;
  /** Of the log; missing where it is not known. */
  readonly key?: string;
  readonly witnesses?: readonly string[];
  /** When they cosigned, in seconds since 1970. */
  readonly time?: number;
  readonly entry?: { readonly index: number; readonly leaf: string; readonly hashes: readonly string[] };
}

const all = JSON.parse(ownVector('checkpoints.json')) as readonly Public[];
const bytes = (text: string): Buffer => Buffer.from(text, 'base64');
/** The same note, of one entry more. */
const changed = ({ note, size }: Public): string => note.replace(`\n${size}\n`, `\n${size + 1}\n`);

test.each(all)('$origin is a checkpoint', ({ origin, size, note }) => {
  expect(parseCheckpoint(splitNote(note).text)).toMatchObject({ origin, size, extensions: [] });
});

test.each(all.filter(({ key }) => key !== undefined))('$origin is signed by its log', (log) => {
  const key = parseVerifierKey(log.key ?? '');
  expect(openNote(log.note, key)).toBe(splitNote(log.note).text);
  expect(refusalOf(() => openNote(changed(log), key)).code).toBe('note-invalid');
});

test.each(all.filter(({ witnesses }) => witnesses !== undefined))('$origin is cosigned', (log) => {
  const keys = (log.witnesses ?? []).map(parseWitnessKey);
  expect(cosignaturesOf(log.note, keys)).toEqual(keys.map((key) => ({ key, time: log.time })));
  for (const key of keys)
    expect(refusalOf(() => cosignaturesOf(changed(log), [key])).code).toBe('note-invalid');
});

test.each(all.filter(({ entry }) => entry !== undefined))('$origin is what an entry is proven by', (log) => {
  const { index = 0, leaf = '', hashes = [] } = log.entry ?? {};
  const trust = unwitnessed({ origin: log.origin, key: parseVerifierKey(log.key ?? '') });
  const proof = { extra: bytes(leaf), index, hashes: hashes.map(bytes), checkpoint: log.note };
  expect(verifyProof(parseProof(formatProof(proof)), bytes(leaf), trust).checkpoint.size).toBe(log.size);
  const other = { ...proof, index: index - 1 };
  expect(refusalOf(() => verifyProof(other, bytes(leaf), trust)).code).toBe('proof-invalid');
});

test('the example of C2SP tlog-cosignature says in its bytes when it was cosigned, as in its text', () => {
  const { note } = all.find(({ origin }) => origin === 'example.com/behind-the-sofa') ?? { note: '' };
  const [log, witness] = splitNote(note).signatures;
  expect([log?.name, witness?.name]).toEqual(['example.com/behind-the-sofa', 'witness.example.com/w1']);
  expect([log?.signature.length, witness?.signature.length]).toEqual([64, 8 + 64]);
  expect(witness?.signature.readBigUInt64BE()).toBe(1679315147n);
});
