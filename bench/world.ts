/**
 * A project on this machine, as its users would have it: real keys and agents in homes of their own, H, M and L as
 * directories, a depot that listens on loopback, and the built program for every step.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { GnupgHome } from '../test/harness/gnupg.ts';
import { freePort } from '../test/harness/world.ts';
import { endWithUs, timed } from './measure.ts';
import type { Timed } from './measure.ts';

/** Lies beside the bundle of the benchmark. */
export const PROGRAM = fileURLToPath(new URL('countersign.mjs', import.meta.url));

export interface WorldOptions {
  /** As gpg names it: ed25519, nistp256, rsa3072. */
  readonly algorithm?: string;
  readonly hash?: 'sha256' | 'sha512';
  readonly mode?: 'fetch' | 'digest';
  /** Listens, or is a directory that M and H share. */
  readonly depot?: 'http' | 'directory';
}

export interface SignOptions {
  readonly under?: readonly string[];
  readonly depot?: string;
}

/** A run of `sign`. */
export interface Signed extends Timed {
  readonly signSeconds: number;
  readonly publishSeconds: number;
}

export interface Approved {
  /** Of the ticket. */
  readonly path: string;
  readonly build: string;
  /** Which uploads its blobs. */
  readonly token: string;
}

export interface Usage {
  readonly cpu: number;
  readonly peakMiB: number;
}

const SOURCE = 'https://example.org/bench@0123456789012345678901234567890123456789';

export class World {
  readonly directory: string;
  readonly depot: string;
  readonly release = new GnupgHome();
  readonly approver = new GnupgHome();
  readonly #mode: 'fetch' | 'digest';
  /** Of the release key's subkey that signs. */
  keygrip = '';
  #server: ChildProcess | null = null;
  #versions = 0;

  private constructor(directory: string, depot: string, mode: 'fetch' | 'digest') {
    this.directory = directory;
    this.depot = depot;
    this.#mode = mode;
  }

