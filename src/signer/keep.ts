/**
 * Where verified artifacts go for whoever wants them on this host too: DIRECTORY/PROJECT-VERSION/NAME. Whole or not at
 * all, never in the place of other bytes, never through a link: the directory is written as a depot's is.
 */
import type { Manifest } from '../records/manifest.ts';
import type { Sha256 } from '../records/names.ts';
import type { Blob, Depot, Stage, Tree, Update } from '../tree/tree.ts';

export class Keep {
  readonly #tree: Tree;
  /** Equal files have several. */
  readonly #paths = new Map<Sha256, string[]>();

  constructor(tree: Tree, { project, version, subjects }: Manifest) {
    this.#tree = tree;
    for (const { name, sha256 } of subjects) {
      const paths = this.#paths.get(sha256) ?? [];
      paths.push(`${project}-${version}/${name}`);
      this.#paths.set(sha256, paths);
    }
  }

  /** Small ones, verified. Throws refused('conflict') where other bytes are, usage(`depot-shared`), unable. */
  async writeAll(blobs: readonly Blob[]): Promise<void> {
    const files = blobs.flatMap(({ sha256, bytes }) =>
      this.#pathsOf(sha256).map((path) => [path, bytes] as const),
    );
    await this.#tree.writeAll(files);
  }

  /** One that is about to be read. */
  async begin(sha256: Sha256): Promise<Keeping> {
    const stages: [string, Stage][] = [];
    for (const path of this.#pathsOf(sha256)) stages.push([path, await this.#tree.stage()]);
    return new Keeping(stages);
  }

  #pathsOf(sha256: Sha256): readonly string[] {
    return this.#paths.get(sha256) ?? [];
  }
}

/** Ends with `commit`, once the bytes are known to be right, and `discard`, which then does nothing. */
class Keeping {
  readonly #stages: readonly (readonly [path: string, stage: Stage])[];

  constructor(stages: readonly (readonly [path: string, stage: Stage])[]) {
    this.#stages = stages;
  }

  /** As `Depot.scan`: what is pushed is written too, no faster than the disk takes it. */
  async scan(depot: Depot, path: string, size: number, update: Update): Promise<number | null> {
    const file = await depot.open(path);
    if (file === null) return null;
    if (file.size !== size) {
      file.stream.destroy();
      return file.size;
    }
    let read = 0;
    for await (const chunk of file.stream as AsyncIterable<Buffer>) {
      read += chunk.length;
      // leaving the loop ends the stream
      if (read > size) break;
      update(chunk);
      for (const [, stage] of this.#stages) await stage.write(chunk);
    }
    return read;
  }

  async commit(): Promise<void> {
    for (const [path, stage] of this.#stages) await stage.commit(path);
  }

  async discard(): Promise<void> {
    for (const [, stage] of this.#stages) await stage.discard();
  }
}
