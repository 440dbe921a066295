/** The real `countersign witness`, in a process of its own. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseWitnessKey } from '../../src/tlog/cosignature.ts';
import type { WitnessKey } from '../../src/tlog/cosignature.ts';
import { PROGRAM, runProgram } from '../harness/program.ts';
import type { Environment, Ran } from '../harness/program.ts';

export interface Options {
  readonly env?: Environment;
  /** What stands before it: strace. */
  readonly under?: readonly string[];
}

const environment = (more: Environment = {}): Environment => ({
  PATH: process.env['PATH'] ?? '/usr/bin:/bin',
  LANG: 'C.UTF-8',
  ...more,
});

/** Runs it to its end: for what does not start. */
export const ended = (args: readonly string[], { env, under }: Options = {}): Promise<Ran> =>
  runProgram(['witness', '--listen', '127.0.0.1:0', '--json', ...args], {
    env: environment(env),
    cwd: '/',
    ...(under && { under }),
  });

/** What it shows to a person from its start to its end, which it is told as soon as it listens. */
export async function shown(args: readonly string[]): Promise<string> {
  const all = [PROGRAM, 'witness', '--listen', '127.0.0.1:0', ...args];
  const child = spawn(process.execPath, all, { cwd: '/', env: environment(), stdio: 'pipe' });
  child.stderr.resume();
  let text = '';
  for await (const chunk of child.stdout) {
    text += String(chunk);
    if (/^listening on /m.test(text)) child.kill();
  }
  return text;
}

export interface Started {
  readonly url: string;
  readonly key: WitnessKey;
  readonly logs: readonly string[];
  readonly child: ChildProcess;
  /** Its exit status; null if it was killed. */
  readonly ended: Promise<number | null>;
  /** What it wrote to standard error. */
  readonly said: readonly string[];
  /** Tells it to end, and waits. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<number | null>;
}

/** Starts it. Throws with what it printed if it does not. */
export async function started(args: readonly string[], { env, under = [] }: Options = {}): Promise<Started> {
  const [command, ...before] = [...under, process.execPath];
  const all = [...before, PROGRAM, 'witness', '--listen', '127.0.0.1:0', '--json', ...args];
  const child = spawn(command, all, { cwd: '/', env: environment(env), stdio: ['ignore', 'pipe', 'pipe'] });
  const said: string[] = [];
  createInterface({ input: child.stderr }).on('line', (text) => said.push(text));
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const first = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('error', reject);
    void exited.then((code) => reject(new Error(`it ended with ${code}: ${said.join('\n')}`)));
  });
  const { url, key, logs } = JSON.parse(first) as Record<'url' | 'key', string> & { logs: string[] };
  return {
    url,
    key: parseWitnessKey(key),
    logs,
    child,
    ended: exited,
    said,
    stop(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) process.kill(nodeOf(child, under), signal);
      return exited;
    },
  };
}

/** strace itself would leave it running. */
function nodeOf({ pid = 0 }: ChildProcess, under: readonly string[]): number {
  if (under.length === 0) return pid;
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ')[0]);
}