  /** Makes keys and project, and starts the depot. End it with `close`. */
  static async make(directory: string, options: WorldOptions = {}): Promise<World> {
    const { algorithm = 'ed25519', hash = 'sha256', mode = 'fetch', depot = 'http' } = options;
    mkdirSync(join(directory, 'tickets'), { recursive: true });
    const place = depot === 'http' ? `http://127.0.0.1:${await freePort()}` : join(directory, 'L');
    const world = new World(directory, place, mode);
    try {
      const approver = world.approver.generate({ userId: 'Ada <ada@example.org>' });
      const key = world.#releaseKey(algorithm);
      writeFileSync(join(directory, 'ada.pgp'), world.approver.export(approver));
      const keys = ['--release-key', key, '--approver', join(directory, 'ada.pgp')];
      const facts = ['--dir', join(directory, 'H'), '--project', 'bench', '--depot', place];
      await timed([process.execPath, PROGRAM, 'init', ...facts, ...keys, '--json'], {
        env: world.release.env,
      });
      const project = readFileSync(world.project, 'utf8')
        .replace(/^hash = .*$/m, `hash = "${hash}"`)
        .replace(/^digest-mode = .*$/m, `digest-mode = ${mode === 'digest'}`);
      writeFileSync(world.project, project);
      await world.start();
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  /** A primary that certifies, and is not here any more, with a subkey that signs. */
  #releaseKey(algorithm: string): string {
    const key = this.release.generate({ userId: 'Release <release@example.org>', usage: 'cert' });
    const primary = this.release.keygrip(key);
    this.keygrip = this.release.keygrip(this.release.addSubkey(key, algorithm, 'sign'));
    rmSync(join(this.release.directory, 'private-keys-v1.d', `${primary}.key`));
    return key;
  }

  get project(): string {
    return join(this.directory, 'H', 'countersign.toml');
  }

  /** Runs the program. */
  run(
    args: readonly string[],
    home: GnupgHome = this.release,
    under: readonly string[] = [],
  ): Promise<Timed> {
    const command = [...under, process.execPath, PROGRAM, ...args, '--config', this.project, '--json'];
    return timed(command, { env: home.env, cwd: this.directory });
  }

  /** `approve`: allows one more build. */
  async approve(): Promise<Approved> {
    const tickets = join(this.directory, 'tickets', String(this.#versions));
    const version = `1.${this.#versions++}`;
    const asked = ['--tickets', tickets, '--source', SOURCE, '--mode', this.#mode, '--yes'];
    await this.run(['approve', version, ...asked], this.approver);
    const path = join(tickets, 'b1.ticket');
    const [, encoded = ''] = readFileSync(path, 'utf8').trim().split('.');
    const ticket = JSON.parse(Buffer.from(encoded, 'base64url').toString()) as Record<string, unknown>;
    return { path, build: String(ticket['build']), token: String(ticket['uploadToken']) };
  }

  /** `approve` and `attest` of everything below a directory. Returns what `attest` took. */
  async attest(base: string): Promise<Timed> {
    const { path } = await this.approve();
    const env = { PATH: process.env['PATH'] ?? '', HOME: this.directory };
    const command = ['attest', '--ticket', path, '--base', base, base, '--json'];
    return timed([process.execPath, PROGRAM, ...command], { env });
  }

  /** `sign --once` of the one build that waits, under another command, or through another address of the depot. */
  async sign({ under = [], depot = this.depot }: SignOptions = {}): Promise<Signed> {
    const ran = await this.run(['sign', '--once', '--yes', '--depot', depot], this.release, under);
    const said = ran.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const done = said.find(({ state }) => state === 'published');
    if (!done) throw new Error(`nothing was published: ${ran.stdout}`);
    return {
      ...ran,
      signSeconds: Number(done['signSeconds']),
      publishSeconds: Number(done['publishSeconds']),
    };
  }

  /** Keeps H and L as they are, so that `restore` can have the same build signed again. */
  async keep(): Promise<void> {
    await this.stop();
    const kept = join(this.directory, 'kept');
    mkdirSync(kept);
    // files of the tree are written once: another name for each is as good as a copy
    await timed(['cp', '-a', '--link', this.data, join(kept, 'L')]);
    await timed(['cp', '-a', join(this.directory, 'H', 'signer'), join(kept, 'signer')]);
    await this.start();
  }

  /** H and L as they were when they were kept. */
  async restore(): Promise<void> {
    await this.stop();
    const [kept, signer] = [join(this.directory, 'kept'), join(this.directory, 'H', 'signer')];
    await timed(['rm', '-r', this.data, signer]);
    await timed(['cp', '-a', '--link', join(kept, 'L'), this.data]);
    await timed(['cp', '-a', join(kept, 'signer'), signer]);
    await this.start();
  }

  /** L's tree. */
  get data(): string {
    return join(this.directory, 'L');
  }

  /** Removes what L has stored, where only its space matters. */
  async forget(): Promise<void> {
    await timed(['sh', '-c', 'rm -rf builds/* releases/*/*'], { cwd: this.data });
  }

  /** Starts the depot, if it is one that listens. */
  async start(): Promise<void> {
    if (!this.depot.startsWith('http')) return;
    const serve = ['serve', '--data', this.data, '--listen', new URL(this.depot).host, '--json'];
    const child = spawn(process.execPath, [PROGRAM, ...serve, '--config', this.project], {
      env: { PATH: process.env['PATH'] ?? '', HOME: this.directory },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#server = child;
    endWithUs(child);
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', () => resolve());
      child.once('exit', (code) => reject(new Error(`serve ended with ${code}`)));
    });
  }

  /** Stops the depot, and waits for its end. */
  async stop(): Promise<void> {
    const child = this.#server;
    this.#server = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(late);
  }

  /** What the depot's process used since it was started, and the most memory since `peakFromNow`. */
  get serverUsage(): Usage {
    return usageOf(this.#server?.pid ?? 0);
  }

  /** Forgets how much memory the depot had. */
  peakFromNow(): void {
    writeFileSync(`/proc/${this.#server?.pid}/clear_refs`, '5');
  }

  async close(): Promise<void> {
    await this.stop();
    for (const home of [this.release, this.approver]) home.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** What a process has used (proc(5)). */
function usageOf(pid: number): Usage {
  const peak = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /, '')
    .split(' ');
  // utime and stime, in hundredths of a second
  return { cpu: (Number(fields[11]) + Number(fields[12])) / 100, peakMiB: Number(peak) / 1024 };
}
