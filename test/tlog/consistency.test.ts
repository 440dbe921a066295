/** Consistency: proofs by others and their mutations, and every pair of sizes of a log of ours. */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { emptyRoot, leafHash, treeOf, verifyConsistency } from '../../src/tlog/merkle.ts';
import { membersOf } from '../harness/json.ts';
import { filesBelow, sharedVectors } from '../harness/vectors.ts';

const merkle = sharedVectors('merkle', 99);
const paths = filesBelow(`${merkle.directory}/consistency`);
/** The one that the sources name: its two roots are twelve bytes that are no hash, and it is to succeed all the same. */
const PLACEHOLDER = 'consistency/additional/sizes-are-equal-one-and-proof-is-empty.json';

describe.skipIf(merkle.skipped)('transparency-dev/merkle, consistency', () => {
  test('all 98 are here', () => expect(paths).toHaveLength(98));

  test.each(paths.map((path) => [relative(merkle.directory, path), path]))('%s', (name, path) => {
    const fields = new Map(membersOf(readFileSync(path, 'utf8')));
    const number = (field: string) => Number(fields.get(field));
    const bytes = (value: unknown) => Buffer.from(typeof value === 'string' ? value : '', 'base64');
    const list = fields.get('proof');
    const proof = Array.isArray(list) ? list.map(bytes) : [];
    const [one, other] = [bytes(fields.get('root1')), bytes(fields.get('root2'))];
    const verdict = verifyConsistency(number('size1'), number('size2'), proof, one, other);
    expect(verdict).toBe(name !== PLACEHOLDER && fields.get('wantErr') === false);
  });
});

describe('of our own tree', () => {
  const SIZE = 40;
  const tree = treeOf(Array.from({ length: SIZE }, (_, index) => leafHash(Buffer.from(`${index}`))));
  const roots = Array.from({ length: SIZE + 1 }, (_, size) => tree.root(size));
  const root = (size: number): Buffer => roots[size] ?? Buffer.alloc(0);

  test('each size is proven to go on from each before it, and from no other', () => {
    for (let size = 0; size <= SIZE; size++)
      for (let old = 0; old <= size; old++) {
        const proof = tree.consistencyProof(old, size);
        expect(verifyConsistency(old, size, proof, root(old), root(size))).toBe(true);
        const verifies = (...changed: Parameters<typeof verifyConsistency>) => verifyConsistency(...changed);
        expect(verifies(old, size, [...proof, root(1)], root(old), root(size))).toBe(false);
        if (proof.length > 0) {
          expect(verifies(old, size, proof.slice(1), root(old), root(size))).toBe(false);
          expect(verifies(old, size, proof.slice(0, -1), root(old), root(size))).toBe(false);
          expect(verifies(old, size, proof.toReversed(), root(old), root(size))).toBe(proof.length === 1);
        }
        if (old === size) continue;
        expect(verifies(size, old, proof, root(size), root(old))).toBe(false);
        expect(verifies(old, size, proof, root(size), root(size))).toBe(false);
        if (old > 0) expect(verifies(old, size, proof, root(old), root(old))).toBe(false);
      }
  });

  test('there is none to a smaller log, nor from what is no size', () => {
    for (const old of [-1, 0.5, NaN, SIZE + 1]) expect(() => tree.consistencyProof(old)).toThrow(RangeError);
    for (const [old, size] of [
      [-1, 1],
      [0.5, 1],
      [NaN, 1],
      [1, NaN],
      [1, Infinity],
      [2 ** 53, 2 ** 53],
    ] as const)
      expect(verifyConsistency(old, size, [], root(1), root(1))).toBe(false);
  });

  test('the empty log begins every log, with the root of the empty log', () => {
    expect(verifyConsistency(0, SIZE, [], emptyRoot(), root(SIZE))).toBe(true);
    expect(verifyConsistency(0, SIZE, [], root(1), root(SIZE))).toBe(false);
    expect(verifyConsistency(0, 0, [], emptyRoot(), emptyRoot())).toBe(true);
  });

  test('a size that is a power of two beyond 32 bits proves nothing by itself', () => {
    expect(verifyConsistency(2 ** 40, 2 ** 41, [root(3)], root(1), root(2))).toBe(false);
    expect(verifyConsistency(2 ** 40, 2 ** 40 + 1, [root(1)], root(2), root(2))).toBe(false);
  });
});
