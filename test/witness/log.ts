/** A log that says whatever it likes to its witness: its key signs any checkpoint. */
import { createHash } from 'node:crypto';
import { leafHash, MerkleTree } from '../../src/tlog/merkle.ts';
import type { LogKey } from '../../src/tlog/checkpoint.ts';
import { generateNoteKey, parseSignerKey, signNote } from '../../src/tlog/note.ts';
import type { NoteSigner } from '../../src/tlog/note.ts';

const EM_DASH = '\u2014';

export interface Said {
  readonly old: number;
  readonly size: number;
  /** Lines behind the root. */
  readonly extensions?: readonly string[];
  /** Signature lines behind the log's. */
  readonly lines?: readonly string[];
  readonly proof?: readonly Buffer[];
  readonly signer?: NoteSigner;
}

export class Log implements LogKey {
  readonly origin: string;
  readonly signer: NoteSigner;
  readonly tree = new MerkleTree();

  /** A hundred leaves, from the one at `fork` on others than usual. */
  constructor(origin: string, signer = parseSignerKey(generateNoteKey(origin).signer), fork = Infinity) {
    this.origin = origin;
    this.signer = signer;
    for (let at = 0; at < 100; at++) this.tree.append(leafHash(Buffer.from(`${at}${at < fork ? '' : '!'}`)));
  }

  get key(): LogKey['key'] {
    return this.signer.verifier;
  }

  /** The same log as somebody else sees it: its first `size` leaves, and then others. */
  forkedAt(size: number): Log {
    return new Log(this.origin, this.signer, size);
  }

  text(size: number, extensions: readonly string[] = []): string {
    const root = this.tree.root(size).toString('base64');
    return [this.origin, size, root, ...extensions].map((line) => `${line}\n`).join('');
  }

  /** A signed checkpoint. */
  note(size: number, { extensions = [], lines = [], signer = this.signer }: Partial<Said> = {}): string {
    return signNote(this.text(size, extensions), signer) + lines.join('');
  }

  /** The body of add-checkpoint. */
  body(said: Said): string {
    const proof = said.proof ?? this.tree.consistencyProof(said.old, said.size);
    const hashes = proof.map((hash) => `${hash.toString('base64')}\n`);
    return `old ${said.old}\n${hashes.join('')}\n${this.note(said.size, said)}`;
  }
}

/** A signature line of some name, made up of the id and bytes. */
export const line = (name: string, id: Buffer, bytes: number | Buffer): string =>
  `${EM_DASH} ${name} ${Buffer.concat([id, typeof bytes === 'number' ? Buffer.alloc(bytes, 7) : bytes]).toString('base64')}\n`;

/** What stands for a log in the witness's URLs. */
export const originHash = (origin: string): string => createHash('sha256').update(origin).digest('hex');
