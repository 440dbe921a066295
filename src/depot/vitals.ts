/** What the meters show of the process, its disk and the tree: looked at when somebody scrapes, and not each time. */
import { readdirSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseCheckpoint } from '../tlog/checkpoint.ts';
import type { Reserve } from '../tree/reserve.ts';
import type { Tree } from '../tree/tree.ts';
import type { Meters } from './meters.ts';

export interface VitalsOptions {
  readonly meters: Meters;
  readonly tree: Tree;
  /** Where the tree lies. */
  readonly directory: string;
  readonly reserve: Pick<Reserve, 'room' | 'kept' | 'last'>;
  readonly version: string;
  readonly now: () => Date;
}

const FRESH_MS = 1000;
/** A list of a hundred thousand takes some tens of milliseconds. */
const BUILDS_FRESH_MS = 60_000;
const LOOP_RESOLUTION_MS = 50;
const CHECKPOINT_MAX = 64 * 1024;

export class Vitals {
  readonly #options: VitalsOptions;
  readonly #lag = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  #builds = Number.NaN;
  #buildsAt = -Infinity;
  #log = { size: 0, written: Number.NaN };
  #at = -Infinity;

  constructor(options: VitalsOptions) {
    this.#options = options;
    this.#lag.enable();
    this.#register();
  }

  /** Looks again at what takes a moment; called before a scrape is answered. */
  async look(): Promise<void> {
    const at = performance.now();
    if (at - this.#at < FRESH_MS) return;
    this.#at = at;
    await Promise.all([
      this.#options.reserve.room().catch(() => null),
      this.#lookAtLog(),
      this.#lookAtBuilds(at),
    ]);
  }

  /** Counts no more. */
  close(): void {
    this.#lag.disable();
  }

  #register(): void {
    const { meters, reserve, version, now } = this.#options;
    const started = now().getTime() / 1000 - process.uptime();
    const kept = () => reserve.last && reserve.kept(reserve.last);
    meters.gauge('disk_free_bytes', 'Room on its disk, for it.', () => reserve.last?.bytes ?? Number.NaN);
    meters.gauge('disk_free_files', 'How many files fit there.', () => reserve.last?.files ?? Number.NaN);
    meters.gauge('disk_reserve_bytes', 'Below that it takes no upload.', () => kept()?.bytes ?? Number.NaN);
    meters.gauge('disk_reserve_files', 'Below that, too.', () => kept()?.files ?? Number.NaN);
    meters.gauge('builds', 'Builds that lie in it, as of the last minute.', () => this.#builds);
    meters.gauge('log_entries', 'Entries of the log.', () => this.#log.size);
    meters.gauge(
      'checkpoint_age_seconds',
      'Since the checkpoint was written here.',
      () => now().getTime() / 1000 - this.#log.written,
    );
    meters.gauge('event_loop_lag_seconds', 'The longest that all waited since the last scrape.', () => {
      const longest = Math.max(0, this.#lag.max / 1e9 - LOOP_RESOLUTION_MS / 1000);
      this.#lag.reset();
      return longest;
    });
    meters.gauge('resident_bytes', 'Memory of the process.', () => process.memoryUsage.rss());
    meters.count('cpu_seconds_total', 'Processor time that it took.', () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    });
    meters.gauge('open_files', 'Files and connections that it has open.', openFiles);
    meters.gauge('start_time_seconds', 'When it started, since 1970.', () => started);
    meters.gauge('build_info', 'Always 1; which program it is.', () => [
      [{ version, node: process.version }, 1],
    ]);
  }

  async #lookAtLog(): Promise<void> {
    const { tree, directory } = this.#options;
    try {
      const note = await tree.read('log/checkpoint', CHECKPOINT_MAX);
      if (note === null) return;
      const { mtimeMs } = await stat(join(directory, 'log/checkpoint'));
      const body = note.toString('utf8').split('\n\n')[0] ?? '';
      this.#log = { size: parseCheckpoint(`${body}\n`).size, written: mtimeMs / 1000 };
    } catch {
      // what is wrong with it is for check and for monitors to say
    }
  }

  async #lookAtBuilds(at: number): Promise<void> {
    if (at - this.#buildsAt < BUILDS_FRESH_MS) return;
    this.#buildsAt = at;
    this.#builds = await readdir(join(this.#options.directory, 'builds')).then(
      ({ length }) => length,
      () => 0,
    );
  }
}

function openFiles(): number {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return Number.NaN; // no Linux
  }
}
