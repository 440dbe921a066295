/**
 * A host that systemd boots: a container by systemd-nspawn over a root directory of its own and this machine's /usr, read-only.
 * Up in half a second, with real units, users, credentials and a journal.
 */
import { execFile, spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, test } from 'vitest';

const run = promisify(execFile);
const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin';
const SUDO = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
const BOOT_MS = 60_000;

/** What a root directory needs beside /usr: a Debian system without its packages' configuration. */
const MAKE_ROOT = `
cd "$1"
mkdir -p etc/systemd/system usr local/bin var root home tmp proc sys dev run
chown 0:0 . && chmod 755 . && chmod 700 root
for each in bin sbin lib lib32 lib64 libx32; do [ ! -L /$each ] || ln -s usr/$each $each; done
cp -a /etc/alternatives /etc/ld.so.cache /etc/pam.d /etc/security etc/
cp -L /etc/os-release etc/
cp /usr/share/base-passwd/passwd.master etc/passwd
cp /usr/share/base-passwd/group.master etc/group
echo '127.0.0.1 localhost' >etc/hosts
printf '%s: files systemd\\n' passwd group shadow hosts >etc/nsswitch.conf
tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
ln -s /usr/lib/systemd/system/multi-user.target etc/systemd/system/default.target
touch local/bin/node
touch "$(basename "$1")"`;

/** Where systemd keeps its control groups: two hosts in one group would be in each other's way. */
const HIERARCHIES = `awk '$3 == "cgroup2" || $3 == "cgroup" && $4 ~ /name=systemd/ {print $2}' /proc/self/mounts`;
/** Runs nspawn in a group of its own, as the first process of a namespace, so that all of the host ends with us, however we end. */
const BOOT = `
for each in $(${HIERARCHIES}); do
  mkdir -p "$each/$1" && echo $$ >"$each/$1/cgroup.procs" || true
done
exec 9<"/proc/$2/ns/net"
shift 2
exec setpriv --pdeathsig KILL unshare --pid --fork --kill-child --mount-proc systemd-nspawn --boot "$@"`;
const REMOVE = `
rm -rf --one-file-system "$1" "$1.log"
for each in $(${HIERARCHIES}); do
  [ ! -d "$each/$2" ] || find "$each/$2" -depth -type d -exec rmdir {} + || true
done`;

export interface BootOptions {
  /** Whose network it is in; without it one of its own, with loopback alone. */
  readonly network?: Host;
  /** A file that the host is started with, as a credential of this name. */
  readonly credential?: { readonly name: string; readonly file: string };
}

export class Host {
  readonly name: string;
  /** Its root directory as this machine sees it. */
  readonly root: string;
  #leader = 0;
  #nspawn: ChildProcess | null = null;

  private constructor(name: string, root: string) {
    this.name = name;
    this.root = root;
  }

  /** Makes a host's root directory. Boot it, and `remove` it at the end. */
  static async make(name: string): Promise<Host> {
    const root = await mkdtemp(join(tmpdir(), `cs-${name}-`));
    await asRoot(['sh', '-euc', MAKE_ROOT, 'sh', root]);
    return new Host(name, root);
  }

