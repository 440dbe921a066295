/** Bodies that are received into memory: how large each may be, how much they may take together, and for how long. */
import type { IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { unable } from '../failure.ts';
import { judgeBuilder } from '../policy/gate.ts';
import type { Project } from '../policy/project.ts';
import { matchesDigest } from '../policy/token.ts';
import type { View } from '../policy/view.ts';
import { LARGE_RECORD_MAX, MAX_SUBJECTS } from '../records/canonical.ts';
import type { BuildId } from '../records/names.ts';
import { tarEntries } from '../tree/tar.ts';
import type { TarEntry, TarLimits } from '../tree/tar.ts';
import { LOG_PUSH_MAX, NAMES_MAX, SMALL_BODY_MAX } from '../tree/wire.ts';
import { contentLength } from './request.ts';

const MIB = 1024 * 1024;
/** An approval, a refusal, a proof: all that is written without a token fits. */
export const SMALL_WRITE_MAX = MIB;
/** A statement of the largest size, its envelope, which holds it again in base64, and what else comes in a tar. */
const LARGE_WRITE_MAX = 3 * LARGE_RECORD_MAX;

/** What may be in memory at a time: of strangers, by what they send, and of the signer and builders. */
const STRANGERS_TOGETHER = 56 * MIB;
const LISTS_TOGETHER = 8 * MIB;
const KNOWN_TOGETHER = LARGE_WRITE_MAX + 64 * MIB;

/** How long a body may take: this, and its bytes at this rate. */
const GRACE_MS = 20_000;
const BYTES_PER_MS = 16;

export class Bodies {
  readonly #project: Project;
  readonly #tree: View;
  readonly #now: () => Date;
  readonly #strangers = new Room(STRANGERS_TOGETHER);
  readonly #lists = new Room(LISTS_TOGETHER);
  readonly #known = new Room(KNOWN_TOGETHER);

  constructor({ project, tree, now }: { project: Project; tree: View; now: () => Date }) {
    this.#project = project;
    this.#tree = tree;
    this.#now = now;
  }

  /** The whole body, of whoever sends it. Throws refused('length-required' | 'too-large'), unable('busy'). */
  small(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
    return this.#strangers.take(request, maxBytes, buffer);
  }

  /**
   * A list of files that are asked for, of a build or of a release: a short one, but from the signer and the builders of the
   * build, whom nobody else keeps out. Throws as `small`.
   */
  async list(request: IncomingMessage, build: BuildId | null, token: Buffer | null): Promise<Buffer> {
    const known = build === null ? this.#isSigner(token) : await this.#isKnown(build, token);
    return known
      ? this.#known.take(request, NAMES_MAX, buffer)
      : this.#lists.take(request, SMALL_BODY_MAX, buffer);
  }

  /**
   * The files of a tar for a build: many for the signer and the builders of the build, few for everybody else.
   * Throws as `small`, refused('tar-malformed' | 'tar-too-large').
   */
  async files(request: IncomingMessage, build: BuildId, token: Buffer | null): Promise<TarEntry[]> {
    const known = await this.#isKnown(build, token);
    const bytes = known ? LARGE_WRITE_MAX : SMALL_WRITE_MAX;
    return this.#tar(request, known, { files: known ? MAX_SUBJECTS + 1 : 1000, fileBytes: bytes, bytes });
  }

  /** The files of a push of the log: a long one from the signer, a short one from anybody. Throws as `files`. */
  log(request: IncomingMessage, token: Buffer | null): Promise<TarEntry[]> {
    const known = this.#isSigner(token);
    const bytes = known ? LOG_PUSH_MAX + SMALL_WRITE_MAX : SMALL_WRITE_MAX;
    return this.#tar(request, known, { files: 2, fileBytes: bytes, bytes });
  }

  #tar(request: IncomingMessage, known: boolean, limits: TarLimits): Promise<TarEntry[]> {
    return (known ? this.#known : this.#strangers).take(request, limits.bytes, async (source) => {
      const files: TarEntry[] = [];
      for await (const entry of tarEntries(source, limits)) files.push(entry);
      return files;
    });
  }

  #isSigner(token: Buffer | null): boolean {
    return matchesDigest(token, this.#project.signerTokenSha256);
  }

  async #isKnown(build: BuildId, token: Buffer | null): Promise<boolean> {
    if (token === null) return false; // else each stranger's would cost a look at the approval's signatures
    if (this.#isSigner(token)) return true;
    const question = { rules: this.#project, build, bearer: token, view: this.#tree, now: this.#now() };
    return !('allow' in (await judgeBuilder(question)));
  }
}

/** So many bytes at a time, taken as they come: who only says a length holds nothing. Who comes when it is full may come again. */
class Room {
  readonly #bytes: number;
  #taken = 0;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** What `read` makes of the body. The connection ends when it takes too long to come. */
  async take<T>(
    request: IncomingMessage,
    maxBytes: number,
    read: (source: AsyncIterable<Buffer>) => Promise<T>,
  ): Promise<T> {
    const length = contentLength(request, maxBytes);
    this.#require(length);
    const late = setTimeout(
      () => request.destroy(new Error('the body came too slowly')),
      GRACE_MS + length / BYTES_PER_MS,
    );
    const held = { bytes: 0 };
    try {
      return await read(this.#hold(request, held));
    } catch (error) {
      request.resume(); // the rest is let in, so that the client sees the answer
      throw error;
    } finally {
      clearTimeout(late);
      this.#taken -= held.bytes;
    }
  }

  async *#hold(request: IncomingMessage, held: { bytes: number }): AsyncGenerator<Buffer> {
    const chunks: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false });
    for await (const chunk of chunks) {
      this.#require(chunk.length);
      this.#taken += chunk.length;
      held.bytes += chunk.length;
      yield chunk;
    }
  }

  #require(bytes: number): void {
    if (this.#taken + bytes > this.#bytes)
      throw unable('busy', 'the depot is receiving as much as it can hold', 'try again in a minute');
  }
}
