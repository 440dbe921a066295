/**
 * Child processes: bounded in time and output, in a clean environment, with a status pipe of their own.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { basename } from 'node:path';
import type { Readable } from 'node:stream';
import { unable } from '../failure.ts';

/** The variables of a process, ours or a child's. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What descriptor 0, or 4 and up, is in the child: bytes that are fed to it, or an open descriptor of ours. */
export type ChildInput = Buffer | number;

export interface RunOptions {
  /** Standard input; without it the child reads nothing. */
  readonly input?: ChildInput;
  /** Descriptors 4, 5, … of the child; 3 is always the status pipe. */
  readonly fds?: readonly ChildInput[];
  /** The whole environment; without it PATH and LANG=C. */
  readonly env?: Environment;
  readonly timeoutMs: number;
  /** The most that each of standard output, standard error and status may hold. */
  readonly maxOutput: number;
}

export interface RunResult {
  /** Null if a signal ended it. */
  readonly code: number | null;
  /** Why we killed it, or null: then it ended by itself, with every pipe read to its end. */
  readonly killed: 'deadline' | 'output' | null;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** What the child wrote to descriptor 3. */
  readonly status: Buffer;
}

/** The environment of a child that needs nothing of the caller's: programs are still found as everybody finds them. */
function cleanEnvironment(): Environment {
  return { PATH: process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin', LANG: 'C' };
}

/** The environment of a child that is the user's own tool (gpg, git): all of `env` but what is meant for us, a ticket say. */
export function withoutOurs(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('COUNTERSIGN_')));
}

/**
 * Runs `command` to its end, or to its deadline or output limit, when it is killed.
 *
 * Returns whatever happened as data: the caller judges. Throws `unable` (`<name>-missing`, `<name>-failed`)
 * only if the program could not be started.
 */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  const inputs = [options.input, undefined, undefined, undefined, ...(options.fds ?? [])];
  const stdio = inputs.map((input, fd) => (fd >= 1 && fd <= 3 ? 'pipe' : describe(input)));
  const child = spawn(command, args, { stdio, env: options.env ?? cleanEnvironment() });

  return new Promise((resolve, reject) => {
    let killed: RunResult['killed'] = null;
    const kill = (why: 'deadline' | 'output'): void => {
      killed ??= why;
      child.kill('SIGKILL');
      // a grandchild may hold the pipes open for ever: 'close' must not wait for it
      for (const stream of child.stdio) stream?.destroy();
    };
    const deadline = setTimeout(() => kill('deadline'), options.timeoutMs);
    const flood = (): void => kill('output');
    const stdout = collect(child, 1, options.maxOutput, flood);
    const stderr = collect(child, 2, options.maxOutput, flood);
    const status = collect(child, 3, options.maxOutput, flood);
    inputs.forEach((input, fd) => feed(child, fd, input));

    child.once('error', (cause: NodeJS.ErrnoException) => {
      clearTimeout(deadline);
      reject(notStarted(command, cause));
    });
    child.once('close', (code) => {
      clearTimeout(deadline);
      resolve({ code, killed, stdout: stdout(), stderr: stderr(), status: status() });
    });
  });
}

function describe(input: ChildInput | undefined): 'ignore' | 'pipe' | number {
  if (input === undefined) return 'ignore';
  return typeof input === 'number' ? input : 'pipe';
}

/** Reads one descriptor of the child; more than `max` bytes are a flood. */
function collect(child: ChildProcess, fd: number, max: number, flood: () => void): () => Buffer {
  const chunks: Buffer[] = [];
  let size = 0;
  const stream = child.stdio[fd] as Readable | null;
  stream?.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > max) flood();
    else chunks.push(chunk);
  });
  stream?.on('error', () => {}); // a broken pipe shows as missing output, which the caller judges
  return () => Buffer.concat(chunks);
}

function feed(child: ChildProcess, fd: number, input: ChildInput | undefined): void {
  if (!Buffer.isBuffer(input)) return;
  const stream = child.stdio[fd];
  if (!stream || !('end' in stream)) return;
  stream.on('error', () => {}); // the child may end without reading all: its exit says what it thought of it
  stream.end(input);
}

function notStarted(command: string, cause: NodeJS.ErrnoException): Error {
  const name = basename(command);
  return cause.code === 'ENOENT' || cause.code === 'EACCES'
    ? unable(
        `${name}-missing`,
        `${name} is not here`,
        `install the Debian package that has it (apt install ${packageOf(name)})`,
        cause,
      )
    : unable(`${name}-failed`, `${name} could not be started: ${cause.message}`, 'try again', cause);
}

const packageOf = (name: string): string => (/^gpg(conf|-agent)?$/.test(name) ? 'gnupg' : name);
