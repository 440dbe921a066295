/** The built program as a child process, the way its users run it. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { collected } from './collected.ts';

const DIST = new URL('../../dist/', import.meta.url);
export const PROGRAM = fileURLToPath(new URL('countersign.mjs', DIST));
export const PROGRAM_H = fileURLToPath(new URL('countersign-h.mjs', DIST));

export type Environment = Readonly<Record<string, string>>;

/** How a run of the program ended. */
export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as JSON lines; empty where it is something else. */
  readonly json: readonly Readonly<Record<string, unknown>>[];
  /** The error under `--json`. */
  readonly error: { readonly code: string; readonly message: string; readonly hint: string } | null;
  /** The most memory it had at any time we looked, in KiB. */
  readonly peakKiB: number;
}

export interface RunOptions {
  readonly env: Environment;
  readonly cwd: string;
  readonly input?: string | Buffer;
  readonly program?: string;
  /** A command that runs the program, with its arguments: strace. */
  readonly under?: readonly string[];
  /** Ends the child so long after its start; it then has no code. */
  readonly timeoutMs?: number;
  /** Ends the child with the signal that is the reason, or SIGKILL, as a power cut would; it then has no code. */
  readonly kill?: AbortSignal;
}

/** Runs the program to its end. Asynchronous, because servers of the test may live in this process. */
export async function runProgram(args: readonly string[], options: RunOptions): Promise<Ran> {
  const [command, ...before] = [...(options.under ?? []), process.execPath];
  const child = spawn(command, [...before, options.program ?? PROGRAM, ...args], {
    cwd: options.cwd,
    env: options.env,
    stdio: 'pipe',
    timeout: options.timeoutMs ?? 120_000,
    killSignal: 'SIGKILL',
  });
  const memory = watchMemory(child);
  options.kill?.addEventListener('abort', () =>
    child.kill(options.kill?.reason === 'SIGINT' ? 'SIGINT' : 'SIGKILL'),
  );
  child.stdin.on('error', () => {}); // it need not read what we offer
  child.stdin.end(options.input ?? '');
  const ended = await collected(child);
  const json = jsonLines(ended.stdout);
  return { ...ended, json, error: errorIn(json), peakKiB: memory() };
}

/** Watches how much memory a child takes. What it returns says the most so far. */
export function watchMemory(child: ChildProcess): () => number {
  let peak = 0;
  const look = (): void => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'latin1');
      peak = Math.max(peak, Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0));
    } catch {
      // it has ended, or this is no Linux
    }
  };
  const timer = setInterval(look, 20);
  timer.unref();
  child.once('exit', () => clearInterval(timer));
  return () => {
    look();
    return peak;
  };
}

function jsonLines(text: string): Record<string, unknown>[] {
  try {
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  } catch {
    return [];
  }
}

function errorIn(json: readonly Readonly<Record<string, unknown>>[]): Ran['error'] {
  const last = json.at(-1);
  if (typeof last?.['code'] !== 'string' || typeof last['message'] !== 'string') return null;
  return { code: last['code'], message: last['message'], hint: String(last['hint']) };
}
