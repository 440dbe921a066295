/**
 * The Merkle tree of the log: RFC 6962 §2.1, in the words of RFC 9162 §2.1.
 *
 * Hashes are Buffers of 32 bytes. Sizes and indices are integers below 2^53, so they are halved by division
 * and never by 32-bit shifts.
 */
import { createHash } from 'node:crypto';

const LEAF = Buffer.of(0);
const NODE = Buffer.of(1);
const HASH_BYTES = 32;

/** The hash of a leaf: SHA-256(0x00 ‖ data). */
export const leafHash = (data: Uint8Array): Buffer => createHash('sha256').update(LEAF).update(data).digest();

/** The hash of an inner node: SHA-256(0x01 ‖ left ‖ right). */
export const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer =>
  createHash('sha256').update(NODE).update(left).update(right).digest();

/** The root of a tree without leaves: SHA-256 of nothing. */
export const emptyRoot = (): Buffer => createHash('sha256').digest();

/** The largest power of two below `size`, which is at least 2: where a tree of that size divides. */
function split(size: number): number {
  let left = 1;
  while (left * 2 < size) left *= 2;
  return left;
}

/** A tree that grows by leaves; append, root and proof each cost at most log² of the size. */
export class MerkleTree {
  /** #levels[k][i] is the root of the complete subtree over the leaves from i·2^k to (i+1)·2^k. */
  readonly #levels: Buffer[][] = [[]];

  /** How many leaves there are. */
  get size(): number {
    return this.#levels[0]?.length ?? 0;
  }

  /** Adds a leaf by its hash. */
  append(leaf: Buffer): void {
    let hash = leaf;
    for (let height = 0; ; height++) {
      const level = (this.#levels[height] ??= []);
      level.push(hash);
      const left = level.at(-2);
      if (level.length % 2 === 1 || left === undefined) return;
      hash = nodeHash(left, hash);
    }
  }

  /** The root over all leaves. */
  root(): Buffer {
    return this.size === 0 ? emptyRoot() : this.#range(0, this.size);
  }

  /**
   * The inclusion proof of the leaf at `index` in the tree of all leaves: sibling hashes from the leaf up
   * (RFC 9162 §2.1.3.1). Throws RangeError when there is no such leaf.
   */
  inclusionProof(index: number): Buffer[] {
    if (!Number.isSafeInteger(index) || index < 0 || index >= this.size)
      throw new RangeError(`no leaf ${index}`);
    const down: Buffer[] = [];
    let start = 0;
    let end = this.size;
    while (end - start > 1) {
      const middle = start + split(end - start);
      if (index < middle) {
        down.push(this.#range(middle, end));
        end = middle;
      } else {
        down.push(this.#range(start, middle));
        start = middle;
      }
    }
    return down.toReversed();
  }

  /** The root over the leaves from `start` to before `end`, a range that the tree's own division yields. */
  #range(start: number, end: number): Buffer {
    const size = end - start;
    const height = Math.round(Math.log2(size));
    const complete = 2 ** height === size ? this.#levels[height]?.[start / size] : undefined;
    if (complete !== undefined) return complete;
    const middle = start + split(size);
    return nodeHash(this.#range(start, middle), this.#range(middle, end));
  }
}

/** The tree over these leaf hashes. */
export function treeOf(leafHashes: Iterable<Buffer>): MerkleTree {
  const tree = new MerkleTree();
  for (const leaf of leafHashes) tree.append(leaf);
  return tree;
}

/** The root over these leaf hashes. */
export const treeRoot = (leafHashes: Iterable<Buffer>): Buffer => treeOf(leafHashes).root();

/**
 * Whether the proof shows that the leaf hash is at `index` in the tree of `size` leaves with this root
 * (RFC 9162 §2.1.3.2). False, never an exception, for anything else.
 */
export function verifyInclusion(
  index: number,
  size: number,
  leaf: Buffer,
  proof: readonly Buffer[],
  root: Buffer,
): boolean {
  // 0. Hashes are hashes: an empty leaf would equal an empty root.
  if (![leaf, root, ...proof].every((each) => each.length === HASH_BYTES)) return false;
  // 1. The index is inside the tree.
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return false;
  // 2. Start at the leaf, and at the last leaf.
  let node = index;
  let last = size - 1;
  let hash = leaf;
  for (const sibling of proof) {
    // 4a. No more siblings than levels.
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      // 4b. A left sibling; a node alone at the right edge rises to where it has one.
      hash = nodeHash(sibling, hash);
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      hash = nodeHash(hash, sibling);
    }
    // 4c. One level up.
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  // 5. At the root, with the root's hash.
  return last === 0 && hash.equals(root);
}
