/**
 * `--run`: the build itself, run without the ticket. An edge: it starts a process and catches signals.
 *
 * The command gets no variable, no descriptor and no file with the ticket in it. That is no wall against a
 * command that runs as the same user: it can read this process's memory. `--run-as` is one.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { unable, usage } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { run } from '../host/process.ts';
import { CREDENTIALS_VARIABLE, TICKET_VARIABLE } from './ticket-source.ts';

/** What every ticket starts with, of whatever version. */
const TICKET = /countersign-ticket-v/;

/** Who the command runs as. */
export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/**
 * Runs `sh -c command` in the working directory to its end, and ends what it left running in its process group.
 * What it prints goes to standard error: standard output is ours. Throws unable `command-failed` with its exit
 * status, or what `signal` was aborted with, after the command has ended.
 */
export async function runCommand(
  command: string,
  user: User | null,
  environment: Readonly<NodeJS.ProcessEnv>,
  signal: AbortSignal,
): Promise<void> {
  const child = spawn('/bin/sh', ['-c', command], {
    stdio: ['ignore', 2, 2],
    env: withoutTicket(environment, user),
    detached: true, // a group of its own, without our terminal
    ...(user === null ? {} : { uid: user.uid, gid: user.gid }),
  });
  const stop = (): void => killGroup(child, 'SIGTERM');
  signal.addEventListener('abort', stop);
  try {
    await new Promise<void>((resolve, reject) => {
      child.once('error', (cause) => reject(notStarted(user, cause)));
      child.once('exit', (code, killer) => {
        killGroup(child, 'SIGKILL');
        if (code === 0) resolve();
        else
          reject(
            unable(
              'command-failed',
              `the build command ${ended(code, killer)}`,
              'nothing was signed; mend it and run again',
            ),
          );
      });
    });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
  signal.throwIfAborted();
}

/**
 * Looks a user up with the system's own tools. Throws usage `no-such-user`.
 */
export async function findUser(name: string): Promise<User> {
  // the shell expands ~name only where the name is literal, so it must be one that can stand there
  if (!/^[A-Za-z_][A-Za-z0-9._-]{0,63}$/.test(name)) throw usage('no-such-user', `'${name}' is no user name`);
  const script = `id -u -- ${name} && id -g -- ${name} && echo ~${name}`;
  const result = await run('/bin/sh', ['-c', script], { timeoutMs: 10_000, maxOutput: 4096 });
  const [uid, gid, home] = result.stdout.toString('utf8').split('\n');
  if (result.code !== 0 || !/^\d+$/.test(uid ?? '') || !/^\d+$/.test(gid ?? '') || !home?.startsWith('/'))
    throw usage('no-such-user', `there is no user ${name} on this host`);
  return { name, uid: Number(uid), gid: Number(gid), home };
}

/**
 * Runs `work` with a signal that aborts when this process is told to stop, so that what must be put back is put
 * back before it ends. `hint` is what a person who stops it reads.
 */
export async function interruptible<T>(
  work: (signal: AbortSignal) => Promise<T>,
  hint = 'nothing was signed; run again',
): Promise<T> {
  const controller = new AbortController();
  const stop = (signal: NodeJS.Signals): void =>
    controller.abort(unable('interrupted', `stopped by ${signal}`, hint));
  const signals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, stop);
  try {
    return await work(controller.signal);
  } finally {
    for (const signal of signals) process.off(signal, stop);
  }
}

function killGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // nobody is left in it
  }
}

/** The environment less every variable that holds a ticket, under whatever name a CI system gave it. */
function withoutTicket(environment: Readonly<NodeJS.ProcessEnv>, user: User | null): NodeJS.ProcessEnv {
  const kept = Object.entries(environment).filter(
    ([name, value]) =>
      name !== TICKET_VARIABLE && name !== CREDENTIALS_VARIABLE && value !== undefined && !TICKET.test(value),
  );
  const identity = user === null ? {} : { USER: user.name, LOGNAME: user.name, HOME: user.home };
  return { ...Object.fromEntries(kept), ...identity };
}

function ended(code: number | null, killer: NodeJS.Signals | null): string {
  return code === null ? `was ended by ${killer ?? 'a signal'}` : `failed with exit status ${code}`;
}

function notStarted(user: User | null, cause: NodeJS.ErrnoException): Failure {
  return cause.code === 'EPERM' && user !== null
    ? usage(
        'run-as',
        `only root can run the build as ${user.name}`,
        'start attest as root, or leave --run-as out',
        cause,
      )
    : unable('command-failed', `the build command could not be started: ${cause.message}`, '', cause);
}
