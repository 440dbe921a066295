/**
 * A depot over a tree in this process. Protocol §4: judge, write, done. What HTTP serves is this, and whoever
 * writes into a directory goes through it too.
 */
import { createHash } from 'node:crypto';
import { Failure, refused } from '../failure.ts';
import { judgeBlob, judgeRead, judgeRecords, judgeUpload } from '../policy/gate.ts';
import type { Upload } from '../policy/gate/blob.ts';
import { isProject } from '../policy/gate/rules.ts';
import type { GateRules } from '../policy/gate/rules.ts';
import { CARRIER } from '../policy/gate/token.ts';
import type { Bearer, ReadAuthority } from '../policy/gate/token.ts';
import type { BuildId, Sha256 } from '../records/names.ts';
import { VARIANTS, blobFile, buildPath, parseBuildFile } from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import { Decisions } from './decisions.ts';
import { DeniedFailure } from './denied.ts';
import { extendLog } from './log/extend.ts';
import { KeyedMutex } from './mutex.ts';
import { inParallel } from './parallel.ts';
import { publish } from './publish.ts';
import { Quotas } from './quota.ts';
import type { Quota } from './quota.ts';
import { SharedWork } from './shared-work.ts';
import { BATCH } from './tree.ts';
import type { Blob, BlobRef, ByteRange, Depot, LogPush, OpenFile, Tree, Written } from './tree.ts';

export interface GatedDepotOptions {
  readonly tree: Tree;
  readonly rules: GateRules;
  readonly now: () => Date;
  /** The URL that it is served at, beside the one in the project file; asked for each time, as it is known late. */
  readonly url?: () => string | null;
}

/** What all that write to one tree in this process share. */
interface Shared extends GatedDepotOptions {
  readonly locks: KeyedMutex;
  readonly quotas: Quotas;
  readonly decisions: Decisions;
  /** Verifying takes minutes: however many ask, there is one run, and one that waits. */
  readonly publishing: SharedWork<BuildId>;
}

type Source<T> = Iterable<T> | AsyncIterable<T>;

const PAGE = 1000;
/** How many builds are looked at for a page of revoked ones: some tenths of a second. */
const LOOKED_AT = 10_000;
const WRITERS = 8;

export class GatedDepot implements Depot {
  readonly #shared: Shared;
  readonly #bearer: Bearer;

  private constructor(shared: Shared, bearer: Bearer) {
    this.#shared = shared;
    this.#bearer = bearer;
  }

  /** One for each tree in a process: its locks and counts are its own. */
  static over(options: GatedDepotOptions): GatedDepot {
    const { tree, rules, now } = options;
    const publishing = new SharedWork<BuildId>(async (build) => {
      if (!isProject(rules)) throw refused('publish-refused', 'a ticket publishes nothing');
      await publish({ tree, project: rules, build, now: now() });
    });
    const shared = {
      ...options,
      locks: new KeyedMutex(),
      quotas: new Quotas(tree),
      decisions: new Decisions(rules, tree),
      publishing,
    };
    return new GatedDepot(shared, null);
  }

  /** The same depot as someone with this token, or with this read request, sees it. */
  as(bearer: Buffer | ReadAuthority | null): GatedDepot {
    return new GatedDepot(this.#shared, bearer);
  }

  /** The same depot for whoever keeps it and copies into it from another one. */
  asCarrier(): GatedDepot {
    return new GatedDepot(this.#shared, CARRIER);
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

  async revoked(after: BuildId | null): Promise<{ builds: BuildId[]; next: BuildId | null }> {
    return this.#shared.tree.revoked(after, LOOKED_AT);
  }

  async submit(build: BuildId, files: ReadonlyMap<string, Buffer>): Promise<Written> {
    const work = (): Promise<Written> => this.#submit(build, files, 1);
    // of two processes neither takes away what the other is about to complete
    const revokes = [...files.keys()].some((name) => parseBuildFile(name)?.kind === 'revocation');
    return revokes ? this.#shared.tree.replacing(work) : work();
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

  async pushLog(push: LogPush): Promise<Written> {
    const { tree, rules, locks } = this.#shared;
    return locks.run('log', () => extendLog(tree, rules.log, push));
  }

  async publish(build: BuildId): Promise<void> {
    // not under the build's lock: others may write meanwhile
    await this.#shared.publishing.run(build);
  }

  close(): void {}

  /** False if the gate says that there is no such file. Throws its other denials. */
  async #readable(path: string, head: boolean): Promise<boolean> {
    const { tree: view, rules, now, url = () => null } = this.#shared;
    const question = { rules, path, head, bearer: this.#bearer, view, url: url(), now: now() };
    const denied = await judgeRead(question);
    if (denied && denied.status !== 404) throw new DeniedFailure(denied);
    return denied === null;
  }

  /**
   * Records and their authenticators: judged whole, then written, before the next write of this process to the build
   * is judged. Where another process was faster they are judged again, in the presence of what it wrote.
   */
  async #submit(
    build: BuildId,
    files: Iterable<readonly [string, Buffer]>,
    writers: number,
  ): Promise<Written> {
    return this.#shared.locks.run(build, async () => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.#judgeAndWrite(build, files, writers);
        } catch (error) {
          const lost =
            error instanceof Failure && !(error instanceof DeniedFailure) && error.code === 'conflict';
          if (!lost || attempt > VARIANTS.length) throw error;
        }
      }
    });
  }

  async #judgeAndWrite(
    build: BuildId,
    files: Iterable<readonly [string, Buffer]>,
    writers: number,
  ): Promise<Written> {
    const { tree, rules, now, decisions } = this.#shared;
    const verdict = await judgeRecords({
      rules,
      build,
      files,
      bearer: this.#bearer,
      view: tree,
      decided: await decisions.of(build),
      now: now(),
    });
    if (!verdict.allow) throw new DeniedFailure(verdict);
    for (const file of verdict.abandoned) await tree.remove(buildPath(build, file));
    let written: Written = 'same';
    await inParallel(verdict.files, writers, async ([file, bytes]) => {
      if ((await tree.write(buildPath(build, file), bytes)) === 'new') written = 'new';
    });
    return written;
  }

  async #judgeUpload(build: BuildId): Promise<Upload> {
    const { tree: view, rules, now, decisions } = this.#shared;
    const decided = await decisions.of(build);
    const upload = await judgeUpload({ rules, build, bearer: this.#bearer, view, decided, now: now() });
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
      const present = await tree.size(buildPath(build, blobFile(blob.sha256)));
      if (present === blob.size) return null;
      if (present !== null) throw otherSize(build, blob, present);
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

/** A lie, or what a copy past the gate or a failing disk left behind. */
const otherSize = (build: BuildId, { sha256, size }: BlobRef, present: number): Failure =>
  refused(
    'blob-mismatch',
    `${buildPath(build, blobFile(sha256))} is there with ${present} bytes, not ${size}`,
    'if the depot has a broken copy, remove that file there and send it again',
  );

const mismatch = (sha256: Sha256, how: string): Failure =>
  refused('blob-mismatch', `what came as blob ${sha256} has ${how}`);

async function all<T>(source: Source<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}
