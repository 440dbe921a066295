/**
 * Step 5 of protocol §5: every artifact, by digest, in one pass that gives both the digest that is compared
 * and the digest that is signed. Nothing is believed, nothing is read beyond its size; nothing is written unless
 * somebody wants the artifacts here too.
 */
import { availableParallelism } from 'node:os';
import { Failure } from '../failure.ts';
import { Workers } from '../host/workers.ts';
import { passElsewhere } from '../openpgp/pass.ts';
import type { Digests, Passed } from '../openpgp/pass.ts';
import type { Sha256 } from '../records/names.ts';
import { blobFile, buildPath } from '../records/paths.ts';
import type { Subject } from '../records/statement.ts';
import { inParallel } from '../tree/parallel.ts';
import type { Blob, Depot } from '../tree/tree.ts';
import { batches } from '../tree/wire.ts';
import { work } from './artifact.ts';
import type { ArtifactJob } from './artifact.ts';
import type { Keep } from './keep.ts';
import type { Plan } from './plan.ts';

/** Up to here artifacts travel together. */
const SMALL = 64 * 1024;
/** How many streams are read at a time: enough to keep the disk, the network and the hash busy. A thread takes 18 MB. */
const STREAMS = 3;
/** What threads are started for, several files of at least so much, so much in all: starting them takes as long as hashing 50 MB. */
const THREADED = { fileBytes: 4 * 1024 * 1024, bytes: 128 * 1024 * 1024 };

type Threads = Workers<ArtifactJob, Digests | null, number>;

export interface Problem {
  readonly code: 'artifact-wrong' | 'artifact-missing';
  readonly where: string;
  readonly text: string;
}

export interface Fetched {
  /** By the artifact's digest: equal files are read, and signed, once. */
  readonly passed: ReadonlyMap<Sha256, Passed>;
  /** One a subject that is not there as the statement says; empty if all of them are. */
  readonly problems: readonly Problem[];
}

export interface FetchOptions {
  readonly depot: Depot;
  /** Is told how many bytes came in, many times a second. */
  readonly progress: (bytes: number) => void;
  /** Where the artifacts go when they are verified; null for nowhere. */
  readonly keep: Keep | null;
}

/**
 * Reads every artifact of the plan's build from the depot. Bytes called wrong are read a second time first. Throws unable,
 * and what `keep` throws.
 */
export async function fetchArtifacts(plan: Plan, options: FetchOptions): Promise<Fetched> {
  const { subjects } = plan.manifest;
  const wanted = [...new Map(subjects.map((subject) => [subject.sha256, subject])).values()];
  const fetch = new Fetch(plan, options);
  const small = batches(
    wanted.filter(({ size }) => size <= SMALL),
    ({ size }) => size,
  );
  await inParallel(small, STREAMS, (batch) => fetch.together(batch));
  // By itself, twice if need be: each large one, and each small one that did not come or came wrong.
  const rest = wanted.filter(({ sha256 }) => !fetch.passed.has(sha256)).sort((a, b) => b.size - a.size);
  const threaded = options.keep === null ? worthThreads(plan, rest) : new Set();
  const threads: Threads = new Workers('artifact', work, Math.min(STREAMS, availableParallelism()));
  try {
    await inParallel(rest, STREAMS, (subject) =>
      fetch.alone(subject, threaded.has(subject) ? threads : null),
    );
  } finally {
    await threads.close();
  }

  const problems = subjects.flatMap((subject) => {
    const problem =
      fetch.problems.get(subject.sha256) ?? sizeProblem(subject, fetch.passed.get(subject.sha256));
    return problem ? [{ ...problem, where: subject.name }] : [];
  });
  return { passed: fetch.passed, problems };
}

/** Two names for the same bytes cannot have two sizes. */
const sizeProblem = ({ size }: Subject, passed: Passed | undefined): Omit<Problem, 'where'> | null =>
  passed?.size === size
    ? null
    : { code: 'artifact-wrong', text: `it has ${passed?.size} bytes, not ${size}` };

/** The first problem, and how many more there are; null for none. */
export function firstProblem([first, ...others]: readonly Problem[]): Problem | null {
  if (!first) return null;
  return others.length === 0 ? first : { ...first, text: `${first.text} (and ${others.length} more)` };
}

