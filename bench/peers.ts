/** What users would do instead of countersign: other people's programs, unprivileged, on loopback, with own configuration. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GnupgHome } from '../test/harness/gnupg.ts';
import { freePort } from '../test/harness/world.ts';
import { endWithUs, timed } from './measure.ts';
import type { Timed } from './measure.ts';

const SYSTEM_PATH = `${process.env['PATH']}:/usr/sbin`;

abstract class Server {
  readonly directory: string;
  readonly port: number;
  readonly #child: ChildProcess;

  protected constructor(directory: string, port: number, command: readonly [string, ...string[]]) {
    this.directory = directory;
    this.port = port;
    const [program, ...args] = command;
    this.#child = spawn(program, args, { stdio: 'ignore', env: { ...process.env, PATH: SYSTEM_PATH } });
    endWithUs(this.#child);
  }

  /** Waits until the server answers `probe`. Throws after ten seconds. */
  protected async answers(probe: () => Promise<unknown>): Promise<void> {
    for (const end = Date.now() + 10_000; ; await sleep(50)) {
      try {
        await probe();
        return;
      } catch (error) {
        if (Date.now() < end) continue;
        await this.close();
        throw error;
      }
    }
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    await ended;
  }
}

/** nginx that serves a directory and takes PUT into it. */
export class Nginx extends Server {
  /** Starts one over `root`; its own files lie in `directory`. */
  static async start(directory: string, root: string): Promise<Nginx> {
    mkdirSync(directory, { recursive: true });
    mkdirSync(root, { recursive: true });
    const port = await freePort();
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((name) => `${name}_temp_path ${directory}/${name};`)
      .join(' ');
    const configuration = `daemon off; worker_processes auto; pid ${directory}/pid; user ${userInfo().username};
events {}
http {
  access_log off; sendfile on; client_max_body_size 0; ${temporary}
  server { listen 127.0.0.1:${port}; root ${root}; dav_methods PUT; create_full_put_path on; }
}`;
    writeFileSync(join(directory, 'nginx.conf'), configuration);
    const nginx = new Nginx(directory, port, [
      'nginx',
      ...['-p', directory, '-c', join(directory, 'nginx.conf'), '-e', join(directory, 'error.log')],
    ]);
    await nginx.answers(() => timed(['curl', '-s', nginx.url]));
    return nginx;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }
}

/** sshd with a key of its own, for whoever runs this. */
export class Ssh extends Server {
  static async start(directory: string): Promise<Ssh> {
    mkdirSync(directory, { recursive: true });
    // privilege separation wants it, as the package's service would make it
    if (userInfo().uid === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
    const port = await freePort();
    for (const name of ['host', 'user'])
      await timed(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', join(directory, name)]);
    const configuration = `Port ${port}
ListenAddress 127.0.0.1
HostKey ${directory}/host
AuthorizedKeysFile ${directory}/user.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
`;
    writeFileSync(join(directory, 'sshd_config'), configuration);
    const ssh = new Ssh(directory, port, ['/usr/sbin/sshd', '-D', '-f', join(directory, 'sshd_config')]);
    await ssh.answers(() => timed([...ssh.command, '127.0.0.1', 'true']));
    return ssh;
  }

  /** For rsync's `--rsh`. */
  get command(): string[] {
    const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'BatchMode=yes'];
    return [
      ...['ssh', '-q', '-p', String(this.port), '-i', join(this.directory, 'user')],
      ...options.flatMap((option) => ['-o', option]),
    ];
  }
}

/** Two GnuPG homes: of whoever built, and of whoever signs in a script. */
export class Scripter {
  readonly home = new GnupgHome();
  readonly directory: string;
  readonly key: string;

  constructor(directory: string, algorithm = 'ed25519') {
    this.directory = directory;
    mkdirSync(directory, { recursive: true });
    this.key = this.home.generate({ userId: 'Release <release@example.org>', algorithm });
    writeFileSync(this.keyring, this.home.export(this.key));
  }

  /** The public key, for gpgv and sqv. */
  get keyring(): string {
    return join(this.directory, 'release.pgp');
  }

  /** gpg --detach-sign, once. */
  sign(file: string, output: string, hash = 'SHA256'): Promise<Timed> {
    const command = ['gpg', '--batch', '--quiet', '--yes', '--digest-algo', hash, '--detach-sign'];
    return timed([...command, '--output', output, file], { env: this.home.env });
  }

  verify(signature: string, file: string): Promise<Timed> {
    return timed(['gpgv', '--quiet', '--keyring', this.keyring, signature, file], { env: this.home.env });
  }

  /** A shell command in a directory, with this home. */
  shell(script: string, cwd: string): Promise<Timed> {
    return timed(['sh', '-euc', script], { env: { ...this.home.env, KEYRING: this.keyring }, cwd });
  }

  close(): void {
    this.home.close();
  }
}

/** A minisign key without a password. */
export class Minisign {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async make(directory: string): Promise<Minisign> {
    mkdirSync(directory, { recursive: true });
    const minisign = new Minisign(directory);
    await timed(['minisign', '-GW', '-p', join(directory, 'public'), '-s', join(directory, 'secret')]);
    return minisign;
  }

  /** Signs files below a directory, all with one process. */
  sign(cwd: string, files: readonly string[]): Promise<Timed> {
    return timed(['minisign', '-S', '-s', join(this.#directory, 'secret'), '-m', ...files], { cwd });
  }
}
