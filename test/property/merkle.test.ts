/** Properties of the tree, against RFC 9162's own recursive definitions, written down naively. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { leafHash, MerkleTree, treeRoot, verifyInclusion } from '../../src/tlog/merkle.ts';

const sha256 = (...parts: (Buffer | string)[]) =>
  parts
    .reduce<ReturnType<typeof createHash>>((hash, part) => hash.update(part), createHash('sha256'))
    .digest();

const split = (size: number): number => (size <= 2 ? 1 : 2 ** Math.floor(Math.log2(size - 1)));

/** MTH(D[n]), RFC 9162 §2.1.1. */
function rootOf(data: readonly Buffer[]): Buffer {
  const [first] = data;
  if (first === undefined) return sha256();
  if (data.length === 1) return sha256('\0', first);
  const k = split(data.length);
  return sha256('\x01', rootOf(data.slice(0, k)), rootOf(data.slice(k)));
}

/** PATH(m, D[n]), RFC 9162 §2.1.3.1. */
function pathOf(m: number, data: readonly Buffer[]): Buffer[] {
  if (data.length <= 1) return [];
  const k = split(data.length);
  const [left, right] = [data.slice(0, k), data.slice(k)];
  return m < k ? [...pathOf(m, left), rootOf(right)] : [...pathOf(m - k, right), rootOf(left)];
}

const leaves = fc.array(
  fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
  { maxLength: 70 },
);
const withIndex = leaves
  .filter((all) => all.length > 0)
  .chain((all) => fc.tuple(fc.constant(all), fc.nat(all.length - 1)));

test('the root is that of the definition, after every leaf', () => {
  fc.assert(
    fc.property(leaves, (data) => {
      const tree = new MerkleTree();
      for (const [index, leaf] of data.entries()) {
        expect(tree.root()).toEqual(rootOf(data.slice(0, index)));
        tree.append(leafHash(leaf));
      }
      expect(tree.root()).toEqual(rootOf(data));
      expect(treeRoot(data.map(leafHash))).toEqual(rootOf(data));
    }),
  );
});

test('the proof is that of the definition, and verifies', () => {
  fc.assert(
    fc.property(withIndex, ([data, index]) => {
      const tree = new MerkleTree();
      for (const leaf of data) tree.append(leafHash(leaf));
      const proof = tree.inclusionProof(index);
      expect(proof).toEqual(pathOf(index, data));
      expect(
        verifyInclusion(index, data.length, leafHash(data[index] ?? Buffer.alloc(0)), proof, tree.root()),
      ).toBe(true);
    }),
  );
});

test('a proof with a bit flipped, one hash more or one less verifies nothing', () => {
  fc.assert(
    fc.property(withIndex, fc.nat(), fc.nat(255), ([data, index], place, bit) => {
      const hashes = data.map(leafHash);
      const [leaf, root] = [hashes[index] ?? Buffer.alloc(0), treeRoot(hashes)];
      const proof = pathOf(index, data);
      const verifies = (changed: Buffer[]) => verifyInclusion(index, data.length, leaf, changed, root);
      const at = place % Math.max(proof.length, 1);
      const flipped = proof.map((hash, number) => {
        const copy = Buffer.from(hash);
        if (number === at) copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        return copy;
      });
      if (proof.length > 0) expect(verifies(flipped)).toBe(false);
      if (proof.length > 0) expect(verifies(proof.toSpliced(at, 1))).toBe(false);
      expect(verifies(proof.toSpliced(at, 0, root))).toBe(false);
    }),
  );
});

test('nothing but a verdict comes of any numbers and hashes', () => {
  const number = fc.oneof(
    fc.nat(20),
    fc.double(),
    fc.constantFrom(2 ** 53 - 1, 2 ** 53, -1, 2 ** 32, 2 ** 31),
  );
  const hash = fc.uint8Array({ minLength: 31, maxLength: 33 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(number, number, hash, fc.array(hash), hash, (index, size, leaf, proof, root) => {
      expect(verifyInclusion(index, size, leaf, proof, root)).toBe(false);
    }),
  );
});
