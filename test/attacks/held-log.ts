/** H's log in the hands of somebody who has its key too: any beginning of it, with any end, signed. */
import { readFile } from 'node:fs/promises';
import { formatCheckpoint } from '../../src/tlog/checkpoint.ts';
import { leafHash, treeOf } from '../../src/tlog/merkle.ts';
import type { MerkleTree } from '../../src/tlog/merkle.ts';
import { parseSignerKey, signNote } from '../../src/tlog/note.ts';
import type { NoteSigner } from '../../src/tlog/note.ts';
import { formatProof } from '../../src/tlog/proof.ts';
import { encodeBundle } from '../../src/tlog/tile.ts';
import { packTar } from '../../src/tree/tar.ts';
import { rawRequest } from '../harness/raw-http.ts';
import type { HttpAnswer } from '../harness/raw-http.ts';
import type { World } from '../harness/world.ts';

export interface Said {
  readonly origin?: string;
  readonly key?: NoteSigner;
  readonly root?: Buffer;
  /** Lines behind the root. */
  readonly extensions?: readonly string[];
}

export class HeldLog {
  readonly leaves: readonly Buffer[];
  readonly tree: MerkleTree;
  readonly key: NoteSigner;

  constructor(leaves: readonly Buffer[], key: NoteSigner) {
    this.leaves = leaves;
    this.tree = treeOf(leaves.map(leafHash));
    this.key = key;
  }

  /** As H has it now. */
  static async of(world: World): Promise<HeldLog> {
    const journal = await readFile(world.journal, 'utf8');
    const key = await readFile(world.path('H', 'signer', 'log-key'), 'utf8');
    const lines = journal.split('\n').slice(0, -1);
    return new HeldLog(
      lines.map((line) => Buffer.from(line)),
      parseSignerKey(key.trim()),
    );
  }

  get size(): number {
    return this.leaves.length;
  }

  /** Its first `size` entries, and these. */
  with(more: readonly Buffer[], size = this.size): HeldLog {
    return new HeldLog([...this.leaves.slice(0, size), ...more], this.key);
  }

  note(size = this.size, { origin, key, root, extensions = [] }: Said = {}): string {
    const signer = key ?? this.key;
    const text = formatCheckpoint({
      origin: origin ?? signer.name,
      size,
      root: root ?? this.tree.root(Math.min(size, this.size)),
    });
    return signNote(text + extensions.map((line) => `${line}\n`).join(''), signer);
  }

  /** The proof that the entry at `index` is there, under that note of `size` entries. */
  proof(index: number, note = this.note(), size = this.size): Buffer {
    return formatProof({
      extra: null,
      index,
      hashes: this.tree.inclusionProof(index, size),
      checkpoint: note,
    });
  }

  /** The files of a push. */
  push(from: number, note = this.note(), size = this.size): { name: string; bytes: Buffer }[] {
    return [
      { name: 'checkpoint', bytes: Buffer.from(note) },
      { name: `entries/${from}`, bytes: encodeBundle(this.leaves.slice(from, size)) },
    ];
  }
}

export const postLog = (
  url: string,
  body: Buffer | readonly { readonly name: string; readonly bytes: Buffer }[],
): Promise<HttpAnswer> =>
  rawRequest(url, { method: 'POST', path: '/log', body: Buffer.isBuffer(body) ? body : packTar(body) });
