/** Bodies that are received into memory: how large each may be, how much they may take together, and for how long. */
import type { IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { unable } from '../failure.ts';
import { LARGE_RECORD_MAX, MAX_SUBJECTS } from '../records/canonical.ts';
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

/** Why a body was turned away or cut off. */
export type BodyLimit = 'bodies' | 'body-deadline';

export class Bodies {
  readonly #strangers: Room;
  readonly #lists: Room;
  readonly #known: Room;

  /** `limited` hears of those that were turned away or cut off. */
  constructor(limited: (limit: BodyLimit) => void = () => {}) {
    this.#strangers = new Room(STRANGERS_TOGETHER, limited);
    this.#lists = new Room(LISTS_TOGETHER, limited);
    this.#known = new Room(KNOWN_TOGETHER, limited);
  }

  /** How many bytes are held now. */
  get bytes(): number {
    return this.#strangers.taken + this.#lists.taken + this.#known.taken;
  }

  /** The whole body, of whoever sends it. Throws refused('length-required' | 'too-large'), unable('busy'). */
  small(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
    return this.#strangers.take(request, maxBytes, buffer);
  }

  /**
   * A list of files that are asked for, of a build or of a release: a short one, but from the signer and the builders of the
   * build, whom nobody else keeps out. Throws as `small`.
   */
  list(request: IncomingMessage, known: boolean): Promise<Buffer> {
    return known
      ? this.#known.take(request, NAMES_MAX, buffer)
      : this.#lists.take(request, SMALL_BODY_MAX, buffer);
  }

  /**
   * The files of a tar for a build: many for the signer and the builders of the build, few for everybody else.
   * Throws as `small`, refused('tar-malformed' | 'tar-too-large').
   */
  files(request: IncomingMessage, known: boolean): Promise<TarEntry[]> {
    const bytes = known ? LARGE_WRITE_MAX : SMALL_WRITE_MAX;
    return this.#tar(request, known, { files: known ? MAX_SUBJECTS + 1 : 1000, fileBytes: bytes, bytes });
  }

  /** The files of a push of the log: a long one from the signer, a short one from anybody. Throws as `files`. */
  log(request: IncomingMessage, known: boolean): Promise<TarEntry[]> {
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
}

/** So many bytes at a time, taken as they come: who only says a length holds nothing. Who comes when it is full may come again. */
class Room {
  readonly #bytes: number;
  readonly #limited: (limit: BodyLimit) => void;
  #taken = 0;

  constructor(bytes: number, limited: (limit: BodyLimit) => void) {
    this.#bytes = bytes;
    this.#limited = limited;
  }

  get taken(): number {
    return this.#taken;
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
      () => {
        this.#limited('body-deadline');
        request.destroy(new Error('the body came too slowly'));
      },
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
    if (this.#taken + bytes <= this.#bytes) return;
    this.#limited('bodies');
    throw unable('busy', 'the depot is receiving as much as it can hold', 'try again in a minute');
  }
}
