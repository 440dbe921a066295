/** A log, its key and its witnesses, and a store in memory that can fail: what a depot's log is grown in, thousands of times. */
import { formatCheckpoint } from '../../src/tlog/checkpoint.ts';
import { cosign, generateWitnessKey, parseWitnessSigner } from '../../src/tlog/cosignature.ts';
import { leafHash, treeOf } from '../../src/tlog/merkle.ts';
import type { MerkleTree } from '../../src/tlog/merkle.ts';
import { generateNoteKey, parseSignerKey, signNote, splitNote } from '../../src/tlog/note.ts';
import type { LogTrust } from '../../src/tlog/proof.ts';
import { extendLog } from '../../src/tree/log/extend.ts';
import { depotLog, LogReader } from '../../src/tree/log/reader.ts';
import { conflict } from '../../src/failure.ts';
import type { LogPush, LogStore, Replace, Tree, Written } from '../../src/tree/tree.ts';

export const origin = 'example.org/log';
const logKey = parseSignerKey(generateNoteKey(origin).signer);
export const otherKey = parseSignerKey(generateNoteKey(origin).signer);
export const witnesses = ['example.org/w1', 'example.org/w2'].map((name) =>
  parseWitnessSigner(generateWitnessKey(name).signer),
);
export const trust: LogTrust = {
  origin,
  key: logKey.verifier,
  witnesses: witnesses.map(({ verifier }) => verifier),
  quorum: 0,
};

/** The entry at an index of the log. */
export const entry = (index: number): Buffer => Buffer.from(`entry ${index} ${'.'.repeat(index % 7)}`);

/** A log as the signer has it. */
export class Log {
  readonly leaves: Buffer[] = [];
  readonly tree: MerkleTree = treeOf([]);

  constructor(size = 0, of = entry) {
    for (let index = 0; index < size; index++) this.add(of(index));
  }

  add(leaf: Buffer): void {
    this.leaves.push(leaf);
    this.tree.append(leafHash(leaf));
  }

  /** The note text of the log when it had `size` entries. */
  text(size = this.tree.size): string {
    return formatCheckpoint({ origin, size, root: this.tree.root(size) });
  }

  note(size = this.tree.size, key = logKey): string {
    return signNote(this.text(size), key);
  }

  sign(text: string): string {
    return signNote(text, logKey);
  }

  /** The push from one size to another. */
  push(from: number, size = this.tree.size, note = this.note(size)): LogPush {
    return { checkpoint: Buffer.from(note), from, entries: () => this.leaves.slice(from, size) };
  }
}

/** The note with a cosignature of a witness. */
export const cosigned = (note: string, which: number, time: number): string => {
  const witness = witnesses[which];
  if (!witness) throw new RangeError('no such witness');
  return note + cosign(splitNote(note).text, witness, time);
};

/** The store of a depot, which a power cut ends before its n-th change. */
export class MemoryTree implements LogStore {
  readonly files: Map<string, Buffer>;
  /** How many changes are left. */
  left = Infinity;
  changes = 0;

  constructor(files: ReadonlyMap<string, Buffer> = new Map()) {
    this.files = new Map(files);
  }

  async read(path: string): Promise<Buffer | null> {
    return this.files.get(path) ?? null;
  }

  async write(path: string, bytes: Buffer): Promise<Written> {
    const present = this.files.get(path);
    if (present && !present.equals(bytes)) throw conflict(path);
    this.#change(() => this.files.set(path, bytes));
    return present ? 'same' : 'new';
  }

  async replacing<T>(work: (replace: Replace) => Promise<T>): Promise<T> {
    return work(async (path, bytes) => this.#change(() => this.files.set(path, bytes)));
  }

  async remove(path: string): Promise<void> {
    this.#change(() => {
      for (const name of this.files.keys()) if (name.startsWith(`${path}/`)) this.files.delete(name);
    });
  }

  #change(make: () => void): void {
    if (this.left === 0) throw new Error('power cut');
    this.left -= 1;
    this.changes += 1;
    make();
  }
}

export const readerOf = (tree: Pick<Tree, 'read'>): LogReader => new LogReader(depotLog(tree), trust);

/** Everything that a reader can be told of the log: read whole, with proofs; throws what is not as it was signed. */
export async function readWhole(tree: Pick<Tree, 'read'>): Promise<Buffer[]> {
  const reader = readerOf(tree);
  const head = await reader.head();
  const leaves: Buffer[] = [];
  if (head) for await (const { leaf } of reader.entries(head, 0)) leaves.push(leaf);
  return leaves;
}

/** More than one tile of the second level has. */
export const whole = new Log(66_300);

/** A store that the log was pushed into, size by size. */
export async function grown(...sizes: number[]): Promise<MemoryTree> {
  const tree = new MemoryTree();
  let from = 0;
  for (const size of sizes) {
    await extendLog(tree, trust, whole.push(from, size));
    from = size;
  }
  return tree;
}

export const filesOf = (tree: MemoryTree): string[] => [...tree.files.keys()].sort();
