/**
 * A depot over a tree in this process. Protocol §4: judge, write, done. What HTTP serves is this, and whoever
 * writes into a directory goes through it too.
 */
import type { Readable } from 'node:stream';
import { refused } from '../failure.ts';
import { judgeBuilder, judgeRead, judgeUpload } from '../policy/gate.ts';
import type { UploadQuestion } from '../policy/gate/blob.ts';
import { isProject } from '../policy/gate/rules.ts';
import { CARRIER, tokenOf } from '../policy/gate/token.ts';
import type { Bearer, ReadAuthority } from '../policy/gate/token.ts';
import type { Denied } from '../policy/gate/verdict.ts';
import { matchesDigest } from '../policy/token.ts';
import type { BuildId, ProjectName, Sha256, Version } from '../records/names.ts';
import { blobFile, buildPath, releaseDir } from '../records/paths.ts';
import type { Uploader } from './blobs.ts';
import { DeniedFailure } from './denied.ts';
import { extendLog } from './log/extend.ts';
import { holderOf } from './pieces.ts';
import { mismatch } from './receive.ts';
import { missing, placed, readAll, readPieces, sizesOf } from './released.ts';
import type { Wanted } from './released.ts';
import { SharedTree } from './shared-tree.ts';
import type { SharedTreeOptions } from './shared-tree.ts';
import type { Blob, BlobRef, Depot, FileRef, FileStatus, LogPush } from './tree.ts';
import type { LocalFile, Place, Update, Written } from './tree.ts';
import { batches } from './wire.ts';

type Source<T> = Iterable<T> | AsyncIterable<T>;
const PAGE = 1000;
/** How many builds are looked at for a page of revoked ones: some tenths of a second. */
const LOOKED_AT = 10_000;

export class GatedDepot implements Depot {
  readonly #shared: SharedTree;
  readonly #bearer: Bearer;

  private constructor(shared: SharedTree, bearer: Bearer) {
    this.#shared = shared;
    this.#bearer = bearer;
  }

  /** One for each tree in a process: its locks and counts are its own. */
  static over(options: SharedTreeOptions): GatedDepot {
    return GatedDepot.of(new SharedTree(options));
  }

