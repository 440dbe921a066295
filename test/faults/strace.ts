/**
 * The real program under strace, with one system call of it made to fail, or to be its last. One thread does all of its
 * file work and the names of its temporary files are counted, so that the n-th call on a path is the same in each run.
 */
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

const FIXED_NAMES = new URL('fixed-names.mjs', import.meta.url).href;

/** The calls by which the program changes anything, and `read`, which may fail too. */
const CALLS = {
  open: 'openat',
  read: 'read,pread64',
  write: 'write,pwrite64,writev,pwritev',
  sync: 'fsync,fdatasync',
  make: 'mkdir,mkdirat',
  name: 'rename,renameat,renameat2,link,linkat,symlink',
  remove: 'unlink,unlinkat,rmdir',
  cut: 'ftruncate',
  connect: 'connect',
  /** Only sockets are written to with it: requests with a body, answers. */
  send: 'writev,sendmsg',
} as const;
export type Call = keyof typeof CALLS;

export type Error = 'EIO' | 'ENOSPC' | 'EDQUOT' | 'EPIPE' | 'ECONNRESET' | 'ECONNREFUSED' | 'ENETUNREACH';

/** The `nth` such call on `path` (or at all: sockets have none) fails; or is not made, and the process killed. */
export interface Fault {
  readonly syscall: string;
  readonly path: string | null;
  readonly nth: number;
  readonly as: Error | 'SIGKILL';
}

/** For `run` of the harness: where the program runs under strace. */
export interface Traced {
  readonly under: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The program has started: what it does from now on somebody asked for. */
  readonly started: () => void;
  /** What strace wrote; call it once the program has ended. */
  readonly trace: () => string;
}

/** A file that has not got its name yet. */
export const TEMPORARY = /\.[0-9a-f]{24}\.tmp(\/|$)/;

/** Stands in a trace on a line of its own, where what the program did by itself ends. */
const STARTED = '--- started ---\n';

let traces = 0;

/** `scratch`: where the trace goes meanwhile. Children that are other programs are not traced. */
export function traced(scratch: string, fault: Fault | null): Traced {
  const file = join(scratch, `trace-${process.pid}-${++traces}`);
  let before = 0;
  const strace = ['strace', '-f', '-b', 'execve', '-q', '-y', '-s', '80', '-o', file];
  const what =
    fault === null
      ? ['-e', `trace=${Object.values(CALLS).join()}`]
      : [
          ...(fault.path === null ? [] : ['-P', fault.path]),
          ...['-e', `trace=${fault.syscall}`],
          ...['-e', `inject=${fault.syscall}:${injection(fault)}:when=${fault.nth}`],
        ];
  return {
    under: [...strace, ...what],
    env: { UV_THREADPOOL_SIZE: '1', UV_USE_IO_URING: '0', NODE_OPTIONS: `--import=${FIXED_NAMES}` },
    started() {
      before = existsSync(file) ? statSync(file).size : 0;
    },
    trace() {
      const text = existsSync(file) ? readFileSync(file, 'latin1') : '';
      rmSync(file, { force: true });
      return before === 0 ? text : `${text.slice(0, before)}${STARTED}${text.slice(before)}`;
    },
  };
}

const injection = ({ as }: Fault): string => (as === 'SIGKILL' ? 'signal=KILL' : `error=${as}`);

/** Whether the fault happened: without this an injection that hit nothing would pass for one that was survived. */
export const hit = (trace: string, { as }: Fault): boolean =>
  as === 'SIGKILL'
    ? /\+\+\+ killed by SIGKILL/.test(trace)
    : trace.includes(`${as} `) && trace.includes('(INJECTED)');

/** One call that the program made, as far as it can be told apart. */
export interface Step {
  readonly call: Call;
  readonly syscall: string;
  readonly path: string | null;
  /** Which of the same system call on the same path it was, from 1: strace counts them so. */
  readonly nth: number;
  /** Where a rename or a link led; to whom a connection. */
  readonly to: string | null;
  /** What is sent, from its beginning: of a request its first line. */
  readonly says: string | null;
  /** Done at its start, before anybody asked for anything. */
  readonly early: boolean;
}

/** Calls that change something below `directory`, and on sockets, in order. */
export function stepsOf(trace: string, directory: string): Step[] {
  const seen = new Map<string, number>();
  let early = trace.includes(STARTED);
  return trace.split('\n').flatMap((line): Step[] => {
    if (`${line}\n` === STARTED) early = false;
    const made = madeCall(line, directory);
    if (made === null) return [];
    // strace counts a call for each path that it is about
    const keys = [made.path, ...(made.path === null || made.to === null ? [] : [made.to])].map(
      (path) => `${made.syscall} ${path}`,
    );
    for (const key of keys) seen.set(key, (seen.get(key) ?? 0) + 1);
    return [{ ...made, early, nth: seen.get(keys[0] ?? '') ?? 1 }];
  });
}

function madeCall(line: string, directory: string): Omit<Step, 'nth' | 'early'> | null {
  const [, syscall = '', args = ''] = /^\d+ +([a-z0-9]+)\((.*)$/.exec(line) ?? [];
  const calls = (Object.keys(CALLS) as Call[]).filter((call) => CALLS[call].split(',').includes(syscall));
  const [call] = calls;
  if (call === undefined) return null;
  const socket = { syscall, path: null, to: args.includes('AF_UNIX') ? 'agent' : 'depot' };
  if (call === 'connect') return { call, ...socket, says: null };
  if (calls.includes('send') && /^\d+<(?:TCP|socket|UNIX)/.test(args))
    return { call: 'send', ...socket, says: /iov_base="([^"]*)/.exec(args)?.[1] ?? null };
  if (call === 'open' && !args.includes('O_CREAT')) return null;
  const [path, to = null] = [...args.matchAll(/"([^"]*)"|^\d+<([^>]*)>/g)]
    .map(([, quoted, open]) => quoted ?? open ?? '')
    .filter((named) => named.startsWith(`${directory}/`));
  return path === undefined ? null : { call, syscall, path, to, says: null };
}
