/** One host of the demo: a directory, a gpg home of its own, and this program run as a child. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { unable } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { run } from '../host/process.ts';
import type { Environment, RunResult } from '../host/process.ts';

const CHILD = { timeoutMs: 10 * 60_000, maxOutput: 16 * 1024 * 1024 } as const;

export class DemoHost {
  readonly directory: string;
  readonly #program: string;
  readonly #env: Environment;
  #server: ChildProcess | null = null;

  private constructor(directory: string, program: string) {
    this.directory = directory;
    this.#program = program;
    // nothing of the caller's: neither the keys nor the project that they work on
    this.#env = {
      PATH: process.env['PATH'],
      HOME: directory,
      GNUPGHOME: join(directory, 'gnupg'),
      LANG: 'C.UTF-8',
    };
  }

  static async make(directory: string, program: string): Promise<DemoHost> {
    const host = new DemoHost(directory, program);
    await mkdir(join(directory, 'gnupg'), { recursive: true, mode: 0o700 });
    return host;
  }

  /** Makes an Ed25519 key without a passphrase, for `usage`; its certificate is in `key.asc`. Returns the fingerprint. */
  async makeKey(userId: string, usage: 'sign' | 'cert'): Promise<string> {
    await this.gpg(['--quick-generate-key', userId, 'ed25519', usage, 'never']);
    const listed = await this.gpg(['--with-colons', '--list-keys', '--', userId]);
    const fingerprint = /^fpr:{9}([0-9A-F]{40}):/m.exec(listed)?.[1];
    if (fingerprint === undefined) throw failed('gpg --list-keys', 'shows no fingerprint');
    await writeFile(join(this.directory, 'key.asc'), await this.gpg(['--armor', '--export', fingerprint]));
    return fingerprint;
  }

  /** Runs gpg in this host's home. Returns what it printed. Throws unable. */
  async gpg(args: readonly string[]): Promise<string> {
    const options = ['--batch', '--no-tty', '--passphrase', ''];
    const result = await run('gpg', [...options, ...args], { ...CHILD, env: this.#env });
    return successful(`gpg ${args[0]}`, result);
  }

  /** Runs a verb with this host's project file. Returns what it printed. Throws unable. */
  async countersign(args: readonly string[]): Promise<string> {
    const env = this.#verbEnvironment();
    return successful(
      `countersign ${args[0]}`,
      await run(process.execPath, [this.#program, ...args], { ...CHILD, env }),
    );
  }

  /** As `countersign`, with `--json`. Returns the last line. */
  async countersignJson(args: readonly string[]): Promise<Record<string, unknown>> {
    const printed = await this.countersign([...args, '--json']);
    return object(printed.trimEnd().split('\n').at(-1) ?? '');
  }

  /** Starts a verb that goes on; resolves with its first line of output, when it is ready. Throws unable. */
  async serve(args: readonly string[]): Promise<string> {
    const child = spawn(process.execPath, [this.#program, ...args], {
      env: this.#verbEnvironment(),
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#server = child;
    return new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', resolve);
      child.once('error', reject);
      child.once('exit', (code) => reject(failed(`countersign ${args[0]}`, `ended with ${code}`)));
    });
  }

  /** Ends what this host still runs: the server, the agent. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server !== null && server.exitCode === null) {
      server.kill('SIGTERM');
      await new Promise((resolve) => server.once('exit', resolve));
    }
    await run('gpgconf', ['--kill', 'all'], { ...CHILD, env: this.#env });
  }

  #verbEnvironment(): Environment {
    return { ...this.#env, COUNTERSIGN_CONFIG: join(this.directory, 'countersign.toml') };
  }
}

/** A line that the program printed under `--json`. */
export function object(line: string): Record<string, unknown> {
  const value: unknown = JSON.parse(line);
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

function successful(what: string, result: RunResult): string {
  if (result.code === 0) return result.stdout.toString();
  const [said] = result.stderr.toString().trim().split('\n');
  throw failed(what, said || `ended with ${result.code ?? result.killed}`);
}

const failed = (what: string, why: string): Failure => unable('demo-failed', `${what}: ${why}`);

/** A TCP port of loopback that was free just now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
