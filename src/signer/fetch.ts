/**
 * Step 5 of protocol §5: every artifact, by digest, in one pass that gives both the digest that is compared
 * and the digest that is signed. Nothing is written, nothing is believed, nothing is read beyond its size.
 */
import { Failure } from '../failure.ts';
import type { Passed, SignaturePass } from '../openpgp/pass.ts';
import type { BuildId, Sha256 } from '../records/names.ts';
import { blobFile, buildPath } from '../records/paths.ts';
import type { Subject } from '../records/statement.ts';
import { inParallel } from '../tree/parallel.ts';
import type { Depot } from '../tree/tree.ts';
import { batches } from '../tree/wire.ts';

/** Up to here artifacts travel together. */
const SMALL = 64 * 1024;
/** How many streams are read at a time: enough to keep the disk, the network and the hash busy. */
const STREAMS = 3;

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

/**
 * Reads every artifact of the build from the depot. Bytes called wrong are read a second time first.
 * `progress` is told how many bytes came in, many times a second. Throws unable.
 */
export async function fetchArtifacts(
  source: { readonly depot: Depot; readonly build: BuildId },
  subjects: readonly Subject[],
  newPass: () => SignaturePass,
  progress: (bytes: number) => void,
): Promise<Fetched> {
  const wanted = [...new Map(subjects.map((subject) => [subject.sha256, subject])).values()];
  const fetch = new Fetch(source, newPass, progress);
  const small = wanted.filter(({ size }) => size <= SMALL);
  for (const batch of batches(small, ({ size }) => size)) await fetch.together(batch);
  // By itself, twice if need be: each large one, and each small one that did not come or came wrong.
  const rest = wanted.filter(({ sha256 }) => !fetch.passed.has(sha256));
  await inParallel(rest, STREAMS, (subject) => fetch.alone(subject));

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

class Fetch {
  readonly passed = new Map<Sha256, Passed>();
  readonly problems = new Map<Sha256, Omit<Problem, 'where'>>();
  readonly #depot: Depot;
  readonly #build: BuildId;
  readonly #newPass: () => SignaturePass;
  readonly #progress: (bytes: number) => void;

  constructor(
    { depot, build }: { readonly depot: Depot; readonly build: BuildId },
    newPass: () => SignaturePass,
    progress: (bytes: number) => void,
  ) {
    this.#depot = depot;
    this.#build = build;
    this.#newPass = newPass;
    this.#progress = progress;
  }

  /** Many small ones as one answer. What is missing or wrong in it is left for `alone` to find out. */
  async together(batch: readonly Subject[]): Promise<void> {
    const wanted = new Map(batch.map((subject) => [subject.sha256, subject]));
    try {
      for await (const { sha256, bytes } of this.#depot.fetchBlobs(this.#build, batch)) {
        const subject = wanted.get(sha256);
        if (subject?.size !== bytes.length) continue;
        const pass = this.#newPass();
        pass.update(bytes);
        this.#take(subject, pass);
        this.#progress(bytes.length);
      }
    } catch (error) {
      // Whatever kept the depot from answering for all of them, asking for each by itself tells which.
      if (!(error instanceof Failure)) throw error;
    }
  }

  /** Bytes called wrong, and those that a broken connection cut off, are read a second time. */
  async alone(subject: Subject): Promise<void> {
    const first = await this.#read(subject).catch((error: unknown) => {
      if (error instanceof Failure && error.code === 'network') return null;
      throw error;
    });
    if (this.passed.has(subject.sha256)) return;
    const last = first?.code === 'artifact-missing' ? first : await this.#read(subject);
    if (last !== null) this.problems.set(subject.sha256, last);
  }

  async #read(subject: Subject): Promise<Omit<Problem, 'where'> | null> {
    const pass = this.#newPass();
    const path = buildPath(this.#build, blobFile(subject.sha256));
    const size = await this.#depot.scan(path, subject.size, (chunk) => {
      pass.update(chunk);
      this.#progress(chunk.length);
    });
    if (size === null) return { code: 'artifact-missing', text: `the depot has no blob ${subject.sha256}` };
    if (size !== subject.size)
      return { code: 'artifact-wrong', text: `it has ${size} bytes, not ${subject.size}` };
    if (this.#take(subject, pass)) return null;
    return { code: 'artifact-wrong', text: `these are not the ${size} bytes of ${subject.sha256}` };
  }

  #take(subject: Subject, pass: SignaturePass): boolean {
    const passed = pass.finish();
    if (passed.sha256 !== subject.sha256 || passed.size !== subject.size) return false;
    this.passed.set(subject.sha256, passed);
    return true;
  }
}
