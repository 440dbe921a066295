/**
 * The Merkle tree of the log: RFC 6962 §2.1, in the words of RFC 9162 §2.1.
 *
 * Hashes are Buffers of 32 bytes. Sizes and indices are integers below 2^53, so they are halved by division
 * and never by 32-bit shifts.
 */
import { createHash } from 'node:crypto';

const LEAF = Buffer.of(0);
const NODE = Buffer.of(1);
/** Of every hash in the tree. */
export const HASH_BYTES = 32;

/** The hash of a leaf: SHA-256(0x00 ‖ data). */
export const leafHash = (data: Uint8Array): Buffer => createHash('sha256').update(LEAF).update(data).digest();

/** The hash of an inner node: SHA-256(0x01 ‖ left ‖ right). */
export const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer =>
  createHash('sha256').update(NODE).update(left).update(right).digest();

/** The root of a tree without leaves: SHA-256 of nothing. */
export const emptyRoot = (): Buffer => createHash('sha256').digest();

/** Leaves from `start` to before `end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** The height of a complete tree of so many leaves; for other sizes the nearest: log2 alone is not exact. */
const heightOf = (size: number): number => Math.round(Math.log2(size));

/** The largest power of two below `size`, which is at least 2: where a tree of that size divides. */
function split(size: number): number {
  let left = 1;
  while (left * 2 < size) left *= 2;
  return left;
}

/**
 * The subtrees whose roots are the inclusion proof of the leaf at `index` in a tree of `size` leaves, from the leaf up
 * (RFC 9162 §2.1.3.1). Throws RangeError when there is no such leaf.
 */
export function inclusionRanges(index: number, size: number): Range[] {
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) throw new RangeError(`no leaf ${index}`);
  const down: Range[] = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const middle = start + split(end - start);
    if (index < middle) {
      down.push({ start: middle, end });
      end = middle;
    } else {
      down.push({ start, end: middle });
      start = middle;
    }
  }
  return down.toReversed();
}

/**
 * The subtrees whose roots are the consistency proof from `oldSize` to `size` leaves (RFC 9162 §2.1.4.1): none from an
 * empty tree, or between equal ones. Throws RangeError when `oldSize` is not between 0 and `size`.
 */
export function consistencyRanges(oldSize: number, size: number): Range[] {
  if (!Number.isSafeInteger(oldSize) || oldSize < 0 || oldSize > size)
    throw new RangeError(`a tree of ${size} leaves never had ${oldSize}`);
  if (oldSize === 0 || oldSize === size) return [];
  const down: Range[] = [];
  let [start, end] = [0, size];
  while (end !== oldSize) {
    const middle = start + split(end - start);
    if (oldSize <= middle) {
      down.push({ start: middle, end });
      end = middle;
    } else {
      down.push({ start, end: middle });
      start = middle;
    }
  }
  // The root of a whole old tree is what the verifier has.
  return [...(start === 0 ? [] : [{ start, end }]), ...down.toReversed()];
}

/** The complete subtrees that a range divides into, from left to right; the range is one that the tree's own division yields. */
export function completeRanges({ start, end }: Range): Range[] {
  const parts: Range[] = [];
  for (let at = start; at < end;) {
    const size = end - at === 1 ? 1 : split(end - at + 1);
    parts.push({ start: at, end: at + size });
    at += size;
  }
  return parts;
}

/** The root over neighbouring complete subtrees, of falling size, by their roots. Throws RangeError if there is none. */
export function joinRoots(roots: readonly Buffer[]): Buffer {
  const last = roots.at(-1);
  if (last === undefined) throw new RangeError('no subtree');
  return roots.slice(0, -1).reduceRight((right, left) => nodeHash(left, right), last);
}

/** A tree that grows by leaves; append, root and proofs each cost at most log² of the size. */
export class MerkleTree {
  /** #levels[k][i] is the root of the complete subtree over the leaves from i*2^k to (i+1)*2^k. */
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

  /** The root over the first `size` leaves, which are all unless said. Throws RangeError when there are fewer. */
  root(size = this.size): Buffer {
    return size === 0 ? emptyRoot() : this.#range({ start: 0, end: size });
  }

  /** The inclusion proof of the leaf at `index` in the tree of the first `size` leaves, from the leaf up. Throws RangeError. */
  inclusionProof(index: number, size = this.size): Buffer[] {
    return inclusionRanges(index, size).map((range) => this.#range(range));
  }

  /** The consistency proof between the trees of the first `oldSize` and the first `size` leaves. Throws RangeError. */
  consistencyProof(oldSize: number, size = this.size): Buffer[] {
    return consistencyRanges(oldSize, size).map((range) => this.#range(range));
  }

  #range(range: Range): Buffer {
    return joinRoots(
      completeRanges(range).map(({ start, end }) => {
        const root = this.#levels[heightOf(end - start)]?.[start / (end - start)];
        if (root === undefined) throw new RangeError(`no leaves from ${start} to ${end}`);
        return root;
      }),
    );
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

/**
 * Whether the proof shows that the tree of `size` leaves begins with that of `oldSize` (RFC 9162 §2.1.4.2). From the
 * empty tree, and between equal ones, the proof is empty. False, never an exception, for anything else.
 */
export function verifyConsistency(
  oldSize: number,
  size: number,
  proof: readonly Buffer[],
  oldRoot: Buffer,
  root: Buffer,
): boolean {
  if (![oldRoot, root, ...proof].every((each) => each.length === HASH_BYTES)) return false;
  if (!Number.isSafeInteger(oldSize) || !Number.isSafeInteger(size) || oldSize < 0 || oldSize > size)
    return false;
  // Nothing to prove: an empty tree begins every tree, and every tree itself.
  if (oldSize === 0 && !oldRoot.equals(emptyRoot())) return false;
  if (oldSize === size) return proof.length === 0 && oldRoot.equals(root);
  if (oldSize === 0) return proof.length === 0;
  // 1. to 2. A complete old tree is the first step itself.
  const path = 2 ** heightOf(oldSize) === oldSize ? [oldRoot, ...proof] : [...proof];
  const [first, ...rest] = path;
  if (first === undefined) return false;
  // 3. and 4. Up to where the last old leaf stops being a right child.
  let node = oldSize - 1;
  let last = size - 1;
  const up = () => {
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  };
  while (node % 2 === 1) up();
  // 5. and 6. Both roots, from the same hashes.
  let [oldHash, hash] = [first, first];
  for (const sibling of rest) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      oldHash = nodeHash(sibling, oldHash);
      hash = nodeHash(sibling, hash);
      while (node % 2 === 0 && node !== 0) up();
    } else {
      hash = nodeHash(hash, sibling);
    }
    up();
  }
  // 7. They are the two that were asked about, and nothing of the tree is left over.
  return last === 0 && oldHash.equals(oldRoot) && hash.equals(root);
}
