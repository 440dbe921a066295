/** Proofs and checkpoints: round trips, and what is malformed or proves something else. */
import { describe, expect, test } from 'vitest';
import { formatCheckpoint, parseCheckpoint } from '../../src/tlog/checkpoint.ts';
import { leafHash, MerkleTree } from '../../src/tlog/merkle.ts';
import { generateNoteKey, parseSignerKey, signNote } from '../../src/tlog/note.ts';
import { formatProof, parseProof, PROOF_MAX, unwitnessed, verifyProof } from '../../src/tlog/proof.ts';
import type { Proof } from '../../src/tlog/proof.ts';
import { refusalOf } from '../harness/failure.ts';

const origin = 'example.org/log';
const signer = parseSignerKey(generateNoteKey(origin).signer);
const trust = unwitnessed({ origin, key: signer.verifier });
const leaves = ['a', 'b', 'c', 'd', 'e'].map((leaf) => Buffer.from(leaf));
const tree = new MerkleTree();
for (const leaf of leaves) tree.append(leafHash(leaf));
const checkpointOf = (size: number, root = tree.root(), name = origin, by = signer) =>
  signNote(formatCheckpoint({ origin: name, size, root }), by);

const proof: Proof = {
  extra: Buffer.from('c'),
  index: 2,
  hashes: tree.inclusionProof(2),
  checkpoint: checkpointOf(5),
};
const leaf = Buffer.from('c');
const text = formatProof(proof).toString();

describe('a checkpoint', () => {
  test.each([
    { origin, size: 0, root: Buffer.alloc(32) },
    { origin: 'go.sum database tree', size: Number.MAX_SAFE_INTEGER, root: Buffer.alloc(32, 255) },
  ])('$origin $size', (checkpoint) => {
    expect(parseCheckpoint(formatCheckpoint(checkpoint))).toEqual({ ...checkpoint, extensions: [] });
  });

  const good = formatCheckpoint({ origin, size: 5, root: tree.root() });
  test.each([
    '',
    good.slice(0, -1),
    `${good}\n`,
    `${good}\nextension\n`,
    good.replace(origin, ''),
    good.replace('\n5\n', '\n05\n'),
    good.replace('\n5\n', '\n+5\n'),
    good.replace('\n5\n', '\n5 \n'),
    good.replace('\n5\n', '\n-5\n'),
    good.replace('\n5\n', '\n0x5\n'),
    good.replace('\n5\n', '\n5e0\n'),
    good.replace('\n5\n', '\n\n'),
    good.replace('\n5\n', '\n9007199254740992\n'),
    good.replace('\n5\n', '\n18446744073709551615\n'),
    good.replace('=\n', '\n'),
    good.replace('=\n', '==\n'),
    `${origin}\n5\n${Buffer.alloc(31).toString('base64')}\n`,
    good.replaceAll('\n', '\r\n'),
  ])('malformed: %j', (bad) => {
    expect(refusalOf(() => parseCheckpoint(bad)).code).toBe('checkpoint-malformed');
  });
});

describe('a good proof', () => {
  test.each([
    ['with extra', proof],
    ['without', { ...proof, extra: null }],
    ['with empty extra', { ...proof, extra: Buffer.alloc(0) }],
    ['of a tree of one', { ...proof, hashes: [], index: 0 }],
    ['with a leaf of 64 KiB', { ...proof, extra: Buffer.alloc(65_535, 7) }],
  ])('%s comes back', (_, value) => {
    const bytes = formatProof(value);
    expect(parseProof(bytes)).toEqual(value);
    expect(formatProof(parseProof(bytes))).toEqual(bytes);
  });

  test('has the form of C2SP tlog-proof', () => {
    expect(text).toMatch(
      /^c2sp\.org\/tlog-proof@v1\nextra Yw==\nindex 2\n(?:[A-Za-z0-9+/]{43}=\n){3}\nexample\.org\/log\n5\n.{44}\n\n— example\.org\/log .*\n$/,
    );
  });

  test('verifies, and gives its checkpoint', () => {
    expect(verifyProof(parseProof(Buffer.from(text)), leaf, trust)).toEqual({
      checkpoint: { origin, size: 5, root: tree.root(), extensions: [] },
      cosignatures: [],
    });
  });

  test('verifies with cosignatures of witnesses that nobody knows', () => {
    const witness = parseSignerKey(generateNoteKey('w.example').signer);
    const [body = ''] = proof.checkpoint.split('\n\n');
    const cosigned = proof.checkpoint + signNote(`${body}\n`, witness).slice(body.length + 2);
    expect(verifyProof({ ...proof, checkpoint: cosigned }, leaf, trust).checkpoint.size).toBe(5);
  });
});

const [firstHash = ''] = proof.hashes.map((hash) => hash.toString('base64'));

