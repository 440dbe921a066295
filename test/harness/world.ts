/**
 * A world: three directories that stand for the three hosts H, M and L, an operator's, real gpg homes, and a
 * depot that listens on loopback. Every command is the built program in a process of its own.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Fingerprint } from '../../src/records/names.ts';
import { AgentProxy } from './agent-proxy.ts';
import { GnupgHome } from './gnupg.ts';
import { PROGRAM, runProgram, watchMemory } from './program.ts';
import type { Environment, Ran } from './program.ts';

export interface WorldOptions {
  readonly project?: string;
  readonly threshold?: number;
  /** How many people may approve; each has a home of their own. The first one is the operator. */
  readonly approvers?: number;
  /** The release key is one primary that certifies and signs, which `init` warns of. */
  readonly primarySigns?: boolean;
  /** A release key that is made already, on a card say; its home goes with the world. */
  readonly release?: { readonly home: GnupgHome; readonly key: Fingerprint };
  /** More for `init`: `--artifact '*.tgz'`. */
  readonly init?: readonly string[];
  /** Where the hosts are, if they are not all here. */
  readonly stage?: Stage;
}

type Host = 'H' | 'M' | 'L' | 'operator';

/** Hosts that are more than directories. */
export interface Stage {
  /** Where L is to listen, and with which other arguments. */
  readonly url: string;
  readonly serve: readonly string[];
  /** For every command. */
  readonly env: Environment;
  /** Makes the hosts, whose directories and keys are there. */
  open(world: World): Promise<void>;
  /** What stands before a command that is to run on that host. */
  enter(host: Host, directory: string): readonly string[];
}

export interface Approved extends Ran {
  readonly build: string;
  /** Path of slot b1's ticket. */
  readonly ticket: string;
}

export interface Attested extends Ran {
  /** Where the artifacts lie on M. */
  readonly base: string;
}

export type Files = Readonly<Record<string, string | Buffer>>;

export class World {
  readonly directory: string;
  readonly url: string;
  readonly project: string;
  /** The home of the release key: a primary that certifies, a subkey that signs. */
  readonly releaseHome: GnupgHome;
  readonly releaseKey: Fingerprint;
  /** Between H and its agent: counts signatures of the release key. */
  readonly agent: AgentProxy;
  readonly approverHomes: readonly GnupgHome[];
  readonly approvers: readonly Fingerprint[];
  #server: { readonly child: ChildProcess; readonly peakKiB: () => number; readonly log: string[] } | null =
    null;
  readonly #stage: Stage | undefined;
  #batches = 0;

  private constructor(
    parts: Pick<
      World,
      'directory' | 'url' | 'project' | 'releaseHome' | 'releaseKey' | 'agent' | 'approverHomes' | 'approvers'
    >,
    stage: Stage | undefined,
  ) {
    this.#stage = stage;
    this.directory = parts.directory;
    this.url = parts.url;
    this.project = parts.project;
    this.releaseHome = parts.releaseHome;
    this.releaseKey = parts.releaseKey;
    this.agent = parts.agent;
    this.approverHomes = parts.approverHomes;
    this.approvers = parts.approvers;
  }

