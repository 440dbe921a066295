/** The Merkle tree: known hashes, proofs by others, and their mutations. */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  emptyRoot,
  leafHash,
  MerkleTree,
  nodeHash,
  treeOf,
  treeRoot,
  verifyInclusion,
} from '../../src/tlog/merkle.ts';
import { filesBelow, sharedVectors } from '../harness/vectors.ts';
import { membersOf } from '../harness/json.ts';

/** Inputs and roots of the tests of Certificate Transparency (RFC 6962's reference implementation). */
const LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
];
const ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const hashes = LEAVES.map((leaf) => leafHash(Buffer.from(leaf, 'hex')));

describe('the tree', () => {
  test('has the roots that everybody has', () => {
    const tree = new MerkleTree();
    expect(tree.root().toString('hex')).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    );
    hashes.forEach((hash, index) => {
      tree.append(hash);
      expect(tree.size).toBe(index + 1);
      expect(tree.root().toString('hex')).toBe(ROOTS[index]);
    });
    expect(treeRoot([])).toEqual(emptyRoot());
  });

  test('proves each of its leaves, and no other', () => {
    for (let size = 1; size <= hashes.length; size++) {
      const some = hashes.slice(0, size);
      const root = treeRoot(some);
      for (const [index, hash] of some.entries()) {
        const proof = treeOf(some).inclusionProof(index);
        expect(verifyInclusion(index, size, hash, proof, root)).toBe(true);
        const other = (index + 1) % size;
        if (other !== index) expect(verifyInclusion(other, size, hash, proof, root)).toBe(false);
        expect(verifyInclusion(index, size, hash, [...proof, root], root)).toBe(false);
        if (proof.length > 0) expect(verifyInclusion(index, size, hash, proof.slice(1), root)).toBe(false);
        expect(verifyInclusion(index, size, leafHash(hash), proof, root)).toBe(false);
      }
    }
  });

  test('has no proof for a leaf that it has not', () => {
    for (const index of [-1, 8, 0.5, NaN])
      expect(() => treeOf(hashes).inclusionProof(index)).toThrow(RangeError);
    expect(() => treeOf([]).inclusionProof(0)).toThrow(RangeError);
  });

  test('grows by 100,000 leaves with a proof each now and then', () => {
    const tree = new MerkleTree();
    for (let index = 0; index < 100_000; index++) {
      const leaf = leafHash(Buffer.from(String(index)));
      tree.append(leaf);
      if (index % 1000 === 0)
        expect(verifyInclusion(index, index + 1, leaf, tree.inclusionProof(index), tree.root())).toBe(true);
    }
    expect(tree.inclusionProof(12_345)).toHaveLength(17);
  });
});

test('sizes that are no numbers of leaves prove nothing', () => {
  const leaf = leafHash(Buffer.alloc(0));
  for (const [index, size] of [
    [0, 0],
    [-1, 1],
    [1, 1],
    [0, NaN],
    [NaN, 1],
    [0, Infinity],
    [0.5, 1],
    [0, 2 ** 53],
  ] as const)
    expect(verifyInclusion(index, size, leaf, [], leaf)).toBe(false);
  // Longer than the tree is high, although the hashes fit.
  expect(verifyInclusion(0, 1, leaf, [leaf], nodeHash(leaf, leaf))).toBe(false);
  // Beyond 32 bits: a proof of the wrong height is not one.
  expect(verifyInclusion(2 ** 40, 2 ** 40 + 1, leaf, [], leaf)).toBe(false);
  expect(verifyInclusion(2 ** 32, 2 ** 33, leaf, [leaf], leaf)).toBe(false);
});

const merkle = sharedVectors('merkle', 98);
const paths = filesBelow(`${merkle.directory}/inclusion`);

describe.skipIf(merkle.skipped)('transparency-dev/merkle, inclusion', () => {
  test('all 98 are here', () => expect(paths).toHaveLength(98));

  test.each(paths.map((path) => [relative(merkle.directory, path), path]))('%s', (_, path) => {
    const fields = new Map(membersOf(readFileSync(path, 'utf8')));
    const number = (name: string) => Number(fields.get(name));
    const bytes = (value: unknown) => Buffer.from(typeof value === 'string' ? value : '', 'base64');
    const list = fields.get('proof');
    // The vectors write an empty proof as null now and then.
    const proof = Array.isArray(list) ? list.map(bytes) : [];
    const [leaf, root] = [bytes(fields.get('leafHash')), bytes(fields.get('root'))];
    const verdict = verifyInclusion(number('leafIdx'), number('treeSize'), leaf, proof, root);
    expect(verdict).toBe(fields.get('wantErr') === false);
  });
});
