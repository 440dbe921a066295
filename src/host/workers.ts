/**
 * Work on all cores: jobs in worker threads, which run the very file that the program is.
 *
 * A job and what comes of it cross as copies: bytes arrive as Uint8Array, functions and classes do not cross, a
 * `Failure` does. Where nobody has said what threads run (a test, a library) the same work is done in this thread.
 */
import { availableParallelism } from 'node:os';
import { Worker, parentPort, workerData } from 'node:worker_threads';
import { Failure } from '../failure.ts';
import type { FailureKind } from '../failure.ts';

/** Does one job, wherever. It only reads: the thread of a job that is given up ends where it is. */
export type Work<Job, Result, Progress = never> = (
  job: Job,
  context: {
    readonly progress: (value: Progress) => void;
    /** Also for work in this thread, which nothing else ends. */
    readonly signal: AbortSignal;
  },
) => Promise<Result>;

/** What threads of this program do, by kind: modules that export their `work`, loaded when it is asked for. */
type Kinds = Readonly<Record<string, () => Promise<{ readonly work: Work<never, unknown, unknown> }>>>;

let program: { readonly url: URL; readonly kinds: Kinds } | null = null;

/**
 * To be called first by the file that is the program, `url`: what its threads do. In such a thread it never resolves:
 * jobs are done there, and the program is not run.
 */
export async function serveJobs(url: string, kinds: Kinds): Promise<void> {
  if (parentPort === null) {
    program = { url: new URL(url), kinds };
    return;
  }
  const port = parentPort;
  const { kind } = workerData as Start;
  const post = (answer: Answer): void => port.postMessage(answer);
  const context = {
    progress: (progress: unknown) => post({ type: 'progress', progress }),
    signal: new AbortController().signal,
  };
  const serve = async (job: unknown): Promise<void> => {
    try {
      const load = kinds[kind];
      if (!load) throw new RangeError(`no such work: ${kind}`);
      const { work } = await load();
      post({ type: 'result', result: await work(job as never, context) });
    } catch (error) {
      post({ type: 'error', error: pack(error) });
    }
  };
  port.on('message', (job: unknown) => void serve(job));
  await new Promise(() => {});
}

interface Start {
  readonly kind: string;
}

type Answer =
  | { readonly type: 'progress'; readonly progress: unknown }
  | { readonly type: 'result'; readonly result: unknown }
  | { readonly type: 'error'; readonly error: Packed };

interface RunOptions<Progress> {
  readonly progress?: (value: Progress) => void;
  readonly signal?: AbortSignal;
}

export class Workers<Job, Result, Progress = never> {
  readonly #kind: string;
  readonly #work: Work<Job, Result, Progress>;
  readonly #size: number;
  readonly #threads = new Set<Worker>();
  readonly #idle: Worker[] = [];
  readonly #waiting: (() => void)[] = [];
  #underWay = 0;
  #closed = false;

  /** At most `size` jobs at a time, and threads; none is started before there is a job. */
  constructor(kind: string, work: Work<Job, Result, Progress>, size = availableParallelism()) {
    this.#kind = kind;
    this.#work = work;
    this.#size = size;
  }

  /**
   * Does the job when its turn comes. Throws what the work throws, an error if its thread ends, and the signal's reason
   * as soon as it is given up.
   */
  async run(job: Job, { progress = () => {}, signal }: RunOptions<Progress> = {}): Promise<Result> {
    if (this.#underWay < this.#size) this.#underWay += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      signal?.throwIfAborted();
      if (this.#closed) throw closed();
      if (program?.kinds[this.#kind]) return await this.#inThread(program.url, job, progress, signal);
      return await this.#work(job, { progress, signal: signal ?? new AbortController().signal });
    } finally {
      // the place is handed over: whoever comes meanwhile does not take it, too
      const next = this.#waiting.shift();
      if (next) next();
      else this.#underWay -= 1;
    }
  }

  /** Ends every thread; what is under way or waits throws. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#threads].map((worker) => worker.terminate()));
  }

  #inThread(
    url: URL,
    job: Job,
    progress: (value: Progress) => void,
    signal: AbortSignal | undefined,
  ): Promise<Result> {
    const worker = this.#idle.pop() ?? this.#start(url);
    // while it has a job the process waits for it, and not otherwise
    worker.ref();
    return new Promise((resolve, reject) => {
      const settle = (outcome: () => void): void => {
        worker.off('message', answered).off('error', failed).off('exit', ended);
        signal?.removeEventListener('abort', abort);
        outcome();
      };
      const release = (outcome: () => void): void => {
        worker.unref();
        this.#idle.push(worker);
        settle(outcome);
      };
      const answered = (answer: Answer): void => {
        if (answer.type === 'progress') progress(answer.progress as Progress);
        else if (answer.type === 'result') release(() => resolve(answer.result as Result));
        else release(() => reject(unpack(answer.error)));
      };
      const giveUp = (reason: Error): void => {
        void worker.terminate();
        settle(() => reject(reason));
      };
      const failed = (error: unknown): void => giveUp(asError(error));
      const ended = (): void =>
        settle(() =>
          reject(this.#closed ? closed() : new Error('a worker thread ended in the middle of its job')),
        );
      const abort = (): void => giveUp(asError(signal?.reason));
      worker.on('message', answered).on('error', failed).on('exit', ended);
      signal?.addEventListener('abort', abort);
      try {
        worker.postMessage(job, []);
      } catch (error) {
        giveUp(asError(error));
      }
    });
  }

  #start(url: URL): Worker {
    // nothing of the command line or the environment is a thread's business
    const options = { workerData: { kind: this.#kind } satisfies Start, argv: [], execArgv: [], env: {} };
    const worker = new Worker(url, options);
    this.#threads.add(worker);
    // of one that has no job nobody needs to hear
    worker.on('error', () => {});
    worker.once('exit', () => {
      this.#threads.delete(worker);
      const at = this.#idle.indexOf(worker);
      if (at >= 0) this.#idle.splice(at, 1);
    });
    return worker;
  }
}

const closed = (): Error => new Error('the worker threads were ended');
const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));

/** An error on its way between threads, which would lose its class and its code. */
interface Packed {
  readonly failure: { readonly kind: FailureKind; readonly hint: string } | null;
  readonly code: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly cause: Packed | null;
}

function pack(thrown: unknown): Packed {
  const error = asError(thrown);
  return {
    failure: error instanceof Failure ? { kind: error.kind, hint: error.hint } : null,
    code: 'code' in error && typeof error.code === 'string' ? error.code : '',
    message: error.message,
    stack: error.stack,
    cause: error.cause === undefined ? null : pack(error.cause),
  };
}

function unpack({ failure, code, message, stack, cause: packed }: Packed): Error {
  const cause = packed === null ? undefined : unpack(packed);
  const error =
    failure === null
      ? Object.assign(new Error(message, { cause }), code === '' ? {} : { code })
      : new Failure(failure.kind, code, message, failure.hint, cause);
  if (stack !== undefined) error.stack = stack;
  return error;
}