  /** Boots it, until all its units are up. Throws with what nspawn and systemd said. */
  async boot({ network, credential }: BootOptions = {}): Promise<void> {
    const net = network ? '--network-namespace-path=/proc/self/fd/9' : '--private-network';
    const options = [
      ...['--quiet', '--register=no', '--keep-unit', '--console=pipe', net],
      // without it PrivateNetwork= of its units would have no effect
      '--capability=CAP_NET_ADMIN',
      ...[`--directory=${this.root}`, `--machine=${this.#id.toLowerCase()}`, `--hostname=${this.name}`],
      ...['--bind-ro=/usr', `--bind=${this.root}/local:/usr/local`, `--bind-ro=${REPOSITORY}:/mnt`],
      `--bind-ro=${process.execPath}:/usr/local/bin/node`,
      ...(credential ? [`--load-credential=${credential.name}:${credential.file}`] : []),
    ];
    const log = openSync(`${this.root}.log`, 'w');
    const [command = '', ...args] = [
      ...SUDO,
      'sh',
      '-c',
      BOOT,
      'sh',
      this.#id,
      network ? String(network.#leader) : 'self',
      ...options,
    ];
    const nspawn = spawn(command, args, { stdio: ['ignore', log, log] });
    closeSync(log);
    this.#nspawn = nspawn;
    await this.#booted(nspawn, Date.now() + BOOT_MS).catch(async (error: unknown) => {
      await this.stop();
      const said = readFileSync(`${this.root}.log`, 'utf8');
      throw new Error(`${this.name} does not boot: ${String(error)}\n${said}`, { cause: error });
    });
  }

  async #booted(nspawn: ChildProcess, deadline: number): Promise<void> {
    for (let state = ''; !/^(running|degraded)$/.test(state); await sleep(50)) {
      if (nspawn.exitCode !== null) throw new Error(`systemd-nspawn ended with ${nspawn.exitCode}`);
      if (Date.now() > deadline) throw new Error(`still '${state}'`);
      this.#leader = firstProcess(nspawn.pid ?? 0);
      if (this.#leader !== 0) state = await this.try('systemctl is-system-running');
    }
  }

  /** One of a kind on this machine; a file of this name lies in its root directory. */
  get #id(): string {
    return basename(this.root);
  }

  /** Runs a script as root there, and returns its standard output. Throws with both outputs if it fails. */
  async sh(script: string, input = ''): Promise<string> {
    // a container that is just starting is still in our root directory: nothing of it must happen here
    const there = `[ -e '/${this.#id}' ] || exit 9; cd /root`;
    const enter = ['nsenter', `--target=${this.#leader}`, '--all', '--'];
    const env = ['env', '-i', `PATH=${PATH}`, 'HOME=/root', 'LANG=C.UTF-8', 'TERM=dumb'];
    return asRoot([...enter, ...env, 'bash', '-euo', 'pipefail', '-c', `${there}\n${script}`], input);
  }

  /** As `sh`, but failing is an answer: returns standard output without its last newline, whatever the exit status. */
  async try(script: string): Promise<string> {
    return (await this.sh(`{ ${script}\n} 2>&1 || true`).catch(String)).trimEnd();
  }

  /** Waits until a command succeeds. Throws after half a minute. */
  async until(command: string): Promise<void> {
    await this.sh(
      `for i in $(seq 300); do { ${command}\n} >/dev/null 2>&1 && exit; sleep 0.1; done; ${command}`,
    );
  }

  /** Powers it off as its administrator does; a host that does not end is killed. */
  async stop(): Promise<void> {
    const nspawn = this.#nspawn;
    this.#nspawn = null;
    if (nspawn === null || nspawn.exitCode !== null) return;
    const ended = new Promise((resolve) => nspawn.once('exit', resolve));
    if (this.#leader !== 0) await this.sh('systemctl poweroff').catch(() => {});
    const late = setTimeout(
      () => spawnSync(SUDO[0] ?? 'env', [...SUDO.slice(1), 'kill', '-9', String(nspawn.pid)]),
      20_000,
    );
    await ended;
    clearTimeout(late);
    this.#leader = 0;
  }

  /** Stops it and removes all of it. */
  async remove(): Promise<void> {
    await this.stop();
    await asRoot(['sh', '-c', REMOVE, 'sh', this.root, this.#id]);
  }
}

/** As `describe`; where no host can be booted the tests are skipped and say why, and in CI they fail. */
export async function describeBooted(name: string, tests: () => void): Promise<void> {
  const why = await whyNot();
  if (why === null) {
    describe(name, tests);
  } else if (process.env['CI']) {
    test(name, () => {
      throw new Error(why);
    });
  } else {
    console.error(`skipped: ${name}: ${why}`);
    test.skip(name);
  }
}

/** Why no host can be booted here; null if one can. */
async function whyNot(): Promise<string | null> {
  try {
    const host = await Host.make('probe');
    await host.boot().finally(() => host.remove());
    return null;
  } catch (error) {
    return String(error);
  }
}

async function asRoot(command: readonly string[], input = ''): Promise<string> {
  const [file = '', ...args] = [...SUDO, ...command];
  const running = run(file, args, { timeout: 120_000, maxBuffer: 16 * 1024 * 1024 });
  running.child.stdin?.on('error', () => {}); // it need not read what we offer
  running.child.stdin?.end(input);
  return (await running).stdout;
}

/** The process below `pid` that is the first one of the host: in nspawn's namespace there is another. Or 0. */
function firstProcess(pid: number): number {
  try {
    const nested = /^NSpid:\s+\d+\s+\d+\s+1$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    if (nested) return pid;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
    return children.map(Number).reduce((found, child) => found || (child > 0 ? firstProcess(child) : 0), 0);
  } catch {
    return 0; // gone meanwhile
  }
}