test.each([
  ['nothing', ''],
  ['no header', text.replace(/^.*\n/, '')],
  ['another version', text.replace('@v1', '@v2')],
  ['a byte order mark', `\ufeff${text}`],
  ['a line in front', `\n${text}`],
  ['carriage returns', text.replaceAll('\n', '\r\n')],
  ['no index', text.replace(/index.*\n/, '')],
  ['index in front of extra', text.replace(/(extra.*\n)(index.*\n)/, '$2$1')],
  ['extra twice', text.replace(/(extra.*\n)/, '$1$1')],
  ['extra with junk', text.replace('Yw==', 'Yw!==')],
  ['extra that is not canonical', text.replace('Yw==', 'Yx==')],
  ['extra without padding', text.replace('Yw==', 'Yw')],
  ['extra without a space', text.replace('extra Yw==', 'extra')],
  ['index with a zero in front', text.replace('index 2', 'index 02')],
  ['index with a sign', text.replace('index 2', 'index +2')],
  ['index below zero', text.replace('index 2', 'index -2')],
  ['index of hex', text.replace('index 2', 'index 0x2')],
  ['index with a fraction', text.replace('index 2', 'index 2.0')],
  ['index of 2^53', text.replace('index 2', 'index 9007199254740992')],
  ['index of 2^64', text.replace('index 2', 'index 18446744073709551616')],
  ['index with a space behind', text.replace('index 2', 'index 2 ')],
  ['index missing its number', text.replace('index 2', 'index ')],
  ['index in capitals', text.replace('index', 'Index')],
  ['a short hash', text.replace(firstHash, firstHash.slice(4))],
  ['a hash in hex', text.replace(firstHash, '0'.repeat(64))],
  ['a hash with junk', text.replace(firstHash, `${firstHash.slice(0, 20)} ${firstHash.slice(20)}`)],
  ['a hash in base64url', text.replace(firstHash, '-'.repeat(43).concat('='))],
  ['54 hashes', text.replace(firstHash, `${firstHash}\n`.repeat(54).trimEnd())],
  ['no checkpoint', text.slice(0, text.indexOf('\n\n') + 1)],
  ['invalid UTF-8', Buffer.concat([Buffer.from(text), Buffer.from([0xff])])],
  ['more than it may be', text + 'x'.repeat(PROOF_MAX)],
])('malformed: %s', (_, bad) => {
  expect(refusalOf(() => parseProof(Buffer.from(bad))).code).toBe('proof-malformed');
});

const other = parseSignerKey(generateNoteKey(origin).signer);
const stranger = parseSignerKey(generateNoteKey('example.org/other').signer);

test.each<[string, Partial<Proof>]>([
  ['another index', { index: 3 }],
  ['an index beyond the tree', { index: 5 }],
  ['a proof for another entry', { hashes: tree.inclusionProof(3) }],
  ['a hash missing', { hashes: proof.hashes.slice(1) }],
  ['a hash too many', { hashes: [...proof.hashes, Buffer.alloc(32)] }],
  ['hashes in another order', { hashes: proof.hashes.toReversed() }],
  ['a larger tree', { checkpoint: checkpointOf(16) }],
  ['a smaller tree', { checkpoint: checkpointOf(4) }],
  ['a size of nothing', { checkpoint: checkpointOf(0) }],
  ['another root', { checkpoint: checkpointOf(5, Buffer.alloc(32)) }],
  ['another origin under the same key', { checkpoint: checkpointOf(5, tree.root(), 'example.org/other') }],
  ['another key of the same name', { checkpoint: checkpointOf(5, tree.root(), origin, other) }],
  ['another log', { checkpoint: checkpointOf(5, tree.root(), 'example.org/other', stranger) }],
  ['a changed checkpoint', { checkpoint: proof.checkpoint.replace('\n5\n', '\n6\n') }],
  ['an unsigned checkpoint', { checkpoint: proof.checkpoint.replace(/\n\n[^]*$/, '\n\n') }],
  ['a note that is no checkpoint', { checkpoint: signNote(`${origin}\n5\n`, signer) }],
])('refused: %s', (_, change) => {
  const error = refusalOf(() => verifyProof({ ...proof, ...change }, leaf, trust));
  expect(error.code).toBe('proof-invalid');
});

test('refused: another leaf, and a leaf that is a node of the tree', () => {
  const wrong = (bytes: Buffer) => refusalOf(() => verifyProof(proof, bytes, trust)).code;
  expect(wrong(Buffer.from('d'))).toBe('proof-invalid');
  expect(wrong(Buffer.alloc(0))).toBe('proof-invalid');
  // Leaves and nodes are hashed apart, so the two halves under a node are not the bytes of a leaf.
  const [a = leaf, b = leaf] = leaves.map(leafHash);
  const node: Proof = { ...proof, index: 0, hashes: tree.inclusionProof(0).slice(1) };
  expect(refusalOf(() => verifyProof(node, Buffer.concat([a, b]), trust)).code).toBe('proof-invalid');
});
