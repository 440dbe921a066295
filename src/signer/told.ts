/**
 * What the depot tells between the rounds of `sign --watch` (decision 8): a hint that a round begins sooner for. Nothing
 * rests on it: a depot that tells nothing, or lies, gets the rounds that there are anyway, and few more.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../failure.ts';
import type { BuildId } from '../records/names.ts';
import type { Changed, Depot } from '../tree/tree.ts';

/** Between an answer and the next question at the least; doubled, up to the interval, while nothing comes of the answers. */
const PAUSE_MS = 200;
/** One that does not tell may be another tomorrow. */
const SILENT_MS = 60_000;
/** A depot that restarts is no news. */
const FAILURES_SAID = 3;

export class Told {
  readonly #depot: Pick<Depot, 'changes'>;
  readonly #intervalMs: number;
  readonly #stop: AbortSignal;
  #cursor: string | null = null;
  /** The question under way, the pause before it included; it outlasts rounds. */
  #asked: Promise<Changed | null> | null = null;
  #pauseMs = 0;
  #tells = false;
  #failure: Failure | null = null;
  #failures = 0;

  constructor(
    depot: Pick<Depot, 'changes'>,
    options: { readonly intervalMs: number; readonly stop: AbortSignal },
  ) {
    this.#depot = depot;
    this.#intervalMs = options.intervalMs;
    this.#stop = options.stop;
  }

  /** Whether the last question got the answer of a depot that tells: one that waits before it says that nothing has changed. */
  get tells(): boolean {
    return this.#tells;
  }

  /** Why it does not, though it has been asked again and again; null if it does, or is one that never tells. */
  get failure(): Failure | null {
    return this.#failures < FAILURES_SAID ? null : this.#failure;
  }

  /** It was away, and could not tell: what it said then counts for nothing. */
  forgive(): void {
    [this.#failure, this.#failures] = [null, 0];
  }

  /** Something came of what was told: the next answer is as welcome. */
  useful(): void {
    this.#pauseMs = PAUSE_MS;
  }

  /**
   * Waits for the depot to tell of builds, until `end`, by `performance.now`; then, and when all is to stop, null. `any` if
   * any build may have changed since the last answer.
   */
  async next(end: number): Promise<readonly BuildId[] | 'any' | null> {
    while (!this.#stop.aborted) {
      if (this.#asked === null) {
        this.#asked = this.#ask();
        // whoever awaits it is told, in the next round
        this.#asked.catch(() => {});
      }
      const answer = await this.#within(end, this.#asked);
      if (answer === 'over') return null;
      this.#asked = null;
      if (answer === null) continue;
      const first = this.#cursor === null;
      this.#cursor = answer.cursor;
      // what came between the last round and the first answer nobody has told
      if (first || answer.builds === null) return 'any';
      if (answer.builds.length > 0) return answer.builds;
    }
    return null;
  }

  /** Null, too, for what is no answer. */
  async #ask(): Promise<Changed | null> {
    await sleep(this.#pauseMs, undefined, { signal: this.#stop }).catch(() => {});
    if (this.#stop.aborted) return null;
    const began = performance.now();
    try {
      const answer = await this.#depot.changes(this.#cursor, this.#stop);
      const isQuiet = performance.now() - began >= this.#intervalMs;
      const isIdle = this.#cursor !== null && answer?.builds?.length === 0;
      [this.#failure, this.#failures] = [null, 0];
      this.#tells = answer !== null && (isQuiet || !isIdle);
      if (answer === null) this.#pauseMs = SILENT_MS;
      else this.#slowDown(isQuiet);
      return answer;
    } catch (error) {
      if (this.#stop.aborted) return null;
      if (!(error instanceof Failure)) throw error;
      [this.#tells, this.#failure] = [false, error];
      this.#failures += 1;
      // it may be the cursor that it does not understand
      if (error.kind === 'refused') this.#cursor = null;
      this.#slowDown(false);
      return null;
    }
  }

  /** Whoever answers in less than an interval, and again and again, is asked ever less often. */
  #slowDown(isQuiet: boolean): void {
    this.#pauseMs = isQuiet ? PAUSE_MS : Math.min(Math.max(PAUSE_MS, 2 * this.#pauseMs), this.#intervalMs);
  }

  async #within<T>(end: number, asked: Promise<T>): Promise<T | 'over'> {
    const over = new AbortController();
    this.#stop.addEventListener('abort', () => over.abort(), { signal: over.signal });
    const left = Math.max(0, end - performance.now());
    const late = sleep(left, undefined, { signal: over.signal }).catch(() => {});
    try {
      return await Promise.race([asked, late.then(() => 'over' as const)]);
    } finally {
      over.abort();
    }
  }
}
