/**
 * A depot behind HTTP. Protocol §4.
 *
 * What it answers is as little trusted as what lies in it: names, order and sizes are held against what was
 * asked for; digests and signatures are for whoever asked.
 */
import type { Readable } from 'node:stream';
import { Failure, refused, unable } from '../failure.ts';
import { tooLarge } from '../host/files.ts';
import { HttpClient, bytesBody } from '../host/http.ts';
import type { Broken, HttpRequest, HttpTiming } from '../host/http.ts';
import { collect } from '../host/http-body.ts';
import { badAnswer } from '../host/http-exchange.ts';
import { closedObject, listOf, nullOr } from '../records/fields.ts';
import { toBuildId } from '../records/names.ts';
import type { BuildId, ProjectName, Sha256, Version } from '../records/names.ts';
import { blobFile, buildPath, isTreePath, releaseDir } from '../records/paths.ts';
import { encodeBundle } from '../tlog/tile.ts';
import { inParallel } from './parallel.ts';
import { packTar, tarEntries, tarLength } from './tar.ts';
import type { TarEntry } from './tar.ts';
import type { ReadAuthority } from '../policy/gate/token.ts';
import { BATCH, RESUMED } from './tree.ts';
import type {
  Blob,
  BlobRef,
  Changed,
  Depot,
  FileRef,
  LogPush,
  OpenFile,
  Page,
  Place,
  Update,
  Written,
} from './tree.ts';
import { BYTES_TYPE, CHANGES_WAIT_MS, JSON_TYPE, LOG_PUSH_MAX, SMALL_BODY_MAX, TAR_TYPE } from './wire.ts';
import { batches, formatAuthorization, formatNames, parseChanges } from './wire.ts';
import { parseError, parseJson, parseSizes } from './wire.ts';

/** How many bodies of many files are on their way at a time. */
const BATCHES = 3;
const LISTING_MAX = 1024 * 1024;
const LISTED_MAX = 20_000;
// a depot verifies all of a release before it answers; 280 MB a second is what it may be expected to do
const PUBLISH_MS = 15 * 60_000;
// it says that nothing has changed before that
const CHANGES_MS = CHANGES_WAIT_MS + 10_000;

export interface HttpDepotOptions {
  readonly url: string;
  /** An upload token or the signer's, or a signed read request; null: only what is public. */
  readonly token: Buffer | ReadAuthority | null;
  readonly insecureHttp: boolean;
  readonly timing?: Partial<HttpTiming>;
  readonly broken?: Broken | undefined;
}

export class HttpDepot implements Depot {
  readonly #http: HttpClient;
  readonly #url: string;
  readonly #insecureHttp: boolean;
  readonly #timing: Partial<HttpTiming>;
  readonly #authorization: string | null;

  /** Throws usage('depot-url'). */
  constructor({ url, token, insecureHttp, timing = {}, broken }: HttpDepotOptions) {
    this.#url = url;
    this.#insecureHttp = insecureHttp;
    this.#timing = timing;
    this.#http = new HttpClient(url, { insecureHttp, timing, broken });
    this.#authorization = token && formatAuthorization(token);
  }

  async read(path: string, maxBytes: number): Promise<Buffer | null> {
    const request = this.#get(path);
    // an error has a body, too, which has nothing to do with the bound
    const { status, bytes } = await this.#http.read(request, Math.max(maxBytes, SMALL_BODY_MAX));
    if (status === 404) return null;
    if (status !== 200) throw this.#failure(status, bytes, request);
    if (bytes.length > maxBytes) throw tooLarge(path, maxBytes);
    return bytes;
  }

  async open(path: string): Promise<OpenFile | null> {
    const request = this.#get(path);
    const { status, size, stream } = await this.#http.open(request);
    if (status === 200) return { size: size ?? 0, stream };
    const body = await collect(stream, size ?? 0, SMALL_BODY_MAX, path).finally(() => stream.destroy());
    if (status === 404) return null;
    throw this.#failure(status, body, request);
  }

  async scan(path: string, size: number, update: Update): Promise<number | null> {
    const head = await this.#http.scan(this.#get(path), size, update);
    if (head.status === 200) return head.size;
    // what it says instead is heard the ordinary way; a depot that was busy may have it by then
    const file = await this.open(path);
    if (file === null) return null;
    if (file.size !== size) file.stream.destroy();
    else for await (const chunk of file.stream as AsyncIterable<Buffer>) update(chunk);
    return file.size;
  }

  async place(path: string): Promise<Place> {
    return {
      url: this.#url,
      insecureHttp: this.#insecureHttp,
      timing: this.#timing,
      request: this.#get(path),
    };
  }

