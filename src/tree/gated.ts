/**
 * A depot over a tree in this process. Protocol §4: judge, write, done. What HTTP serves is this, and whoever
 * writes into a directory goes through it too.
 */
import { createHash } from 'node:crypto';
import { Failure, refused } from '../failure.ts';
import { judgeBlob, judgeRead, judgeRecords, judgeUpload } from '../policy/gate.ts';
import type { Denied } from '../policy/gate.ts';
import type { Upload } from '../policy/gate/blob.ts';
import type { Project } from '../policy/project.ts';
import type { BuildId, Sha256 } from '../records/names.ts';
import { blobFile, buildPath } from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import { KeyedMutex } from './mutex.ts';
import { inParallel } from './parallel.ts';
import { publish } from './publish.ts';
import { Quotas } from './quota.ts';
import type { Quota } from './quota.ts';
import { BATCH } from './tree.ts';
import type { Blob, BlobRef, ByteRange, Depot, OpenFile, Tree, Written } from './tree.ts';

/** What the gate said no to, with the HTTP status for it. */
export class DeniedFailure extends Failure {
  readonly status: number;

  constructor({ status, code, message, hint }: Denied) {
    super('refused', code, message, hint);
    this.status = status;
  }
}

export interface GatedDepotOptions {
  readonly tree: Tree;
  readonly project: Project;
  readonly now: () => Date;
}

/** What all that write to one tree in this process share. */
interface Shared extends GatedDepotOptions {
  readonly locks: KeyedMutex;
  readonly quotas: Quotas;
}

type Source<T> = Iterable<T> | AsyncIterable<T>;

const PAGE = 1000;
const WRITERS = 8;

export class GatedDepot implements Depot {
  readonly #shared: Shared;
  readonly #token: Buffer | null;

  private constructor(shared: Shared, token: Buffer | null) {
    this.#shared = shared;
    this.#token = token;
  }

  /** One for each tree in a process: its locks and counts are its own. */
  static over(options: GatedDepotOptions): GatedDepot {
    return new GatedDepot({ ...options, locks: new KeyedMutex(), quotas: new Quotas(options.tree) }, null);
  }

