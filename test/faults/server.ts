/** The depot under strace while somebody uses it; when it is killed, whoever keeps it running starts it again. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { PROGRAM } from '../harness/program.ts';
import type { Ran } from '../harness/program.ts';
import type { World } from '../harness/world.ts';
import type { Traced } from './strace.ts';

/**
 * Runs `use` against a depot that meets a fault. Returns how the depot ended if it did by itself, else what `use` gave. A
 * depot without faults runs afterwards.
 */
export async function served(
  world: World,
  { under, env, started }: Traced,
  use: () => Promise<Ran>,
  args: readonly string[] = [],
): Promise<Ran> {
  await world.stopServer();
  const [command = '', ...before] = under;
  const { host } = new URL(world.url);
  const serve = ['serve', '--data', world.path('L', 'data'), '--listen', host, '--json', ...args];
  const child = spawn(command, [...before, process.execPath, PROGRAM, ...serve], {
    cwd: world.path('cwd'),
    env: { ...world.env('L'), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err]: [string[], string[]] = [[], []];
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk.toString()));
  let stopped = false;
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const again = ended.then(() => (stopped ? undefined : world.startServer(args)));
  await Promise.race([
    new Promise<void>((resolve) =>
      child.stdout.on('data', (chunk: Buffer) => resolve(void out.push(chunk.toString()))),
    ),
    ended,
  ]);
  const stdout = out.join('');
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  if (stdout.includes('"code"') || hasEnded()) {
    await again;
    return { code: await ended, stdout, stderr: err.join(''), json: [], error: null, peakKiB: 0 };
  }

  // strace itself is the parent, and ends with it
  const node = childOf(child.pid ?? 0);
  // what it does by itself at its start comes before what it is asked for, each time
  while (!hasEnded() && !isIdle(node)) await sleep(5);
  started();
  if (hasEnded()) await again;
  const used = await use();
  if (hasEnded()) {
    await again;
    return { ...used, code: null };
  }
  stopped = true;
  process.kill(node, 'SIGTERM');
  await ended;
  await world.startServer(args);
  return used;
}

/** 0 where it has ended. */
function childOf(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ')[0]);
  } catch {
    return 0;
  }
}

/** Whether it waits for no program, and all its threads were asleep at one moment: none has run between two looks at them. */
function isIdle(pid: number): boolean {
  if (childOf(pid) !== 0) return false;
  try {
    const [first, second] = [threadsOf(pid), threadsOf(pid)];
    return first.length > 0 && !/^State:\s+[^S]/m.test(first) && first === second;
  } catch {
    return false; // it has ended, or a thread of it has
  }
}

/** The state of each thread, and how often it has run. */
const threadsOf = (pid: number): string =>
  readdirSync(`/proc/${pid}/task`)
    .map((task) => readFileSync(`/proc/${pid}/task/${task}/status`, 'latin1'))
    .flatMap((status) => status.match(/^(?:Pid|State|\w+_ctxt_switches):.*$/gm) ?? [])
    .join('\n');
