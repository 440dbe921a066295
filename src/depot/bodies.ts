/** Bodies that are received into memory: how large each may be, how much they may take together, and for how long. */
import type { IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { unable } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { LARGE_RECORD_MAX, MAX_SUBJECTS } from '../records/canonical.ts';
import { tarEntries } from '../tree/tar.ts';
import type { TarEntry, TarLimits } from '../tree/tar.ts';
import { LOG_PUSH_MAX, NAMES_MAX, SMALL_BODY_MAX } from '../tree/wire.ts';
import { SIGNER } from './limits.ts';
import type { Owner } from './limits.ts';
import { contentLength } from './request.ts';

const MIB = 1024 * 1024;
/** An approval, a refusal, a proof: all that is written without a token fits. */
export const SMALL_WRITE_MAX = MIB;
/** A statement of the largest size, its envelope, which holds it again in base64, and what else comes in a tar. */
const LARGE_WRITE_MAX = 3 * LARGE_RECORD_MAX;

/** What may be in memory at a time: of strangers, by what they send, and of the signer and builders. */
const STRANGERS_TOGETHER = 48 * MIB;
/** Of these one client: others come in beside it. As one builder does beside another, who has one large write under way. */
const OF_ONE = 4 * MIB;
/** What is small has room of its own: a revocation, an approval. */
const SMALL_MAX = 64 * 1024;
const SMALL_TOGETHER = 8 * MIB;
const LISTS_TOGETHER = 8 * MIB;
const LOG_TOGETHER = LOG_PUSH_MAX + 64 * MIB;
const KNOWN_TOGETHER = LARGE_WRITE_MAX + 64 * MIB;

/** How long a body may take: this, and its bytes at this rate; but not longer than that. */
const GRACE_MS = 20_000;
const BYTES_PER_MS = 16;
const LONGEST_MS = 600_000;

/** Why a body was turned away or cut off. */
export type BodyLimit = 'bodies' | 'body-deadline';

export class Bodies {
  readonly #strangers: Room;
  readonly #lists: Room;
  readonly #small: Room;
  readonly #known: Room;
  /** Builders keep the signer out of nothing. */
  readonly #log: Room;

  /** `limited` hears of those that were turned away or cut off; `ownerOf` says whose a request is. */
  constructor(
    limited: (limit: BodyLimit) => void = () => {},
    ownerOf: (request: IncomingMessage) => Owner | null = () => null,
  ) {
    const shared = { limited, ownerOf, ofOne: OF_ONE };
    this.#strangers = new Room(STRANGERS_TOGETHER, shared);
    this.#lists = new Room(LISTS_TOGETHER, shared);
    this.#small = new Room(SMALL_TOGETHER, shared);
    this.#known = new Room(KNOWN_TOGETHER, { limited, ownerOf, ofOne: LARGE_WRITE_MAX });
    this.#log = new Room(LOG_TOGETHER, { limited, ownerOf, ofOne: LOG_TOGETHER });
  }

  /** How many bytes are held now. */
  get bytes(): number {
    const rooms = [this.#strangers, this.#lists, this.#small, this.#known, this.#log];
    return rooms.reduce((sum, { taken }) => sum + taken, 0);
  }

  /** The whole body, of whoever sends it. Throws refused('length-required' | 'too-large'), unable('busy'). */
  small(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
    return this.#strangersRoom(request).take(request, maxBytes, buffer);
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
    const limits = { files: known ? MAX_SUBJECTS + 1 : 1000, fileBytes: bytes, bytes };
    return tarIn(known ? this.#known : this.#strangersRoom(request), request, limits);
  }

  /** The files of a push of the log: a long one from the signer, a short one from anybody. Throws as `files`. */
  log(request: IncomingMessage, known: boolean): Promise<TarEntry[]> {
    const bytes = known ? LOG_PUSH_MAX + SMALL_WRITE_MAX : SMALL_WRITE_MAX;
    const limits = { files: 2, fileBytes: bytes, bytes };
    return tarIn(known ? this.#log : this.#strangersRoom(request), request, limits);
  }

  #strangersRoom({ headers }: IncomingMessage): Room {
    return Number(headers['content-length']) <= SMALL_MAX ? this.#small : this.#strangers;
  }
}

const tarIn = (room: Room, request: IncomingMessage, limits: TarLimits): Promise<TarEntry[]> =>
  room.take(request, limits.bytes, async (source) => {
    const files: TarEntry[] = [];
    for await (const entry of tarEntries(source, limits)) files.push(entry);
    return files;
  });

interface Shares {
  readonly limited: (limit: BodyLimit) => void;
  /** Whose a request is; null for whoever has no share to keep to. */
  readonly ownerOf: (request: IncomingMessage) => Owner | null;
  /** What one of them may take of it. */
  readonly ofOne: number;
}

/** A body that is being received. */
interface Body {
  readonly request: IncomingMessage;
  readonly owner: Owner | null;
  readonly since: number;
  /** So much of it is held. */
  bytes: number;
}

/**
 * So many bytes at a time, taken as they come: who only says a length holds nothing, and keeps nobody out. When it is full
 * whoever has held the most for the longest makes way, but not the signer. If that is the newcomer, it may come again.
 */
class Room {
  readonly #bytes: number;
  readonly #shares: Shares;
  readonly #bodies = new Set<Body>();
  readonly #ofOwners = new Map<Owner, number>();
  #taken = 0;

  constructor(bytes: number, shares: Shares) {
    this.#bytes = bytes;
    this.#shares = shares;
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
    const owner = this.#shares.ownerOf(request);
    if (this.#isOver(owner, length)) throw this.#busy();
    const late = setTimeout(
      () => {
        this.#shares.limited('body-deadline');
        request.destroy(unable('body-deadline', 'the body came too slowly', 'send it again'));
      },
      Math.min(GRACE_MS + length / BYTES_PER_MS, LONGEST_MS),
    );
    const body = { request, owner, since: performance.now(), bytes: 0 };
    this.#bodies.add(body);
    try {
      return await read(this.#hold(body));
    } catch (error) {
      request.resume(); // the rest is let in, so that the client sees the answer
      throw error;
    } finally {
      clearTimeout(late);
      this.#forget(body);
    }
  }

  async *#hold(body: Body): AsyncGenerator<Buffer> {
    const chunks: AsyncIterable<Buffer> = body.request.iterator({ destroyOnReturn: false });
    for await (const chunk of chunks) {
      if (this.#isOver(body.owner, chunk.length)) throw this.#busy();
      this.#makeRoom(body, chunk.length);
      this.#count(body, chunk.length);
      yield chunk;
    }
  }

  #isOver(owner: Owner | null, bytes: number): boolean {
    return owner !== null && (this.#ofOwners.get(owner) ?? 0) + bytes > this.#shares.ofOne;
  }

  #makeRoom({ owner }: Body, bytes: number): void {
    while (this.#taken + bytes > this.#bytes) {
      const heaviest = this.#heaviest();
      if (!heaviest || heaviest.owner === owner) throw this.#busy();
      this.#forget(heaviest);
      heaviest.request.destroy(this.#busy());
    }
  }

  /** Of whoever has held the most for the longest, in however many bodies. */
  #heaviest(): Body | undefined {
    const now = performance.now();
    const weigh = ({ bytes, since }: Body): number => bytes * (now - since);
    const weights = new Map<Owner | null, number>();
    for (const body of this.#bodies) weights.set(body.owner, (weights.get(body.owner) ?? 0) + weigh(body));
    weights.delete(SIGNER);
    const [first] = [...weights].sort(([, one], [, other]) => other - one);
    const theirs = [...this.#bodies].filter(({ owner }) => first && owner === first[0]);
    return theirs.sort((one, other) => weigh(other) - weigh(one))[0];
  }

  #count(body: Body, bytes: number): void {
    // it made way, and what is on its way to whoever reads it goes with it
    if (!this.#bodies.has(body)) return;
    body.bytes += bytes;
    this.#taken += bytes;
    if (body.owner === null) return;
    const now = (this.#ofOwners.get(body.owner) ?? 0) + bytes;
    if (now > 0) this.#ofOwners.set(body.owner, now);
    else this.#ofOwners.delete(body.owner);
  }

  #forget(body: Body): void {
    this.#count(body, -body.bytes);
    this.#bodies.delete(body);
  }

  #busy(): Failure {
    this.#shares.limited('bodies');
    return unable('busy', 'the depot is receiving as much as it can hold', 'try again in a minute');
  }
}
