/**
 * Linux namespaces without a container engine, by unshare(1) and nsenter(1). As root they are made directly; anybody
 * else is root in a user namespace of their own, for mounts and network alone, and runs commands there as themselves.
 */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { describe, test } from 'vitest';

const UID = process.getuid?.() ?? 0;
const GID = process.getgid?.() ?? 0;
const AS_ROOT = UID === 0 ? [] : ['--user', '--map-root-user'];
const AS_CALLER = UID === 0 ? [] : ['unshare', '--user', `--map-user=${UID}`, `--map-group=${GID}`];
/** ip, tc, nft and sshd are not on everybody's PATH. */
export const PATH = `${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/sbin:/sbin`;

/** As `describe`; where namespaces can't be made the tests are skipped and say why, and in CI they fail. */
export function describeHosts(name: string, tests: () => void): void {
  const why = whyNot();
  if (why === null) {
    describe(name, tests);
    return;
  }
  if (!process.env['CI']) {
    console.error(`skipped: ${name}: no network namespaces here: ${why}`);
    test.skip(name);
    return;
  }
  test(name, () => {
    throw new Error(`no network namespaces here: ${why}`);
  });
}

/** Why there can be no namespaces with a network here; null if there can. */
function whyNot(): string | null {
  const script =
    'for p in ip tc nft ss ssh sshd rsync socat; do command -v $p >/dev/null || { echo "no program $p" >&2; exit 1; }; done; ' +
    'mount -t tmpfs tmpfs /mnt && ip link add test0 type bridge && ip link add test1 type veth peer name test2 && nft add table inet t';
  const options = [...AS_ROOT, '--net', '--mount', '--pid', '--fork', '--mount-proc'];
  const { status, stderr } = spawnSync('unshare', [...options, 'sh', '-c', script], {
    env: { PATH },
    encoding: 'utf8',
  });
  return status === 0 ? null : (stderr ?? 'no program unshare').trim();
}

/** Runs a command to its end. Returns what it prints; throws with what it says if it fails. */
export async function execute(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  input: string | Buffer = '',
): Promise<string> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { env, stdio: 'pipe' });
  child.stdin.on('error', () => {}); // it need not read what we offer
  child.stdin.end(input);
  let [printed, said] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`exit status ${code}: ${command.join(' ')}\n${printed}${said}`);
  return printed;
}

export interface SpaceOptions {
  /** Whose user namespace to be in, for whoever is not root. */
  readonly parent?: Namespaces;
  /** Processes of its own, which all end with it. */
  readonly processes?: boolean;
  /** Shell commands that set it up, with `$1`, `$2`… */
  readonly setup: string;
  readonly args?: readonly string[];
}

/** One network and one view of the mounts, which live until `end` or the end of this process. */
export class Namespaces {
  readonly #child: ChildProcess;
  readonly #processes: boolean;

  private constructor(child: ChildProcess, processes: boolean) {
    this.#child = child;
    this.#processes = processes;
  }

  /** Throws with what its set-up printed. */
  static async make({ parent, processes = false, setup, args = [] }: SpaceOptions): Promise<Namespaces> {
    const enter =
      parent && UID !== 0 ? ['nsenter', `--target=${parent.pid}`, '--user', '--preserve-credentials'] : [];
    const pids = processes ? ['--pid', '--fork', '--kill-child', '--mount-proc'] : [];
    const script = `set -eu\n${setup}\necho up\nexec cat >/dev/null`; // its input ends when we do
    const unshare = ['unshare', ...(parent ? [] : AS_ROOT), '--net', '--mount', ...pids];
    const [command = '', ...rest] = [...enter, ...unshare, 'sh', '-c', script, 'sh', ...args];
    const child = spawn(command, rest, { env: { PATH }, stdio: 'pipe' });
    const errors: Buffer[] = [];
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', () => resolve());
      child.once('error', reject);
      child.once('exit', (code) =>
        reject(new Error(`unshare: ${code}: ${Buffer.concat(errors).toString()}`)),
      );
    });
    return new Namespaces(child, processes);
  }

  /** Of a process in there; `/proc/<pid>/root` and `/proc/<pid>/net` show its files and its network. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What stands before a command that is to run in there as whoever runs the tests. */
  enter(directory = '/'): string[] {
    return [...this.#enter(directory), ...AS_CALLER];
  }

  /** Runs shell commands in there as root. Returns what they print; throws with what they say. */
  admin(script: string, input = ''): Promise<string> {
    return execute([...this.#enter('/'), 'sh', '-euc', script], { PATH }, input);
  }

  /** Ends it as a power cut ends a machine: with processes of its own, none of them is asked. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }

  #enter(directory: string): string[] {
    const user = UID === 0 ? [] : ['--user', '--preserve-credentials'];
    const pids = this.#processes ? [`--pid=/proc/${this.pid}/ns/pid_for_children`] : [];
    return ['nsenter', `--target=${this.pid}`, ...user, '--net', '--mount', ...pids, `--wdns=${directory}`];
  }
}
