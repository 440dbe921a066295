/**
 * The service manager: sockets that it made, and what it is told (sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3)).
 * Without one none of it happens. An edge to the system.
 */
import { usage } from '../failure.ts';
import { run } from './process.ts';

/** As sd_listen_fds(3) has it: the first descriptor that may be a socket. */
const FIRST_FD = 3;
const NOTIFY_MS = 10_000;

/**
 * The listening sockets that this process was started with, with their names: those of their units, unless these say
 * otherwise. Takes what says so out of the environment: no child has them. Throws usage(`wrong-usage`).
 */
export function takeSockets(
  env: NodeJS.ProcessEnv,
  pid: number,
): readonly (readonly [name: string, fd: number])[] {
  const { LISTEN_PID: owner, LISTEN_FDS: count = '', LISTEN_FDNAMES: names = '' } = env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID']) delete env[name];
  if (owner === undefined || Number(owner) !== pid) return [];
  if (!/^[1-9]\d?$/.test(count)) throw usage('wrong-usage', `LISTEN_FDS is '${count}', no number of sockets`);
  const named = names.split(':');
  return Array.from({ length: Number(count) }, (_, at) => [named[at] || 'unknown', FIRST_FD + at] as const);
}

/**
 * Tells the service manager how the service is. Node has no datagram sockets of the local kind, so systemd-notify does
 * it, a child for each message (NotifyAccess=all).
 */
export class ServiceManager {
  readonly #env: Readonly<Record<string, string>> | null;
  readonly #failed: (why: string) => void;
  /** How often it wants to hear that all is well; null if it does not. */
  readonly watchdogMs: number | null;
  #last: Promise<void> = Promise.resolve();

  /** `failed` is told when it could not be told. Takes what it needs out of the environment. */
  constructor(env: NodeJS.ProcessEnv, pid: number, failed: (why: string) => void) {
    const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: every, WATCHDOG_PID: watched } = env;
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name];
    this.#env = socket ? { PATH: env['PATH'] ?? '/usr/bin:/bin', LANG: 'C', NOTIFY_SOCKET: socket } : null;
    const isOurs = watched === undefined || Number(watched) === pid;
    this.watchdogMs = socket && isOurs && /^[1-9]\d{0,15}$/.test(every ?? '') ? Number(every) / 1000 : null;
    this.#failed = failed;
  }

  /** One message: `READY=1`, `STATUS=` and a text. Returns when it was taken, or could not be. */
  tell(...assignments: readonly string[]): Promise<void> {
    const env = this.#env;
    if (env === null) return Promise.resolve();
    // in the order in which they were said
    this.#last = this.#last.then(async () => {
      try {
        const options = { env, timeoutMs: NOTIFY_MS, maxOutput: 4096 };
        const { code, stderr } = await run('systemd-notify', assignments, options);
        if (code !== 0) this.#failed(stderr.toString('utf8').trim() || `systemd-notify ended with ${code}`);
      } catch (error) {
        this.#failed(error instanceof Error ? error.message : 'unknown');
      }
    });
    return this.#last;
  }

  /**
   * From now on it hears that all is well, twice as often as it wants to, each time after `check` has returned, with what
   * that says: if it does not return, or this process stands still, it starts the service anew. What is returned ends it.
   */
  watch(check: () => Promise<string>): () => void {
    if (this.watchdogMs === null) return () => {};
    let checking = false;
    const timer = setInterval(() => {
      if (checking) return; // since the last time: it gets no answer
      checking = true;
      void check()
        .then((status) => this.tell('WATCHDOG=1', `STATUS=${status}`))
        .catch((error: unknown) => this.#failed(error instanceof Error ? error.message : 'unknown'))
        .finally(() => (checking = false));
    }, this.watchdogMs / 2);
    return () => clearInterval(timer);
  }
}
