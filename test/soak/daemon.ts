/** L or H as a service manager keeps it: started, killed by its own process id, started again. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { PROGRAM } from '../harness/program.ts';
import type { Environment } from '../harness/program.ts';

export type Signal = 'SIGKILL' | 'SIGTERM';

/** A service that ends on SIGTERM does so in this time, whatever is under way. */
const STOP_MS = 60_000;
const AGAIN_MS = 1000;
/** One that young may not have heard of signals yet. */
const YOUNG_MS = 3000;

export interface DaemonOptions {
  readonly name: 'L' | 'H';
  readonly args: readonly string[];
  readonly env: Environment;
  readonly cwd: string;
  /** Its standard error, of all its lives. */
  readonly log: string;
  /** Whether it says on standard output that it is ready. */
  readonly announces: boolean;
  /** A line of its standard output. */
  readonly said?: (line: string) => void;
}

export class Daemon {
  readonly kills: Record<Signal, number> = { SIGKILL: 0, SIGTERM: 0 };
  starts = 0;
  /** Ends that nobody asked for, and stops that were not clean, a line each. */
  readonly faults: string[] = [];
  readonly #options: DaemonOptions;
  #child: ChildProcess | null = null;
  #ended: Promise<string> = Promise.resolve('');
  /** Between a kill and the next start, and at the end. */
  #expected = true;

  constructor(options: DaemonOptions) {
    this.#options = options;
  }

  get name(): 'L' | 'H' {
    return this.#options.name;
  }

  /** Null while it is down. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** Resolves once it is ready; tries again where it ends at once, as a service manager does. Throws after a minute of that. */
  async start(): Promise<void> {
    for (let left = 60; left > 0; left -= 1) {
      if (await this.#launch()) return;
      await sleep(AGAIN_MS);
    }
    throw new Error(`${this.name} does not start: ${this.faults.at(-1)}`);
  }

  async #launch(): Promise<boolean> {
    const { args, env, cwd, log, announces, said } = this.#options;
    const errors = openSync(log, 'a');
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      env,
      cwd,
      stdio: ['ignore', 'pipe', errors],
    });
    closeSync(errors);
    this.starts += 1;
    this.#child = child;
    const withUs = (): boolean => child.kill('SIGKILL');
    process.once('exit', withUs);
    child.once('exit', () => process.off('exit', withUs));
    this.#expected = false;
    const lines = createInterface({ input: child.stdout ?? Readable.from([]) });
    if (said) lines.on('line', said);
    const began = performance.now();
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, signal) =>
        resolve(signal === null ? `exit ${code}` : performance.now() - began < YOUNG_MS ? 'young' : signal),
      );
    });
    const announced = new Promise<true>((resolve) => lines.once('line', () => resolve(true)));
    let ready = !announces;
    const ended = this.#ended.then((how) => {
      this.#child = null;
      if (this.#expected) return false;
      this.faults.push(`${this.name} ended by itself: ${how}; it said last: ${this.#lastWords()}`);
      // before that `start` tries again
      if (ready) void sleep(AGAIN_MS).then(() => (this.#expected || this.#child ? undefined : this.start()));
      return false;
    });
    ready = await Promise.race([ready || announced, ended]);
    return ready;
  }

  #lastWords(): string {
    return readFileSync(this.#options.log, 'utf8').trimEnd().split('\n').slice(-3).join(' / ').slice(-500);
  }

  /** Sends it the signal, waits for its end and `pauseMs`, and starts it again. */
  async strike(signal: Signal, pauseMs: number): Promise<void> {
    this.kills[signal] += 1;
    await this.#end(signal);
    await sleep(pauseMs);
    await this.start();
  }

  /** Ends it for good, as its service manager would. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async #end(signal: Signal): Promise<void> {
    const child = this.#child;
    this.#expected = true;
    if (child === null) return;
    const late = setTimeout(() => {
      this.faults.push(`${this.name} did not end within ${STOP_MS / 1000} s of SIGTERM`);
      child.kill('SIGKILL');
    }, STOP_MS);
    child.kill(signal);
    const how = await this.#ended;
    clearTimeout(late);
    if (signal === 'SIGTERM' && !['exit 0', 'young', 'SIGKILL'].includes(how))
      this.faults.push(`${this.name} ended on SIGTERM with ${how}: ${this.#lastWords()}`);
  }
}
