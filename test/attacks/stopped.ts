/**
 * A program that stops in the middle: strace sends it SIGSTOP when it makes a system call on a path, the test does
 * what an attacker does at that moment, and the program goes on. So a race is won every time.
 */
import { readFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ran } from '../harness/program.ts';
import type { RunMore, World } from '../harness/world.ts';

export interface Moment {
  /** System calls, as strace names them: `openat`, `read,pread64`. */
  readonly call: string;
  readonly path: string;
  /** The how many-th of them on that path; the first unless told. */
  readonly nth?: number;
}

let traces = 0;

/** Runs a command on a host, and `act` when it has come to that moment. Throws if it never came there. */
export async function stoppedAt(
  world: World,
  host: 'H' | 'M' | 'operator',
  args: readonly string[],
  { call, path, nth = 1 }: Moment,
  act: () => unknown,
  more: RunMore = {},
): Promise<Ran> {
  const trace = world.path('tmp', `trace-${++traces}`);
  const under = ['strace', '-f', '-b', 'execve', '-q', '-o', trace, '-P', path, '-e', `trace=${call}`];
  const running = world.runOn(host, args, {
    ...more,
    under: [...under, '-e', `inject=${call}:signal=STOP:when=${nth}`],
    // one thread for all files: else the n-th call is that of any of them
    env: { UV_THREADPOOL_SIZE: '1', UV_USE_IO_URING: '0', ...more.env },
  });
  let ended = false;
  void running.finally(() => (ended = true)).catch(() => {});
  const pid = await stopped(trace, () => ended);
  if (pid === null) throw new Error(`never came to ${call} on ${path}\n${(await running).stderr}`);
  await act();
  process.kill(pid, 'SIGCONT');
  return running.finally(() => rm(trace));
}

/** The process that has stopped; null if it ended before. */
async function stopped(trace: string, ended: () => boolean): Promise<number | null> {
  for (;;) {
    const last = ended();
    const text = await readFile(trace, 'utf8').catch(() => '');
    const thread = /^(\d+) +--- stopped by SIGSTOP ---$/m.exec(text)?.[1];
    if (thread !== undefined)
      return Number(/^Tgid:\s+(\d+)$/m.exec(readFileSync(`/proc/${thread}/status`, 'latin1'))?.[1]);
    if (last) return null;
    await sleep(5);
  }
}