  /** The same depot as someone with this token sees it. */
  as(token: Buffer | null): GatedDepot {
    return new GatedDepot(this.#shared, token);
  }

  async read(path: string, maxBytes: number): Promise<Buffer | null> {
    return (await this.#readable(path, false)) ? this.#shared.tree.read(path, maxBytes) : null;
  }

  async open(path: string, range?: ByteRange): Promise<OpenFile | null> {
    return (await this.#readable(path, false)) ? this.#shared.tree.open(path, range) : null;
  }

  /** What HEAD tells: a builder may ask it of blobs that it may not read. Null if it is not there. */
  async size(path: string): Promise<number | null> {
    return (await this.#readable(path, true)) ? this.#shared.tree.size(path) : null;
  }

  async builds(after: BuildId | null): Promise<{ builds: BuildId[]; next: BuildId | null }> {
    const found = await this.#shared.tree.builds(after, PAGE + 1);
    const builds = found.slice(0, PAGE);
    return { builds, next: found.length > PAGE ? (builds.at(-1) ?? null) : null };
  }

  async submit(build: BuildId, files: ReadonlyMap<string, Buffer>): Promise<Written> {
    return this.#submit(build, files, 1);
  }

  async hasBlob(build: BuildId, sha256: Sha256): Promise<boolean> {
    return (await this.size(buildPath(build, blobFile(sha256)))) !== null;
  }

  /** One that is there already is not received again. */
  async putBlob(
    build: BuildId,
    sha256: Sha256,
    size: number,
    source: () => AsyncIterable<Buffer>,
  ): Promise<Written> {
    const upload = await this.#judgeUpload(build);
    return this.#within(upload, build, { sha256, size }, () =>
      this.#receive(build, { sha256, size }, source()),
    );
  }

  async putBlobs(build: BuildId, files: Source<Blob>): Promise<void> {
    const upload = await this.#judgeUpload(build);
    const put = async ({ sha256, bytes }: Blob): Promise<void> => {
      if (sha256Hex(bytes) !== sha256) throw mismatch(sha256, 'another digest');
      const path = buildPath(build, blobFile(sha256));
      await this.#within(upload, build, { sha256, size: bytes.length }, () =>
        this.#shared.tree.write(path, bytes),
      );
    };
    await inParallel(await all(files), WRITERS, put);
  }

  async *fetchBlobs(build: BuildId, blobs: readonly BlobRef[]): AsyncGenerator<Blob, void, undefined> {
    for (const { sha256, size } of blobs) {
      const blob = await this.fetchBlob(build, sha256);
      if (blob.bytes.length !== size) throw mismatch(sha256, 'another size');
      yield blob;
    }
  }

  /** A small blob. Throws refused('blob-missing'). */
  async fetchBlob(build: BuildId, sha256: Sha256): Promise<Blob> {
    const bytes = await this.read(buildPath(build, blobFile(sha256)), BATCH.fileBytes);
    if (bytes) return { sha256, bytes };
    throw refused('blob-missing', `build ${build} has no blob ${sha256}`);
  }

  async putSignatures(build: BuildId, files: Source<{ name: string; bytes: Buffer }>): Promise<void> {
    const named = (await all(files)).map(({ name, bytes }) => [`signatures/${name}`, bytes] as const);
    await this.#submit(build, named, WRITERS);
  }

  async publish(build: BuildId): Promise<void> {
    const { tree, project, now, locks } = this.#shared;
    // not the build's lock: verifying takes minutes, in which others may write
    await locks.run(`publish ${build}`, () => publish({ tree, project, build, now: now() }));
  }

  close(): void {}

  /** False if the gate says that there is no such file. Throws its other denials. */
  async #readable(path: string, head: boolean): Promise<boolean> {
    const { tree: view, project, now } = this.#shared;
    const denied = await judgeRead({ project, path, head, token: this.#token, view, now: now() });
    if (denied && denied.status !== 404) throw new DeniedFailure(denied);
    return denied === null;
  }

  /** Records and their authenticators: judged whole, then written, before the next write to the build is judged. */
  async #submit(
    build: BuildId,
    files: Iterable<readonly [string, Buffer]>,
    writers: number,
  ): Promise<Written> {
    const { tree, project, now, locks } = this.#shared;
    return locks.run(build, async () => {
      const question = { project, build, files, token: this.#token, view: tree, now: now() };
      const verdict = await judgeRecords(question);
      if (!verdict.allow) throw new DeniedFailure(verdict);
      let written: Written = 'same';
      await inParallel(verdict.files, writers, async ([file, bytes]) => {
        if ((await tree.write(buildPath(build, file), bytes)) === 'new') written = 'new';
      });
      return written;
    });
  }

  async #judgeUpload(build: BuildId): Promise<Upload> {
    const { tree: view, project, now } = this.#shared;
    const upload = await judgeUpload({ project, build, token: this.#token, view, now: now() });
    if (!upload.allow) throw new DeniedFailure(upload);
    return upload;
  }

  /** Writes a blob that is not there yet, counted against the build's limits from before its first byte. */
  async #within(
    upload: Upload,
    build: BuildId,
    blob: BlobRef,
    write: () => Promise<Written>,
  ): Promise<Written> {
    const { tree, locks, quotas } = this.#shared;
    const quota = await locks.run(build, async (): Promise<Quota | null> => {
      if ((await tree.size(buildPath(build, blobFile(blob.sha256)))) !== null) return null;
      const counted = await quotas.of(build);
      const denied = judgeBlob(upload, blob, counted.totals);
      if (denied) throw new DeniedFailure(denied);
      counted.begin(blob.size);
      return counted;
    });
    if (!quota) return 'same';
    let written: Written = 'same';
    try {
      written = await write();
      return written;
    } finally {
      quota.end(blob.size, written);
    }
  }

  /** Streams a blob to the disk while hashing it, and stops at its size. */
  async #receive(build: BuildId, { sha256, size }: BlobRef, source: AsyncIterable<Buffer>): Promise<Written> {
    const stage = await this.#shared.tree.stage();
    try {
      const hash = createHash('sha256');
      let received = 0;
      for await (const chunk of source) {
        received += chunk.length;
        if (received > size) throw mismatch(sha256, 'more bytes than it said');
        const writing = stage.write(chunk);
        hash.update(chunk); // meanwhile
        await writing;
      }
      if (received !== size) throw mismatch(sha256, 'fewer bytes than it said');
      if (hash.digest('hex') !== sha256) throw mismatch(sha256, 'another digest');
      return await stage.commit(buildPath(build, blobFile(sha256)));
    } finally {
      await stage.discard();
    }
  }
}

const mismatch = (sha256: Sha256, how: string): Failure =>
  refused('blob-mismatch', `what came as blob ${sha256} has ${how}`);

async function all<T>(source: Source<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}
