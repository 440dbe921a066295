/**
 * Where verified artifacts go for whoever wants them on this host too: DIRECTORY/PROJECT-VERSION/NAME, all of a release at
 * once and after it is logged. Until then each content lies once in DIRECTORY/BUILD, by its digest; of a build that is
 * not signed nothing stays. Never in the place of anything else, never through a link.
 */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { refused } from '../failure.ts';
import { orNull } from '../host/files.ts';
import type { Manifest } from '../records/manifest.ts';
import type { BuildId, Sha256 } from '../records/names.ts';
import { inParallel } from '../tree/parallel.ts';
import type { Blob, Depot, Stage, Tree, Update } from '../tree/tree.ts';

/** How many files get their names at a time. */
const LINKS = 16;

type Release = Pick<Manifest, 'project' | 'version' | 'subjects'>;

export class Keep {
  readonly #tree: Tree;
  readonly #build: BuildId;
  #begun = false;

  constructor(tree: Tree, build: BuildId) {
    this.#tree = tree;
    this.#build = build;
  }

  /** Whether artifacts were about to be read for it: until then nothing of it is there, and nobody needs the directory. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Whether the release has a place there, before anything is read. Throws refused(`conflict`), unable(`disk`). */
  async requireRoom(release: Release): Promise<void> {
    this.#begun = true;
    const place = join(this.#tree.directory, directoryOf(release));
    if ((await orNull(lstat(place), `look at ${place}`)) !== null) throw taken(place);
  }

  /** Small ones, verified. Throws usage(`depot-shared`), unable. */
  async writeAll(blobs: readonly Blob[]): Promise<void> {
    await this.#tree.writeAll(blobs.map(({ sha256, bytes }) => [this.#path(sha256), bytes]));
  }

  /** One that is about to be read. */
  async begin(sha256: Sha256): Promise<Keeping> {
    return new Keeping(await this.#tree.stage(), this.#path(sha256));
  }

  /**
   * The release is logged: its artifacts get their names. Of one that was signed without being kept nothing is there, and
   * what there is of one that was kept in part goes. Throws refused(`conflict`), unable.
   */
  async finish(release: Release): Promise<void> {
    const kept = new Set(await this.#tree.list(this.#build));
    if (release.subjects.every(({ sha256 }) => kept.has(sha256))) {
      const directory = directoryOf(release);
      const assembly = await this.#tree.assemble(directory);
      try {
        await inParallel(release.subjects, LINKS, ({ name, sha256 }) =>
          assembly.link(this.#path(sha256), name),
        );
        if (!(await assembly.commit())) throw taken(join(this.#tree.directory, directory));
      } finally {
        await assembly.discard();
      }
    }
    await this.discard();
  }

  /** Nothing of the build stays that has no name. */
  async discard(): Promise<void> {
    await this.#tree.remove(this.#build);
  }

  #path(sha256: Sha256): string {
    return `${this.#build}/${sha256}`;
  }
}

const directoryOf = ({ project, version }: Release): string => `${project}-${version}`;

const taken = (place: string) =>
  refused(
    'conflict',
    `${place} is there already`,
    'artifacts are kept where nothing is yet: move it out of the way and run this again, or go without --keep',
  );

/** Ends with `commit`, once the bytes are known to be right, and `discard`, which then does nothing. */
class Keeping {
  readonly #stage: Stage;
  readonly #path: string;

  constructor(stage: Stage, path: string) {
    this.#stage = stage;
    this.#path = path;
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
      await this.#stage.write(chunk);
    }
    return read;
  }

  async commit(): Promise<void> {
    await this.#stage.commit(this.#path);
  }

  async discard(): Promise<void> {
    await this.#stage.discard();
  }
}
