/** Memory, descriptors and threads of L and H while they live on, from /proc (proc(5)); and whether they are flat. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Daemon } from './daemon.ts';

/** The median of the last quarter may be so many times that of the second quarter. */
export const FLAT_RATIO = 1.15;
/** What a garbage collector needs to make up its mind, in KiB. */
export const FLAT_SLACK = 16 * 1024;
/** When nothing happens, so many descriptors more than after the start: threads that verify have some each, and connections are kept. */
export const IDLE_FDS = 8 + 4 * availableParallelism();

export interface Sample {
  /** Seconds since sampling began. */
  readonly at: number;
  readonly rssKiB: number;
  /** The most so far. */
  readonly peakKiB: number;
  readonly fds: number;
  readonly threads: number;
  /** Seconds of processor time since its start. */
  readonly cpu: number;
}

/** One process; null once it is gone. */
export function sample(pid: number, began: number): Sample | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const field = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
    const times = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /, '')
      .split(' ');
    return {
      at: (performance.now() - began) / 1000,
      ...{ rssKiB: field('VmRSS'), peakKiB: field('VmHWM'), threads: field('Threads') },
      fds: readdirSync(`/proc/${pid}/fd`).length,
      cpu: (Number(times[11]) + Number(times[12])) / 100,
    };
  } catch {
    return null;
  }
}

/** What its descriptors are, and how many of each. */
export function descriptors(pid: number | null): string {
  if (pid === null) return 'it is down';
  const kinds = new Map<string, number>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const kind = kindOf(`/proc/${pid}/fd/${fd}`);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  return [...kinds].map(([kind, count]) => `${count} ${kind}`).join(', ');
}

function kindOf(path: string): string {
  try {
    return readlinkSync(path).replace(/:\[\d+\]$/, '');
  } catch {
    return 'closed';
  }
}

/** Samples services until `stop`. */
export class Sampler {
  readonly of = { L: [] as Sample[], H: [] as Sample[] };
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;

  constructor(daemons: readonly Daemon[], everyMs: number) {
    const began = performance.now();
    this.#running = (async () => {
      for (
        ;
        !this.#stop.signal.aborted;
        await sleep(everyMs, null, { signal: this.#stop.signal }).catch(() => {})
      )
        for (const { name, pid } of daemons) {
          const taken = pid === null ? null : sample(pid, began);
          if (taken !== null) this.of[name].push(taken);
        }
    })();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

export interface Quarter {
  readonly rssKiB: number;
  readonly peakKiB: number;
  readonly fds: number;
  readonly threads: number;
  /** Of one core. */
  readonly cpu: number;
}

/** Medians of each quarter of the time, but the peak, which is the last. */
export function quartersOf(samples: readonly Sample[]): Quarter[] {
  const size = samples.length / 4;
  return [0, 1, 2, 3].map((at) => {
    const part = samples.slice(Math.floor(at * size), Math.floor((at + 1) * size));
    const of = (field: keyof Sample): number => median(part.map((each) => each[field]));
    const [first, last] = [part[0], part.at(-1)];
    const cpu = first && last && last.at > first.at ? (last.cpu - first.cpu) / (last.at - first.at) : 0;
    return { rssKiB: of('rssKiB'), peakKiB: last?.peakKiB ?? 0, fds: of('fds'), threads: of('threads'), cpu };
  });
}

/** Why it is not flat; null if it is. The first third of the time is for warming up. */
export function slopeProblem(name: string, samples: readonly Sample[]): string | null {
  const rest = samples.slice(Math.floor(samples.length / 3));
  const half = Math.floor(rest.length / 2);
  const [before, after] = [rest.slice(0, half), rest.slice(half)].map((part) =>
    median(part.map(({ rssKiB }) => rssKiB)),
  );
  if (before === undefined || after === undefined || half < 4)
    return `${name} was sampled ${samples.length} times only`;
  if (after <= Math.max(before * FLAT_RATIO, before + FLAT_SLACK)) return null;
  return `the memory of ${name} grows: ${before} KiB, then ${after} KiB`;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** The value that so many percent do not exceed. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? 0;
}
