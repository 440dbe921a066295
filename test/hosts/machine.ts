/** A host on a switch: an address, a firewall, files of its own, and a link that can be bad. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { PROGRAM } from '../harness/program.ts';
import type { Environment } from '../harness/program.ts';
import { Namespaces } from './namespaces.ts';

export interface MachineOptions {
  readonly name: string;
  readonly address: string;
  /** What it sees below the directory of temporary files, where all hosts keep what is theirs, and below home. */
  readonly sees: readonly string[];
  /** Directories that are made, in its memory. */
  readonly makes: readonly string[];
  /** Rules of nftables: whom it lets in, and to whom it may connect. All else is dropped. */
  readonly input: string;
  readonly output: string;
  /** The switch passes nothing between two isolated hosts. */
  readonly isolated?: boolean;
  /** It is to end all at once, with its processes. */
  readonly ephemeral?: boolean;
  /** It runs sshd, which wants a /run of its own. */
  readonly ssh?: boolean;
}

/**
 * Covers the home directory, that of temporary files, and /run where asked, by empty ones; brings back what the
 * host may see.
 */
const SETUP = `
home=$1 tmp=$2 run=$3 makes=$4; shift 4
mount -t tmpfs tmpfs /mnt
n=0; for d; do n=$((n + 1)); mkdir /mnt/$n; mount -n --rbind "$d" /mnt/$n; done
if [ -d "$home" ] && [ "$home" != / ]; then mount -t tmpfs -o mode=700 tmpfs "$home"; fi
mkdir -p "$tmp"
mount -t tmpfs -o mode=1777 tmpfs "$tmp"
n=0; for d; do n=$((n + 1)); mkdir -p "$d"; mount -n --move /mnt/$n "$d"; done
umount /mnt
if [ -n "$run" ]; then
  mount -t tmpfs tmpfs /run
  mkdir -m 755 /run/sshd
  # sshd lets nobody in whose password is locked, not even by key
  if [ -r /etc/shadow ]; then sed 's/^\\([^:]*\\):!*/\\1:*/' /etc/shadow > /run/shadow; mount -n --bind /run/shadow /etc/shadow; fi
fi
mkdir -p $makes; chmod 1777 $makes
ip link set lo up`;

const ruleset = ({ input, output }: MachineOptions): string => `table inet firewall {
  set turned_away { type ipv4_addr; flags dynamic; size 256; }
  chain input { type filter hook input priority 0; policy drop
    iif lo accept
    ct state established,related accept
    ${input}
    meta l4proto tcp add @turned_away { ip saddr }
  }
  chain output { type filter hook output priority 0; policy drop
    oif lo accept
    ct state established,related accept
    ${output}
  }
}\n`;

export class Machine {
  readonly address: string;
  readonly #space: Namespaces;
  readonly #children: ChildProcess[] = [];

  private constructor(space: Namespaces, address: string) {
    this.#space = space;
    this.address = address;
  }

  /** Starts a host and plugs it into the switch of that network. */
  static async boot(network: Namespaces, options: MachineOptions): Promise<Machine> {
    const { name, address, isolated = false, ephemeral = false, ssh = false } = options;
    const covered = [userInfo().homedir, tmpdir()];
    // the programs may lie there too
    const seen = [...options.sees, dirname(PROGRAM), dirname(process.execPath)].filter((path) =>
      covered.some((directory) => path.startsWith(`${directory}/`)),
    );
    const args = [...covered, ssh ? 'run' : '', options.makes.join(' '), ...seen];
    const space = await Namespaces.make({ parent: network, processes: ephemeral, setup: SETUP, args });
    await network.admin(`ip link add ${name} type veth peer name eth0 netns ${space.pid}
      ip link set ${name} master switch up
      bridge link set dev ${name} isolated ${isolated ? 'on' : 'off'}`);
    await space.admin('nft -f -', ruleset(options));
    await space.admin(`ip address add ${address}/24 dev eth0; ip link set eth0 up`);
    return new Machine(space, address);
  }

  /** A process of its network, as seen from outside. */
  get pid(): number {
    return this.#space.pid;
  }

  /** What stands before a command that is to run here; it ends with us, however we end. */
  enter(directory?: string): string[] {
    return [...this.#space.enter(directory), 'setpriv', '--pdeathsig', 'KILL'];
  }

  /** Shell commands as root: what they print. Throws with what they say. */
  admin(script: string, input?: string): Promise<string> {
    return this.#space.admin(script, input);
  }

  /** Starts a command that stays, and waits for a line that it prints to standard error. */
  async start(command: readonly string[], env: Environment, ready: RegExp): Promise<ChildProcess> {
    const [program = '', ...args] = [...this.enter(), ...command];
    const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    this.#children.push(child);
    const said: string[] = [];
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        said.push(line);
        if (ready.test(line)) resolve();
      });
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`${command.join(' ')}: ${code}\n${said.join('\n')}`)));
    });
    return child;
  }

  /** The link goes down here: what is on its way is lost, and there is no route. */
  cut = (): Promise<string> => this.admin('ip link set eth0 down');
  mend = (): Promise<string> => this.admin('ip link set eth0 up');

  /** Somebody on the way resets connections to that port, and lets none through. */
  bar(port: number): Promise<string> {
    return this.#filter('bar', 'output', `tcp dport ${port} reject with tcp reset`);
  }

  unbar = (): Promise<string> => this.admin('nft delete table inet bar');

  /** Sends at most so many kilobits a second. */
  slow = (kilobits: number): Promise<string> =>
    this.admin(`tc qdisc replace dev eth0 root tbf rate ${kilobits}kbit burst 16kb latency 400ms`);
  hurry = (): Promise<string> => this.admin('tc qdisc del dev eth0 root');

  /** Loses so many of a hundred packets that come in. `lost` says how many it was. */
  lose(percent: number): Promise<string> {
    return this.#filter('weather', 'input', `iif eth0 numgen random mod 100 < ${percent} counter drop`);
  }

  async lost(): Promise<number> {
    const rules = await this.admin('nft list table inet weather');
    return Number(/counter packets (\d+)/.exec(rules)?.[1]);
  }

  /** Who tried to connect and was not let in. */
  async turnedAway(): Promise<string[]> {
    const set = await this.admin('nft list set inet firewall turned_away');
    return (set.split('elements')[1]?.match(/[0-9.]+/g) ?? []).sort();
  }

  /** Sockets that listen, and datagram sockets, with their processes: a line each; of one port where it is said. */
  listening(port?: number): Promise<string> {
    return this.admin(`ss -ltnupH ${port === undefined ? '' : `sport = :${port}`}`);
  }

  /** Whether the kernel has sent something again here and again had no answer: the other side is cut off. */
  async unanswered(): Promise<boolean> {
    return /timer:\(on,[^,]+,[1-9]/.test(await this.admin('ss -tnoH'));
  }

  /** Bytes that came in and went out by the link. */
  traffic(): { readonly received: number; readonly sent: number } {
    const counters = /eth0:(.*)/.exec(readFileSync(`/proc/${this.#space.pid}/net/dev`, 'latin1'))?.[1] ?? '';
    const [received = 0, , , , , , , , sent = 0] = counters.trim().split(/\s+/).map(Number);
    return { received, sent };
  }

  #filter(table: string, hook: 'input' | 'output', rule: string): Promise<string> {
    const chain = `chain one {\n type filter hook ${hook} priority -10\n ${rule}\n }`;
    return this.admin('nft -f -', `table inet ${table} {\n ${chain}\n}\n`);
  }

  /** Pulls the plug. */
  async end(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    await this.#space.end();
  }
}