/** Those that are hashed on all cores; none where one thread is as fast. */
function worthThreads({ key }: Plan, subjects: readonly Subject[]): ReadonlySet<Subject> {
  const large = subjects.filter(({ size }) => size >= THREADED.fileBytes);
  const bytes = large.reduce((sum, { size }) => sum + size, 0);
  // an ECDSA signature is checked by what OpenSSL has hashed, which does not leave its thread (`passElsewhere`)
  const none = key.algorithm === 'ecdsa' || large.length < 2 || bytes < THREADED.bytes;
  return new Set(none ? [] : large);
}

class Fetch {
  readonly passed = new Map<Sha256, Passed>();
  readonly problems = new Map<Sha256, Omit<Problem, 'where'>>();
  readonly #plan: Plan;
  readonly #depot: Depot;
  readonly #progress: (bytes: number) => void;
  readonly #keep: Keep | null;

  constructor(plan: Plan, { depot, progress, keep }: FetchOptions) {
    this.#plan = plan;
    this.#depot = depot;
    this.#progress = progress;
    this.#keep = keep;
  }

  /** Many small ones as one answer. What is missing or wrong in it is left for `alone` to find out. */
  async together(batch: readonly Subject[]): Promise<void> {
    const wanted = new Map(batch.map((subject) => [subject.sha256, subject]));
    const right: Blob[] = [];
    try {
      for await (const { sha256, bytes } of this.#depot.fetchBlobs(this.#plan.manifest.build, batch)) {
        const subject = wanted.get(sha256);
        if (subject?.size !== bytes.length) continue;
        const pass = this.#plan.newPass();
        pass.update(bytes);
        if (this.#take(subject, pass.finish())) right.push({ sha256, bytes });
        this.#progress(bytes.length);
      }
    } catch (error) {
      // Whatever kept the depot from answering for all of them, asking for each by itself tells which.
      if (!(error instanceof Failure)) throw error;
    }
    await this.#keep?.writeAll(right);
  }

  /** Bytes called wrong, and those that a broken connection cut off, are read a second time. */
  async alone(subject: Subject, threads: Threads | null): Promise<void> {
    const first = await (threads ? this.#readInThread(subject, threads) : this.#read(subject)).catch(
      (error: unknown) => {
        if (error instanceof Failure && error.code === 'network') return null;
        throw error;
      },
    );
    if (this.passed.has(subject.sha256)) return;
    const last = first?.code === 'artifact-missing' ? first : await this.#read(subject);
    if (last !== null) this.problems.set(subject.sha256, last);
  }

  async #read(subject: Subject): Promise<Omit<Problem, 'where'> | null> {
    const pass = this.#plan.newPass();
    const take = (chunk: Buffer): void => {
      pass.update(chunk);
      this.#progress(chunk.length);
    };
    const kept = (await this.#keep?.begin(subject.sha256)) ?? null;
    try {
      const path = this.#path(subject);
      const size = kept
        ? await kept.scan(this.#depot, path, subject.size, take)
        : await this.#depot.scan(path, subject.size, take);
      if (size === null) return missing(subject);
      if (size !== subject.size)
        return { code: 'artifact-wrong', text: `it has ${size} bytes, not ${subject.size}` };
      if (!this.#take(subject, pass.finish()))
        return { code: 'artifact-wrong', text: `these are not the ${size} bytes of ${subject.sha256}` };
      await kept?.commit();
      return null;
    } finally {
      await kept?.discard();
    }
  }

  /** What is wrong with it is found out in this thread, which reads it again. */
  async #readInThread(subject: Subject, threads: Threads): Promise<Omit<Problem, 'where'> | null> {
    const place = await this.#depot.place(this.#path(subject));
    if (place === null) return missing(subject);
    const { key, hashedPart, manifest } = this.#plan;
    const digests = await threads.run(
      { place, size: subject.size, key: key.body, hash: manifest.hash, hashedPart },
      { progress: this.#progress },
    );
    if (digests) this.#take(subject, passElsewhere(key, manifest.hash, digests));
    return null;
  }

  #path({ sha256 }: Subject): string {
    return buildPath(this.#plan.manifest.build, blobFile(sha256));
  }

  #take(subject: Subject, passed: Passed): boolean {
    if (passed.sha256 !== subject.sha256 || passed.size !== subject.size) return false;
    this.passed.set(subject.sha256, passed);
    return true;
  }
}

const missing = ({ sha256 }: Subject): Omit<Problem, 'where'> => ({
  code: 'artifact-missing',
  text: `the depot has no blob ${sha256}`,
});