  /** Makes keys and project with the real `init`, and starts the depot. End it with `close`. */
  static async make(options: WorldOptions = {}): Promise<World> {
    const directory = await mkdtemp(join(tmpdir(), 'cs-world-'));
    for (const name of ['H', 'M', 'L', 'operator', 'cwd', 'tmp']) await mkdir(join(directory, name));

    const { home: releaseHome, key: releaseKey } =
      options.release ?? newReleaseKey(options.primarySigns === true);
    const approverHomes = Array.from({ length: options.approvers ?? 1 }, () => new GnupgHome());
    const approvers = approverHomes.map((home, i) =>
      home.generate({ userId: `Approver ${i} <a${i}@example.org>` }),
    );

    const world = new World(
      {
        directory,
        url: options.stage?.url ?? `http://127.0.0.1:${await freePort()}`,
        project: options.project ?? 'widget',
        releaseHome,
        releaseKey,
        agent: await AgentProxy.start(releaseHome),
        approverHomes,
        approvers,
      },
      options.stage,
    );
    try {
      await options.stage?.open(world);
      await world.#init(options);
      await world.startServer();
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  async #init(options: WorldOptions): Promise<void> {
    const approverArgs: string[] = [];
    for (const [i, home] of this.approverHomes.entries()) {
      const file = this.path('cwd', `approver-${i}.pgp`);
      await writeFile(file, home.export(this.approvers[i] ?? ''));
      approverArgs.push('--approver', file);
    }
    const facts = ['--dir', this.path('H'), '--project', this.project, '--depot', this.url];
    const keys = ['--release-key', this.releaseKey, ...approverArgs];
    const threshold = ['--threshold', String(options.threshold ?? 1)];
    mustBe(
      0,
      await this.runOn('H', ['init', ...facts, ...keys, ...threshold, ...(options.init ?? []), '--json']),
    );
    for (const i of this.approverHomes.keys()) await rm(this.path('cwd', `approver-${i}.pgp`));
    await this.shareProject();
  }

  /** Copies H's project file and keys to the other hosts, as a person does after every change. */
  async shareProject(): Promise<void> {
    for (const host of ['L', 'operator']) {
      for (const name of ['countersign.toml', 'keys'])
        await cp(this.path('H', name), this.path(host, name), { recursive: true });
    }
  }

  /** A path in this world: `path('L', 'data', 'builds')`. */
  path(...segments: readonly string[]): string {
    return join(this.directory, ...segments);
  }

  /** H's journal, one canonical entry a line. */
  get journal(): string {
    return this.path('H', 'signer', 'journal');
  }

  /** A path in the depot's tree. */
  tree(...segments: readonly string[]): string {
    return this.path('L', 'data', ...segments);
  }

  /** The environment of a command on a host; `approver` says whose keys the operator has. */
  env(host: Host, approver = 0): Environment {
    const keys = {
      H: this.agent.env,
      operator: this.approverHomes[approver]?.env,
      M: undefined,
      L: undefined,
    }[host];
    return {
      PATH: process.env['PATH'] ?? '/usr/bin:/bin',
      LANG: 'C.UTF-8',
      HOME: this.path(host),
      TMPDIR: this.path('tmp'),
      // M gets its ticket and nothing else
      ...(host !== 'M' && { COUNTERSIGN_CONFIG: this.path(host, 'countersign.toml') }),
      ...(keys && { GNUPGHOME: keys['GNUPGHOME'] ?? '' }),
      ...this.#stage?.env,
    };
  }

  /** Runs a command on a host. */
  async runOn(
    host: Host,
    args: readonly string[],
    { approver, env, under = [], ...more }: RunMore = {},
  ): Promise<Ran> {
    const cwd = this.path('cwd');
    const [all, before] = [{ ...this.env(host, approver), ...env }, [...this.#enter(host), ...under]];
    return runProgram(args, { cwd, env: all, under: before, ...more });
  }

  /** What stands before a command that is to run on a host. */
  #enter(host: Host): readonly string[] {
    return this.#stage?.enter(host, this.path('cwd')) ?? [];
  }

  /** `approve`, without a question. */
  async approve(version: string, args: readonly string[] = [], more: RunMore = {}): Promise<Approved> {
    const tickets = this.path('operator', `tickets-${++this.#batches}`);
    const ran = await this.runOn(
      'operator',
      ['approve', version, '--tickets', tickets, '--yes', '--json', ...args],
      more,
    );
    const build = ran.json[0]?.['build'];
    return { ...ran, build: typeof build === 'string' ? build : '', ticket: join(tickets, 'b1.ticket') };
  }

  /** Puts files on M, in a directory of their own. Returns it. */
  async place(files: Files): Promise<string> {
    const base = this.path('M', `out-${++this.#batches}`);
    await mkdir(base);
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(base, name)), { recursive: true });
      await writeFile(join(base, name), content);
    }
    return base;
  }

  /** `attest` of these files, on M. */
  async attest(ticket: string, files: Files, args: readonly string[] = []): Promise<Attested> {
    const base = await this.place(files);
    const ran = await this.runOn('M', [
      'attest',
      '--ticket',
      ticket,
      '--base',
      base,
      base,
      '--json',
      ...args,
    ]);
    return { ...ran, base };
  }

  /** `sign --once`, without a question. */
  sign(args: readonly string[] = [], more: RunMore = {}): Promise<Ran> {
    return this.runOn('H', ['sign', '--once', '--yes', '--json', ...args], more);
  }

  /** `verify` by somebody who has the operator's copy of the project file. */
  verify(paths: readonly string[], args: readonly string[] = []): Promise<Ran> {
    return this.runOn('operator', ['verify', ...paths, '--json', ...args]);
  }

  /** The whole loop up to the published release; anything but success throws. Returns the build id. */
  async release(version: string, files: Files, approveArgs: readonly string[] = []): Promise<string> {
    const approved = await this.approve(version, approveArgs);
    mustBe(0, approved);
    mustBe(0, await this.attest(approved.ticket, files));
    mustBe(0, await this.sign());
    return approved.build;
  }

  /** Starts the depot, on the same address every time. */
  async startServer(args: readonly string[] = [], env: Environment = {}): Promise<void> {
    const serve = ['serve', '--data', this.path('L', 'data'), '--listen', new URL(this.url).host];
    const [command, ...before] = [...this.#enter('L'), process.execPath];
    const more = [...(this.#stage?.serve ?? []), '--json', ...args];
    const child = spawn(command, [...before, PROGRAM, ...serve, ...more], {
      cwd: this.path('cwd'),
      env: { ...this.env('L'), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const log: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
    await new Promise<void>((resolve, reject) => {
      // where it listens, or why it does not
      createInterface({ input: child.stdout }).once('line', (line) =>
        line.includes('"code"') ? reject(new Error(`serve did not start: ${line}`)) : resolve(),
      );
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`serve ended with ${code}:\n${log.join('\n')}`)));
    });
    this.#server = { child, peakKiB: watchMemory(child), log };
  }

  /** Stops the depot with a signal, and waits for its end. Returns its exit status. */
  async stopServer(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<number | null> {
    const child = this.#server?.child;
    this.#server = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    child.kill(signal);
    return ended;
  }

  /** What the depot wrote to standard error so far. */
  get serverLog(): readonly string[] {
    return this.#server?.log ?? [];
  }

  get serverPeakKiB(): number {
    return this.#server?.peakKiB() ?? 0;
  }

  async close(): Promise<void> {
    await this.stopServer();
    await this.agent.close();
    for (const home of [this.releaseHome, ...this.approverHomes]) home.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}

export interface RunMore {
  /** Index of the approver whose home the operator uses. */
  readonly approver?: number;
  readonly input?: string | Buffer;
  readonly program?: string;
  readonly under?: readonly string[];
  readonly env?: Environment;
  readonly timeoutMs?: number;
  readonly kill?: AbortSignal;
}

/** A primary that certifies with a subkey that signs, or one primary that does both. */
function newReleaseKey(primarySigns: boolean): { home: GnupgHome; key: Fingerprint } {
  const home = new GnupgHome();
  const usage = primarySigns ? 'cert,sign' : 'cert';
  const key = home.generate({ userId: 'Release <release@example.org>', usage });
  if (!primarySigns) home.addSubkey(key, 'ed25519', 'sign');
  return { home, key };
}

/** Throws with everything that was printed unless the run ended with this exit status. */
export function mustBe(code: number, ran: Ran): void {
  if (ran.code === code) return;
  throw new Error(`exit status ${ran.code}, not ${code}\n${ran.stdout}\n${ran.stderr}`);
}

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