  async size(path: string): Promise<number | null> {
    const request: HttpRequest = { ...this.#get(path), method: 'HEAD' };
    const { status, size, bytes } = await this.#http.read(request, 0);
    if (status === 200) return size;
    if (status === 404) return null;
    throw this.#failure(status, bytes, request);
  }

  builds(after: BuildId | null): Promise<Page> {
    return this.#list(after === null ? 'builds/' : `builds/?after=${after}`, after);
  }

  revoked(after: BuildId | null): Promise<Page> {
    return this.#list(`builds/?revoked=1${after === null ? '' : `&after=${after}`}`, after);
  }

  async #list(path: string, after: BuildId | null): Promise<Page> {
    const { bytes } = await this.#done({ method: 'GET', path }, LISTING_MAX).catch((error: unknown) => {
      if (!(error instanceof Failure) || !['http-404', 'not-found'].includes(error.code)) throw error;
      throw refused(error.code, error.message, 'is this the address of a depot? every depot has that list');
    });
    const listing = closedObject(parseJson(bytes), 'the list of builds', ['builds', 'next']);
    const builds = listOf(listing.builds, 'builds', { min: 0, max: LISTED_MAX }, toBuildId);
    const next = nullOr(listing.next, 'next', toBuildId);
    const sequence = [after ?? '', ...builds, ...(next === null || next === builds.at(-1) ? [] : [next])];
    // else a list could lead round in circles
    if (sequence.some((id, at) => at > 0 && id <= (sequence[at - 1] ?? '')))
      throw badAnswer('its builds are out of order');
    return { builds, next };
  }

  /** On a connection of its own, which ends with `signal`; tried once. */
  async changes(after: string | null, signal: AbortSignal): Promise<Changed | null> {
    const timing = { ...this.#timing, backOffMs: [] };
    const http = new HttpClient(this.#url, { insecureHttp: this.#insecureHttp, timing });
    const end = (): void => http.close();
    signal.addEventListener('abort', end);
    try {
      signal.throwIfAborted();
      const request: HttpRequest = {
        method: 'GET',
        path: after === null ? 'changes/' : `changes/?after=${after}`,
        authorization: this.#authorization,
        outcomeMs: CHANGES_MS,
      };
      const { status, bytes } = await http.read(request, SMALL_BODY_MAX);
      if (status === 404) return null;
      if (status !== 200) throw this.#failure(status, bytes, request);
      return parseChanges(bytes);
    } finally {
      signal.removeEventListener('abort', end);
      end();
    }
  }

  async submit(build: BuildId, files: ReadonlyMap<string, Buffer>): Promise<Written> {
    return this.#postTar(
      buildPath(build),
      [...files].map(([name, bytes]) => ({ name, bytes })),
    );
  }

  /** Any doubt is a no: sending it then tells why. */
  async hasBlob(build: BuildId, sha256: Sha256): Promise<boolean> {
    const request: HttpRequest = {
      method: 'HEAD',
      path: buildPath(build, blobFile(sha256)),
      authorization: this.#authorization,
    };
    return (await this.#http.read(request, 0)).status === 200;
  }

  /** Asks first what the depot has of a large one, and sends the rest. */
  async putBlob(
    build: BuildId,
    sha256: Sha256,
    size: number,
    source: (had?: number) => Readable,
  ): Promise<Written> {
    const path = buildPath(build, blobFile(sha256));
    if (size < RESUMED)
      return (
        await this.#done({ method: 'PUT', path, body: { type: BYTES_TYPE, size, source: () => source() } })
      ).written;
    const authorization = this.#authorization;
    const body = { type: BYTES_TYPE, size, source: (from: number) => behind(source(from), from) };
    const { status, bytes } = await this.#http.upload({ path, authorization, ...body }, SMALL_BODY_MAX);
    return this.#written({ method: 'PUT', path }, status, bytes);
  }

  async putBlobs(build: BuildId, files: Iterable<Blob>): Promise<void> {
    for (const batch of batches(files, ({ bytes }) => bytes.length)) {
      await this.#postTar(
        `${buildPath(build)}/blobs`,
        batch.map(({ sha256, bytes }) => ({ name: sha256, bytes })),
      );
    }
  }

  /** Some batches are on their way while one is taken. */
  async *fetchBlobs(build: BuildId, blobs: readonly BlobRef[]): AsyncGenerator<Blob, void, undefined> {
    const asked: Promise<Blob[]>[] = [];
    const ask = (batch: readonly BlobRef[]): void => {
      const fetching = this.#fetchBatch(build, batch);
      // whoever awaits it is told; nobody may come to that
      fetching.catch(() => {});
      asked.push(fetching);
    };
    for (const batch of batches(blobs, ({ size }) => size)) {
      if (asked.length === BATCHES) yield* (await asked.shift()) ?? [];
      ask(batch);
    }
    for (const fetching of asked) yield* await fetching;
  }

  async #fetchBatch(build: BuildId, batch: readonly BlobRef[]): Promise<Blob[]> {
    const files = batch.map(({ sha256, size }) => ({ name: sha256, size }));
    const found: Blob[] = [];
    let at = 0;
    for await (const bytes of this.#fetch(`${buildPath(build)}/fetch`, files)) {
      const blob = batch[at++];
      if (blob) found.push({ sha256: blob.sha256, bytes });
    }
    return found;
  }

  async fetchReleased(project: ProjectName, version: Version, files: readonly FileRef[]): Promise<Buffer[]> {
    const found: Buffer[] = [];
    for await (const bytes of this.#fetch(`${releaseDir(project, version)}/fetch`, files)) found.push(bytes);
    return found;
  }

  async releasedSizes(
    project: ProjectName,
    version: Version,
    names: readonly string[],
  ): Promise<(number | null)[]> {
    const body = bytesBody(JSON_TYPE, formatNames(names));
    const path = `${releaseDir(project, version)}/sizes`;
    return parseSizes((await this.#done({ method: 'POST', path, body })).bytes, names.length);
  }

  /** Each of these files, in their order, out of one answer. */
  async *#fetch(path: string, files: readonly FileRef[]): AsyncGenerator<Buffer, void, undefined> {
    const body = bytesBody(JSON_TYPE, formatNames(files.map(({ name }) => name)));
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    // tar programs make the end longer than it need be
    const most = tarLength(files) + 10_240;
    const { bytes: tar } = await this.#done({ method: 'POST', path, body, accept: TAR_TYPE }, most);
    const limits = { files: files.length, fileBytes: BATCH.fileBytes, bytes };
    let at = 0;
    for await (const entry of tarEntries([tar], limits)) yield expected(entry, files[at++]);
    if (at < files.length) throw badAnswer(`it has ${at} of ${files.length} files`);
  }

  async putSignatures(build: BuildId, files: Iterable<TarEntry>): Promise<void> {
    await inParallel(
      batches(files, ({ bytes }) => bytes.length),
      BATCHES,
      async (batch) => void (await this.#postTar(`${buildPath(build)}/signatures`, batch)),
    );
  }

  async pushLog({ checkpoint, from, entries }: LogPush): Promise<Written> {
    const leaves: Buffer[] = [];
    let bytes = 0;
    for await (const leaf of entries()) {
      bytes += leaf.length;
      if (bytes > LOG_PUSH_MAX) {
        const most = `${LOG_PUSH_MAX / 2 ** 20} MiB`;
        throw unable('log-too-long', `more than ${most} of the log at a time is not sent over HTTP`);
      }
      leaves.push(leaf);
    }
    return this.#postTar('log', [
      { name: 'checkpoint', bytes: checkpoint },
      { name: `entries/${from}`, bytes: encodeBundle(leaves) },
    ]);
  }

  async publish(build: BuildId): Promise<void> {
    const body = bytesBody(BYTES_TYPE, Buffer.alloc(0));
    await this.#done({ method: 'POST', path: `${buildPath(build)}/publish`, body, outcomeMs: PUBLISH_MS });
  }

  close(): void {
    this.#http.close();
  }

  /** What it answers; of its own disk it is told as its word, lest somebody look for it here. */
  #failure(status: number, body: Buffer, request: HttpRequest): Failure {
    const failure = parseError(status, body, asked(request));
    const { code, message, hint } = failure;
    return code === 'no-depot' ? unable(code, `the depot at ${this.#url} says: ${message}`, hint) : failure;
  }

  #get(path: string): HttpRequest {
    if (!isTreePath(path)) throw refused('path-malformed', `not a path of a depot: ${path}`);
    return { method: 'GET', path, accept: '*/*', authorization: this.#authorization };
  }

  async #postTar(path: string, files: Iterable<TarEntry>): Promise<Written> {
    return (await this.#done({ method: 'POST', path, body: bytesBody(TAR_TYPE, packTar(files)) })).written;
  }

  /** A success; anything else is thrown. */
  async #done(request: HttpRequest, maxBytes = SMALL_BODY_MAX): Promise<{ bytes: Buffer; written: Written }> {
    const { status, bytes } = await this.#http.read(
      { ...request, authorization: this.#authorization },
      Math.max(maxBytes, SMALL_BODY_MAX),
    );
    return { bytes, written: this.#written(request, status, bytes) };
  }

  #written(request: HttpRequest, status: number, bytes: Buffer): Written {
    if (status !== 200 && status !== 201) throw this.#failure(status, bytes, request);
    return status === 201 ? 'new' : 'same';
  }
}

/** All but the first `from` bytes; those are read, too, as whoever reads them checks them. */
async function* behind(source: Readable, from: number): AsyncGenerator<Buffer, void, undefined> {
  let at = 0;
  const chunks: AsyncIterable<Buffer> = source;
  for await (const chunk of chunks) {
    const skipped = Math.min(chunk.length, Math.max(0, from - at));
    at += chunk.length;
    if (skipped < chunk.length) yield chunk.subarray(skipped);
  }
}

const asked = ({ method, path }: HttpRequest): string => `${method} ${path}`;

/** The bytes of the entry, if it is the file that was asked for. Throws refused('blob-mismatch'). */
function expected({ name, bytes }: TarEntry, file: FileRef | undefined): Buffer {
  if (file && name === file.name && bytes.length === file.size) return bytes;
  throw refused(
    'blob-mismatch',
    `the depot sent ${name} (${bytes.length} bytes) for ${file?.name ?? 'nothing'}`,
  );
}
