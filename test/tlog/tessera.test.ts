/** A log that another implementation wrote: its checkpoints, entries and tiles, read and proven by ours. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseCheckpoint } from '../../src/tlog/checkpoint.ts';
import { leafHash, treeOf, treeRoot } from '../../src/tlog/merkle.ts';
import { openNote, parseVerifierKey } from '../../src/tlog/note.ts';
import { formatProof, parseProof, unwitnessed, verifyProof } from '../../src/tlog/proof.ts';
import { sharedVectors } from '../harness/vectors.ts';

const { directory, skipped } = sharedVectors('tessera-log', 18);
const read = (...path: string[]): Buffer => readFileSync(join(directory, ...path));
const sizes = Array.from({ length: 16 }, (_, size) => size);

/** The entries of a bundle of C2SP tlog-tiles: each after its length in two bytes. */
function entries(size: number): Buffer[] {
  const bundle = size === 0 ? Buffer.alloc(0) : read('tile', 'entries', '000.p', String(size));
  const found: Buffer[] = [];
  for (let at = 0; at < bundle.length; at += 2 + bundle.readUInt16BE(at))
    found.push(bundle.subarray(at + 2, at + 2 + bundle.readUInt16BE(at)));
  return found;
}

describe.skipIf(skipped)('transparency-dev/tessera, testdata/log', () => {
  const key = () => parseVerifierKey(read('vkey').toString().trim());
  const open = (name: string) => parseCheckpoint(openNote(read(name), key()));

  test("there is one checkpoint for each size, and the last is the log's", () => {
    expect(existsSync(join(directory, 'checkpoint.15'))).toBe(true);
    expect(open('checkpoint')).toEqual(open('checkpoint.15'));
  });

  test.each(sizes)('the checkpoint of %i entries verifies, and its root is ours', (size) => {
    const checkpoint = open(`checkpoint.${size}`);
    expect(checkpoint.origin).toBe('example.com/log/testdata');
    expect(checkpoint.size).toBe(size);
    const leaves = entries(size);
    expect(leaves).toHaveLength(size);
    const hashes = leaves.map(leafHash);
    expect(treeRoot(hashes)).toEqual(checkpoint.root);
    if (size > 0) expect(Buffer.concat(hashes)).toEqual(read('tile', '0', '000.p', String(size)));
  });

  test('our proof of each entry verifies under each of its checkpoints', () => {
    for (const size of sizes) {
      const leaves = entries(size);
      const tree = treeOf(leaves.map(leafHash));
      const checkpoint = read(`checkpoint.${size}`).toString();
      const trust = unwitnessed({ origin: 'example.com/log/testdata', key: key() });
      for (const [index, leaf] of leaves.entries()) {
        const bytes = formatProof({ extra: leaf, index, hashes: tree.inclusionProof(index), checkpoint });
        expect(verifyProof(parseProof(bytes), leaf, trust).checkpoint.size).toBe(size);
      }
    }
  });
});
