/**
 * How many blobs a build has and is just receiving, and how large they are together: what the gate's limits
 * are held against. Counted once from the tree, then kept, so that the ten-thousandth blob costs as little as
 * the first.
 */
import type { BlobTotals } from '../policy/gate/blob.ts';
import type { BuildId } from '../records/names.ts';
import { buildPath } from '../records/paths.ts';
import { inParallel } from './parallel.ts';
import { pieceName } from './pieces.ts';
import type { PieceKey, Tree, Written } from './tree.ts';

const KEPT = 1000;

export interface CountedPiece extends PieceKey {
  readonly size: number;
}

/** The count of one build. */
export class Quota {
  #count: number;
  #bytes: number;
  #pending = 0;
  /** What is there of blobs whose upload was cut, by the name of its file, the oldest first; not while it is sent. */
  readonly pieces: Map<string, CountedPiece>;

  constructor({ count, bytes }: BlobTotals, pieces: readonly CountedPiece[]) {
    this.#count = count;
    this.#bytes = bytes;
    this.pieces = new Map(pieces.map((piece) => [pieceName(piece), piece]));
  }

  /** Blobs and pieces, of which a sender has few, but for one that is about to be counted as what it shall become. */
  totalsWithout(isOwn: (piece: PieceKey) => boolean): BlobTotals {
    let [count, bytes] = [this.#count, this.#bytes];
    for (const piece of this.pieces.values()) {
      if (isOwn(piece)) continue;
      count += 1;
      bytes += piece.size;
    }
    return { count, bytes };
  }

  get idle(): boolean {
    return this.#pending === 0;
  }

  /** A blob is about to be received. */
  begin(size: number): void {
    this.#pending += 1;
    this.#count += 1;
    this.#bytes += size;
  }

  /** It was, as the first of its digest, or it was not. */
  end(size: number, written: Written): void {
    this.#pending -= 1;
    if (written === 'new') return;
    this.#count -= 1;
    this.#bytes -= size;
  }
}

/** The quotas of the builds that were last written to. */
export class Quotas {
  readonly #tree: Tree;
  readonly #quotas = new Map<BuildId, Quota>();

  constructor(tree: Tree) {
    this.#tree = tree;
  }

  /** To be asked for under the build's lock. Throws unable('disk'). */
  async of(build: BuildId): Promise<Quota> {
    const quota = this.#quotas.get(build) ?? (await this.#count(build));
    // the one last used goes to the end, the first one goes
    this.#quotas.delete(build);
    this.#quotas.set(build, quota);
    for (const [other, { idle }] of this.#quotas) {
      if (this.#quotas.size <= KEPT) break;
      if (idle) this.#quotas.delete(other);
    }
    return quota;
  }

  /** Whether a blob of the build is on its way. */
  isReceiving(build: BuildId): boolean {
    return this.#quotas.get(build)?.idle === false;
  }

  /** To be counted again: blobs went. Under the build's lock, and while none is received. */
  forget(build: BuildId): void {
    this.#quotas.delete(build);
  }

  async #count(build: BuildId): Promise<Quota> {
    const directory = `${buildPath(build)}/blobs`;
    const names = await this.#tree.list(directory);
    const bytes = await sumOfSizes(this.#tree, directory, names);
    const pieces = await this.#tree.pieces.list(build);
    pieces.sort((a, b) => a.written.getTime() - b.written.getTime());
    return new Quota({ count: names.length, bytes }, pieces);
  }
}

/** How large these files of a directory are together. */
export async function sumOfSizes(tree: Tree, directory: string, names: readonly string[]): Promise<number> {
  let bytes = 0;
  await inParallel(names, 8, async (name) => {
    const size = await tree.size(`${directory}/${name}`);
    bytes += size ?? 0;
  });
  return bytes;
}
