/**
 * The hash states that digest mode asks for (protocol §5.5), made beside the upload: Node cannot export the state of its
 * hashes. Each is checked, by the code that the signer has, against the digest that Node gave.
 */
import type { IHasher } from 'hash-wasm';
import hashWasm from 'hash-wasm/dist/sha256.umd.min.js';
import { diskFailure } from '../host/files.ts';
import { Workers } from '../host/workers.ts';
import type { Work } from '../host/workers.ts';
import { sha256From } from '../openpgp/hash-state.ts';
import type { Sha256 } from '../records/names.ts';
import type { StatedSubject, Subject } from '../records/statement.ts';
import { toHashState } from '../records/subject.ts';
import type { HashState } from '../records/subject.ts';
import { THREADS_FROM } from './hash-all.ts';
import { SHORT, changed, chunks, openArtifact } from './hash.ts';
import type { Found } from './walk.ts';

interface Job {
  readonly path: string;
  readonly subject: Subject;
}

/** What a thread does: one long file. Throws refused `artifact-changed`, unable(`disk`). */
export const work: Work<Job, HashState> = async ({ path, subject }, { signal }) => {
  const hasher = await hashWasm.createSHA256();
  hasher.init();
  const file = await openArtifact(path, subject.name);
  try {
    let size = 0;
    for await (const chunk of chunks(file, Buffer.allocUnsafe(CHUNK))) {
      signal.throwIfAborted();
      size += chunk.length;
      if (size > subject.size) throw changed(subject.name);
      hasher.update(chunk);
    }
    return finished(hasher, subject);
  } catch (error) {
    throw diskFailure(error, `read ${subject.name}`);
  } finally {
    await file.close();
  }
};

const CHUNK = 1024 * 1024;

const SAVED = { block: 4, length: 68, words: 76 };

/** What the hasher has taken in, in the record's form. Throws refused `artifact-changed` if it is not the subject's bytes. */
function finished(hasher: IHasher, { name, sha256, size }: Subject): HashState {
  const saved = Buffer.from(hasher.save());
  // hash-wasm's own form: its version, the last block begun, the length, the words, all little-endian as its memory is
  const tail = saved.subarray(SAVED.block, SAVED.block + (size % 64));
  const words = Buffer.from(saved.subarray(SAVED.words, SAVED.words + 32)).swap32();
  const state = toHashState(Buffer.concat([words, tail]).toString('hex'), name, size);
  if (saved.readBigUInt64LE(SAVED.length) !== BigInt(size)) throw changed(name);
  if (sha256From(state, size, Buffer.alloc(0)).toString('hex') !== sha256) throw changed(name);
  return state;
}

/** The states of the artifacts of a build, each made as soon as its digest is known. */
export class HashStates {
  readonly #hasher: IHasher;
  readonly #signal: AbortSignal;
  /** Null where a thread would take longer to start than to hash. */
  readonly #workers: Workers<Job, HashState> | null;
  readonly #states = new Map<Sha256, Promise<HashState>>();
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(hasher: IHasher, found: readonly Found[], signal: AbortSignal) {
    const long = found.filter(({ size }) => size > SHORT).reduce((sum, { size }) => sum + size, 0);
    this.#hasher = hasher;
    this.#signal = signal;
    this.#workers = long >= THREADS_FROM ? new Workers('state', work) : null;
  }

  /** For these files; whoever makes it closes it. */
  static async make(found: readonly Found[], signal: AbortSignal): Promise<HashStates> {
    return new HashStates(await hashWasm.createSHA256(), found, signal);
  }

  /** A file that was hashed; `bytes` those of a short one, good until it returns. */
  add({ path }: Found, subject: Subject, bytes: Buffer | null): void {
    if (this.#states.has(subject.sha256)) return;
    const state = bytes ? this.#atOnce(subject, bytes) : this.#read({ path, subject });
    state.catch(() => {});
    this.#states.set(subject.sha256, state);
  }

  /** The subjects that were added, with their states. Throws refused `artifact-changed`, unable(`disk`). */
  stated(subjects: readonly Subject[]): Promise<StatedSubject[]> {
    return Promise.all(
      subjects.map(async (subject) => {
        const sha256State = await this.#states.get(subject.sha256);
        if (sha256State === undefined) throw new RangeError(`${subject.name} was not added`);
        return { ...subject, sha256State };
      }),
    );
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    await this.#workers?.close();
  }

  async #atOnce(subject: Subject, bytes: Buffer): Promise<HashState> {
    this.#hasher.init();
    this.#hasher.update(bytes);
    return finished(this.#hasher, subject);
  }

  #read(job: Job): Promise<HashState> {
    const signal = this.#signal;
    if (this.#workers) return this.#workers.run(job, { signal });
    const mine = this.#turn.then(() => work(job, { signal, progress: () => {} }));
    this.#turn = mine.catch(() => {});
    return mine;
  }
}
