/** Figures, and how they are taken: a child's time and memory, contestants in turn, medians with their spread. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { collected } from '../test/harness/collected.ts';

/** What each number counts: seconds, milliseconds, mebibytes, files or signatures a second, bytes; or things. */
export type Unit = 's' | 'ms' | 'MiB' | '/s' | 'B' | '';

/** One figure: every value that was measured, in the order of the runs. */
export interface Figure {
  readonly unit: Unit;
  readonly values: readonly number[];
}

/** Figures by name, such as `large.sha256.sign`. */
export type Figures = Readonly<Record<string, Figure>>;

/** Collects the figures of a section. */
export class Notebook {
  readonly #figures = new Map<string, { readonly unit: Unit; readonly values: number[] }>();

  /** Notes one value of a figure. */
  note(name: string, unit: Unit, value: number): void {
    const figure = this.#figures.get(name) ?? { unit, values: [] };
    // four digits are more than the clock is good for
    figure.values.push(Number(value.toPrecision(4)));
    this.#figures.set(name, figure);
  }

  get figures(): Figures {
    return Object.fromEntries(this.#figures);
  }
}

/** The value in the middle; of an even number of values the mean of the two. Of none NaN. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = NaN, high = NaN] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]];
  return (low + high) / 2;
}

/** The smallest and the largest value. */
export function spread(values: readonly number[]): readonly [number, number] {
  return [Math.min(...values), Math.max(...values)];
}

/**
 * Runs every contestant `rounds` times: all of them in each round, so that whatever else the machine does hits them
 * alike, and each round starts with another one.
 */
export async function alternate(
  rounds: number,
  contestants: readonly (() => Promise<void>)[],
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const first = round % contestants.length;
    for (const act of [...contestants.slice(first), ...contestants.slice(0, first)]) await act();
  }
}

const servers = new Set<ChildProcess>();
const endServers = (): void => servers.forEach((child) => child.kill());
process.once('exit', endServers);
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    endServers();
    process.kill(process.pid, signal);
  });

/** A server that is not to outlive us, however we end. */
export function endWithUs(child: ChildProcess): void {
  servers.add(child);
  child.once('exit', () => servers.delete(child));
}

export interface Timed {
  readonly seconds: number;
  /** User and system time of the process and of the children it waited for. */
  readonly cpu: number;
  /** The most memory that it, or one of those children, had at a time. */
  readonly peakMiB: number;
  readonly stdout: string;
}

export interface TimedOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Exit statuses that are no failure. */
  readonly accept?: readonly number[];
}

/** Runs a command to its end. Throws with what it said if it fails, or takes more than ten minutes. */
export async function timed(
  [command = '', ...args]: readonly string[],
  { env, cwd, accept = [0] }: TimedOptions = {},
): Promise<Timed> {
  const directory = mkdtempSync(join(tmpdir(), 'cs-time-'));
  try {
    const usage = join(directory, 'usage');
    const start = performance.now();
    const child = spawn('/usr/bin/time', ['-q', '-o', usage, '-f', '%U %S %M', command, ...args], {
      cwd,
      env: env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 600_000,
    });
    const { code, stdout, stderr } = await collected(child);
    const seconds = (performance.now() - start) / 1000;
    if (code === null || !accept.includes(code))
      throw new Error(`${command} ${args[0] ?? ''} ended with ${code}:\n${stdout}\n${stderr}`);
    const [user = 0, system = 0, peak = 0] = readFileSync(usage, 'utf8').trim().split(' ').map(Number);
    return { seconds, cpu: user + system, peakMiB: peak / 1024, stdout };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Writes out what others left dirty, so that nobody pays for it. */
export async function settle(): Promise<void> {
  await timed(['sync']);
}
