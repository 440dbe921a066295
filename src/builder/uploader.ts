/**
 * Sends the blobs of a build, a few requests at a time: small files together, large ones each on its own. Files are
 * given to it as they become known; nobody who gives one waits.
 */
import type { BuildId, Sha256 } from '../records/names.ts';
import type { Subject } from '../records/statement.ts';
import { BATCH, RESUMED } from '../tree/tree.ts';
import type { Depot } from '../tree/tree.ts';
import type { Report } from './events.ts';
import { SMALL, readShort, readSubject } from './hash.ts';

/** While one request waits for its answer, others send. */
const REQUESTS = 3;
/** Of small files that wait for their turn so many bytes are kept; more are read again. */
const KEPT_BYTES = 2 * BATCH.bytes;

export interface UploaderOptions {
  readonly depot: Depot;
  readonly build: BuildId;
  /** Blobs that need not be sent; those that were are added. */
  readonly there: Set<Sha256>;
  /** Until then `there` is not complete, and nothing is sent. */
  readonly ready?: Promise<unknown>;
  /** An earlier run may have sent some of the small ones: what is there is asked for, by samples. */
  readonly sample?: boolean;
  /** Of all files given; and the file at hand. */
  readonly report: Report;
  /** Of all files that will be given, for the report. */
  readonly bytes: number;
  /** Told at once what ends it. */
  readonly failed?: (error: unknown) => void;
}

interface Item {
  readonly path: string;
  readonly subject: Subject;
  /** Of a small file that has just been read. */
  readonly bytes: Buffer | null;
}

export class Uploader {
  readonly #options: UploaderOptions;
  /** What travels in one request each, in order: small files, or one large one. */
  readonly #loads: Item[][] = [];
  #next = 0;
  #gathered: Item[] = [];
  #gatheredBytes = 0;
  #keptBytes = 0;
  readonly #given = new Set<Sha256>();
  readonly #underWay = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #failed: { readonly error: unknown } | null = null;
  #done = 0;
  /** Of what is done: the bytes that the depot had, as it said. */
  #had = 0;
  #sent = 0;

  constructor(options: UploaderOptions) {
    this.#options = options;
  }

  /** How many blobs were sent. */
  get sent(): number {
    return this.#sent;
  }

  get there(): Set<Sha256> {
    return this.#options.there;
  }

  /** A file that was hashed, to be sent soon; `bytes` where they are at hand, good until it returns. Equal files are one blob. */
  add(path: string, subject: Subject, bytes: Buffer | null = null): void {
    const { sha256, size } = subject;
    if (this.#failed) return;
    if (this.#given.has(sha256) || this.there.has(sha256)) return this.#advance(size, subject);
    this.#given.add(sha256);
    if (size > SMALL) this.#loads.push([{ path, subject, bytes: null }]);
    else {
      if (this.#gatheredBytes + size > BATCH.bytes || this.#gathered.length >= BATCH.files) this.#close();
      const kept = bytes && this.#keptBytes + size <= KEPT_BYTES ? Buffer.from(bytes) : null;
      this.#keptBytes += kept?.length ?? 0;
      this.#gathered.push({ path, subject, bytes: kept });
      this.#gatheredBytes += size;
    }
    this.#begin();
  }

  /** All were given: once they are there. Throws refused `artifact-changed`, and what the depot throws. */
  async finish(): Promise<void> {
    this.#close();
    this.#begin();
    while (this.#underWay.size > 0) await Promise.race(this.#underWay);
    if (this.#failed) throw this.#failed.error;
  }

  /** Begins nothing more, and returns once nothing is under way. */
  async stop(): Promise<void> {
    this.#failed ??= { error: new Error('the upload was stopped') };
    this.#stop.abort(this.#failed.error);
    await this.finish().catch(() => {});
  }

  /** What is gathered waits for no more. */
  #close(): void {
    if (this.#gathered.length > 0) this.#loads.push(this.#gathered);
    this.#gathered = [];
    this.#gatheredBytes = 0;
  }

  #begin(): void {
    while (!this.#failed && this.#underWay.size < REQUESTS) {
      const load = this.#loads[this.#next];
      if (!load) return;
      // its bytes are not needed here any more
      this.#loads[this.#next++] = [];
      const sending = this.#send(load)
        .catch((error: unknown) => {
          if (!this.#failed) this.#options.failed?.(error);
          this.#failed ??= { error };
        })
        .then(() => {
          this.#underWay.delete(sending);
          this.#begin();
        });
      this.#underWay.add(sending);
    }
  }

  async #send(load: readonly Item[]): Promise<void> {
    await this.#options.ready;
    for (const { bytes } of load) this.#keptBytes -= bytes?.length ?? 0;
    const lacking: Item[] = [];
    for (const item of load) {
      if (this.there.has(item.subject.sha256)) this.#advance(item.subject.size, item.subject);
      else lacking.push(item);
    }
    const [first] = lacking;
    if (!first) return;
    if (first.subject.size > SMALL) await this.#sendLarge(first);
    else await this.#sendSmall(lacking);
    for (const { subject } of lacking) this.there.add(subject.sha256);
  }

  async #sendSmall(items: readonly Item[]): Promise<void> {
    const { depot, build, sample } = this.#options;
    const ends = [items[0], items.at(-1)].flatMap((item) => item?.subject.sha256 ?? []);
    if (sample && (await this.#haveArrived(ends))) {
      for (const { subject } of items) this.#had += subject.size;
    } else {
      await depot.putBlobs(
        build,
        items.map(({ path, subject, bytes }) => ({
          sha256: subject.sha256,
          bytes: bytes ?? readShort(path, subject),
        })),
      );
      this.#sent += items.length;
    }
    for (const { subject } of items) this.#advance(subject.size, subject);
  }

  /** What travelled together arrived together: if the depot has first and last of it, it has the others. */
  async #haveArrived(some: readonly Sha256[]): Promise<boolean> {
    const { depot, build } = this.#options;
    for (const sha256 of some) if (!(await depot.hasBlob(build, sha256))) return false;
    return true;
  }

  async #sendLarge({ path, subject }: Item): Promise<void> {
    const { depot, build } = this.#options;
    let done = 0;
    // what is sent again, because a connection broke, is not done again
    const progress = (read: number): void => {
      if (read <= done) return;
      this.#advance(read - done, subject);
      done = read;
    };
    const had = (bytes: number): void => {
      this.#had += bytes;
      progress(bytes);
    };
    // asking costs as much as sending a small file: worth it only where sending would cost more
    if (subject.size < RESUMED && (await depot.hasBlob(build, subject.sha256))) return had(subject.size);
    let isSent = false;
    await depot.putBlob(build, subject.sha256, subject.size, (from = 0) => {
      isSent = true;
      if (done === 0 && from > 0) {
        this.#options.report({ kind: 'going-on', name: subject.name, had: from, size: subject.size });
        had(from);
      }
      return readSubject(path, subject, progress, this.#stop.signal);
    });
    if (!isSent) return had(subject.size);
    this.#sent += 1;
    progress(subject.size);
  }

  #advance(bytes: number, { name }: Subject): void {
    this.#done += bytes;
    const { report, bytes: all } = this.#options;
    report({ kind: 'uploading', name, done: this.#done, had: this.#had, bytes: all });
  }
}