  static of(shared: SharedTree): GatedDepot {
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

  /** Whether whoever asks is the signer or, of a build, one of its builders, while it takes anything and was not revoked. Throws unable('disk'). */
  async isKnown(build: BuildId | null): Promise<boolean> {
    const { rules, approvals } = this.#shared;
    const token = tokenOf(this.#bearer);
    if (token === null) return false;
    if (isProject(rules) && matchesDigest(token, rules.signerTokenSha256)) return true;
    if (build === null) return false;
    if ('allow' in (await judgeBuilder(this.#uploadQuestion(build)))) return false;
    const signed = await approvals.of(build);
    return !('allow' in signed) && !(await approvals.isRevoked(signed));
  }

  async read(path: string, maxBytes: number): Promise<Buffer | null> {
    return (await this.#readable(path, false)) ? this.#shared.tree.read(path, maxBytes) : null;
  }

  async open(path: string): Promise<LocalFile | null> {
    return (await this.#readable(path, false)) ? this.#shared.tree.open(path) : null;
  }

  async scan(path: string, size: number, update: Update): Promise<number | null> {
    return (await this.#readable(path, false)) ? this.#shared.tree.scan(path, size, update) : null;
  }

  async place(path: string): Promise<Place | null> {
    const { directory } = this.#shared.tree;
    return (await this.#readable(path, false)) ? { directory, path } : null;
  }

  /** What HEAD tells: a builder may ask it of blobs that it may not read. Null if it is not there. */
  async status(path: string): Promise<FileStatus | null> {
    return (await this.#readable(path, true)) ? this.#shared.tree.status(path) : null;
  }

  async size(path: string): Promise<number | null> {
    return (await this.status(path))?.size ?? null;
  }

  async builds(after: BuildId | null): Promise<{ builds: BuildId[]; next: BuildId | null }> {
    const found = await this.#shared.tree.builds(after, PAGE + 1);
    const builds = found.slice(0, PAGE);
    return { builds, next: found.length > PAGE ? (builds.at(-1) ?? null) : null };
  }

  async revoked(after: BuildId | null): Promise<{ builds: BuildId[]; next: BuildId | null }> {
    return this.#shared.tree.revoked(after, LOOKED_AT);
  }

  /** Tells nothing: others may write into the same directory. */
  async changes(): Promise<null> {
    return null;
  }

  async submit(build: BuildId, files: ReadonlyMap<string, Buffer>): Promise<Written> {
    return this.#shared.submissions.records(build, this.#bearer, files);
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
    return this.#shared.blobs.put(await this.#judgeUpload(build), build, { sha256, size }, source);
  }

  /**
   * As `putBlob`, of all of a blob but its first `offset` bytes; what came stays when the source breaks off, for whoever
   * has the same token. Throws refused('upload-offset') if it does not begin where that ends.
   */
  async continueBlob(build: BuildId, blob: BlobRef, offset: number, source: Readable): Promise<Written> {
    const upload = await this.#judgeUpload(build);
    const { holder } = upload;
    if (holder === null) return this.#shared.blobs.put(upload, build, blob, () => source);
    return this.#shared.uploads.put(upload, { build, holder, sha256: blob.sha256 }, blob, offset, source);
  }

  /** Where `continueBlob` can go on; null if it can't, or nothing may be sent. Throws unable('busy'). */
  async uploadOffset(build: BuildId, sha256: Sha256): Promise<number | null> {
    const upload = await this.#mayUpload(build);
    if (!upload.allow || upload.holder === null) return null;
    return this.#shared.uploads.offset({ build, holder: upload.holder, sha256 });
  }

  async putBlobs(build: BuildId, files: Source<Blob>): Promise<void> {
    await this.#shared.blobs.putAll(await this.#judgeUpload(build), build, await all(files));
  }

  /** A batch at a time in memory. Throws as `blobSizes`, refused('blob-mismatch'). */
  async *fetchBlobs(build: BuildId, blobs: readonly BlobRef[]): AsyncGenerator<Blob, void, undefined> {
    for (const some of batches(blobs, ({ size }) => size)) {
      const sizes = await this.blobSizes(
        build,
        some.map(({ sha256 }) => sha256),
      );
      const other = some.find(({ size }, at) => size !== sizes[at]);
      if (other) throw mismatch(other.sha256, 'another size');
      const read = await readAll(this.#shared.tree, blobsOf(build, some));
      for (const [at, bytes] of read.entries()) {
        const sha256 = some[at]?.sha256;
        if (sha256 !== undefined) yield { sha256, bytes };
      }
    }
  }

  /** The sizes of blobs that may be read. Throws the gate's denial, refused('blob-missing'). */
  async blobSizes(build: BuildId, digests: readonly Sha256[]): Promise<number[]> {
    // one verdict: the rule is the same for all of them
    const readable = await this.#readable(buildPath(build, 'blobs'), false);
    const paths = readable ? digests.map((sha256) => buildPath(build, blobFile(sha256))) : [];
    const sizes = await sizesOf(this.#shared.tree, paths);
    return digests.map((sha256, at) => {
      const size = sizes[at] ?? null;
      if (size === null) throw refused('blob-missing', `build ${build} has no blob ${sha256}`);
      return size;
    });
  }

  /** Small blobs as `readPieces` has them, of whoever `blobSizes` told of them. */
  readBlobs(build: BuildId, blobs: readonly BlobRef[]): AsyncIterable<Buffer> {
    return readPieces(this.#shared.tree, blobsOf(build, blobs));
  }

  async putSignatures(build: BuildId, files: Source<{ name: string; bytes: Buffer }>): Promise<void> {
    const named = (await all(files)).map(({ name, bytes }) => [`signatures/${name}`, bytes] as const);
    await this.#shared.submissions.authenticators(build, this.#bearer, named);
  }

  async pushLog(push: LogPush): Promise<Written> {
    const { tree, rules, locks, heard } = this.#shared;
    const written = await locks.run('log', () => extendLog(tree, rules.log, push));
    if (written === 'new') heard({ kind: 'logged' });
    return written;
  }

  async publish(build: BuildId): Promise<void> {
    // not under the build's lock: others may write meanwhile
    await this.#shared.publishing.run(build);
  }

  async fetchReleased(project: ProjectName, version: Version, files: readonly FileRef[]): Promise<Buffer[]> {
    const directory = await this.#releaseDirectory(project, version);
    return readAll(
      this.#shared.tree,
      files.map((file) => placed(directory, file)),
    );
  }

  /** As `fetchReleased`, as `readPieces` has them; of whoever `releasedSizes` told of them. */
  readReleased(project: ProjectName, version: Version, files: readonly FileRef[]): AsyncIterable<Buffer> {
    const directory = releaseDir(project, version);
    return readPieces(
      this.#shared.tree,
      files.map((file) => placed(directory, file)),
    );
  }

  async releasedSizes(
    project: ProjectName,
    version: Version,
    names: readonly string[],
  ): Promise<(number | null)[]> {
    const directory = await this.#releaseDirectory(project, version);
    return sizesOf(
      this.#shared.tree,
      names.map((name) => placed(directory, { name, size: 0 }).path),
    );
  }

  close(): void {
    // a directory has nothing to hang up
  }

  /** One verdict for all in it. Throws the gate's denial, refused('not-found'). */
  async #releaseDirectory(project: ProjectName, version: Version): Promise<string> {
    const directory = releaseDir(project, version);
    if (await this.#readable(directory, false)) return directory;
    throw missing(directory);
  }

  /** False if the gate says that there is no such file. Throws its other denials. */
  async #readable(path: string, head: boolean): Promise<boolean> {
    const { tree: view, rules, now, url } = this.#shared;
    const question = { rules, path, head, bearer: this.#bearer, view, url: url(), now: now() };
    const denied = await judgeRead(question);
    if (denied && denied.status !== 404) throw new DeniedFailure(denied);
    return denied === null;
  }

  async #judgeUpload(build: BuildId): Promise<Uploader> {
    const upload = await this.#mayUpload(build);
    if (!upload.allow) throw new DeniedFailure(upload);
    return upload;
  }

  async #mayUpload(build: BuildId): Promise<Uploader | Denied> {
    const upload = await judgeUpload(this.#uploadQuestion(build));
    const token = tokenOf(this.#bearer);
    return upload.allow ? { ...upload, holder: token && holderOf(token) } : upload;
  }

  /** What is asked of the gate for artifacts, with what this process remembers of the build. */
  #uploadQuestion(build: BuildId): UploadQuestion {
    const { tree: view, rules, now, decisions, approvals } = this.#shared;
    return {
      ...{ rules, build, bearer: this.#bearer, view, now: now() },
      decided: () => decisions.of(build),
      signed: () => approvals.of(build),
    };
  }
}

const blobsOf = (build: BuildId, blobs: readonly BlobRef[]): Wanted[] =>
  blobs.map(({ sha256, size }) => ({ path: buildPath(build, blobFile(sha256)), size }));

async function all<T>(source: Source<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}
