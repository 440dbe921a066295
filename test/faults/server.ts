/** The depot under strace while somebody uses it; when it is killed, whoever keeps it running starts it again. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { PROGRAM } from '../harness/program.ts';
import type { Ran } from '../harness/program.ts';
import type { World } from '../harness/world.ts';
import type { Traced } from './strace.ts';

/**
 * Runs `use` against a depot that meets a fault. Returns how the depot ended if it did by itself, else what `use` gave. A
 * depot without faults runs afterwards.
 */
export async function served(world: World, { under, env }: Traced, use: () => Promise<Ran>): Promise<Ran> {
  await world.stopServer();
  const [command = '', ...before] = under;
  const serve = ['serve', '--data', world.path('L', 'data'), '--listen', new URL(world.url).host, '--json'];
  const child = spawn(command, [...before, process.execPath, PROGRAM, ...serve], {
    cwd: world.path('cwd'),
    env: { ...world.env('L'), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err]: [string[], string[]] = [[], []];
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk.toString()));
  let stopped = false;
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const again = ended.then(() => (stopped ? undefined : world.startServer()));
  await Promise.race([
    new Promise<void>((resolve) =>
      child.stdout.on('data', (chunk: Buffer) => resolve(void out.push(chunk.toString()))),
    ),
    ended,
  ]);
  const stdout = out.join('');
  if (stdout.includes('"code"') || child.exitCode !== null) {
    await again;
    return { code: await ended, stdout, stderr: err.join(''), json: [], error: null, peakKiB: 0 };
  }

  const used = await use();
  if (child.exitCode !== null || child.signalCode !== null) {
    await again;
    return { ...used, code: null };
  }
  stopped = true;
  // strace itself would leave it running
  const node = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'latin1').split(' ')[0];
  process.kill(Number(node), 'SIGTERM');
  await ended;
  await world.startServer();
  return used;
}
