/**
 * Three hosts for real: L, H, the operator's, and a builder M for each build, each with a network and files of its own,
 * on one switch. L serves HTTPS and ssh, M ssh, H nothing; H connects to L alone, and nothing passes between H and M.
 */
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../harness/program.ts';
import type { Ran } from '../harness/program.ts';
import { World } from '../harness/world.ts';
import type { Stage, WorldOptions } from '../harness/world.ts';
import { Machine } from './machine.ts';
import { Namespaces, PATH, execute } from './namespaces.ts';

export const PORT = { https: 8443, ssh: 2222 };
const ADDRESS = { L: '10.77.0.1', H: '10.77.0.2', operator: '10.77.0.3' };
const builderAddress = (number: number): string => `10.77.0.${10 + number}`;

type Fixed = keyof typeof ADDRESS;

export class Site {
  /** What administrators put on the hosts: `public`, and a directory for each that has secrets. */
  readonly #directory: string;
  readonly #network: Namespaces;
  readonly #hosts = new Map<Fixed, Machine>();
  readonly #builders: Machine[] = [];
  #world: World | null = null;

  private constructor(directory: string, network: Namespaces) {
    this.#directory = directory;
    this.#network = network;
  }

  /** Makes hosts and project, and starts the depot. End it with `close`. */
  static async make(options: WorldOptions = {}): Promise<Site> {
    const directory = await mkdtemp(join(tmpdir(), 'cs-site-'));
    const setup = 'ip link add switch type bridge; ip link set switch up';
    const site = new Site(directory, await Namespaces.make({ setup }));
    try {
      await site.#furnish();
      site.#world = await World.make({ ...options, stage: site.#stage() });
      return site;
    } catch (error) {
      await site.close();
      throw error;
    }
  }

  get world(): World {
    if (!this.#world) throw new Error('no world yet');
    return this.#world;
  }

  host(name: Fixed): Machine {
    const machine = this.#hosts.get(name);
    if (!machine) throw new Error(`no host ${name} yet`);
    return machine;
  }

  /** A new M, in memory, reachable by ssh. */
  async builder(): Promise<Machine> {
    const number = this.#builders.length + 1;
    const machine = await Machine.boot(this.#network, {
      name: `M${number}`,
      address: builderAddress(number),
      sees: [this.#path('public')],
      makes: [this.world.path('M'), this.world.path('tmp'), this.world.path('cwd'), this.#path('M')],
      input: `tcp dport ${PORT.ssh} accept`,
      output: 'accept',
      isolated: true,
      ephemeral: true,
      ssh: true,
    });
    this.#builders.push(machine);
    const keys = await machine.admin(
      `cd ${this.#path('M')}; cat > ssh_config
      for key in host_key id; do ssh-keygen -q -t ed25519 -N '' -C '' -f $key; cat $key.pub; done`,
      this.#sshConfig('M'),
    );
    const [known = '', client = ''] = keys.split('\n');
    // as the console of a cloud shows them
    await appendFile(this.#path('public', 'known_hosts'), `[${machine.address}]:${PORT.ssh} ${known}\n`);
    await appendFile(this.#path('public', 'authorized_keys'), `${client}\n`);
    await this.#startSsh(machine, this.#path('M'));
    return machine;
  }

  /** What the operator runs on another host by ssh. Returns what it prints; throws with what it says. */
  ssh(machine: Machine, script: string, input?: string | Buffer): Promise<string> {
    const command = [...this.sshCommand('operator'), machine.address, script];
    return execute([...this.host('operator').enter(), ...command], this.world.env('operator'), input);
  }

  /** ssh as it is set up on a host, where L is called depot.example.org. */
  sshCommand(from: 'H' | 'M' | 'operator'): string[] {
    return ['ssh', '-F', this.#path(from, 'ssh_config')];
  }

  /** The operator hands a ticket to M by ssh, and keeps none. */
  async bring(machine: Machine, ticket: string): Promise<void> {
    await this.ssh(machine, `umask 077; cat > ${this.ticket}`, await readFile(ticket));
    await rm(ticket);
  }

  /** Where M's ticket lies. */
  get ticket(): string {
    return this.world.path('M', 'b1.ticket');
  }

  /** `attest` of all that lies in `out` on an M. */
  attest(machine: Machine, more: readonly string[] = []): Promise<Ran> {
    const out = this.world.path('M', 'out');
    const args = ['attest', '--ticket', this.ticket, '--base', out, out, '--json', ...more];
    return runProgram(args, {
      cwd: '/',
      env: this.world.env('M'),
      under: machine.enter(this.world.path('cwd')),
    });
  }

  /** Ends every host, every process on them, and removes what they left. */
  async close(): Promise<void> {
    await this.#world?.close();
    for (const machine of [...this.#builders, ...this.#hosts.values()]) await machine.end();
    await this.#network.end();
    await rm(this.#directory, { recursive: true, force: true });
  }

  #path(...segments: readonly string[]): string {
    return join(this.#directory, ...segments);
  }

  /** Certificates for TLS, keys for ssh. */
  async #furnish(): Promise<void> {
    for (const name of ['public', 'L', 'H', 'operator']) await mkdir(this.#path(name));
    const curve = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2';
    await execute(
      [
        'sh',
        '-euc',
        `cd ${this.#directory}
         openssl req -x509 ${curve} -subj '/CN=CA of the site' -out public/ca.pem -keyout ca.key
         openssl req -x509 ${curve} -subj /CN=L -CA public/ca.pem -CAkey ca.key \\
           -addext subjectAltName=IP:${ADDRESS.L} -addext basicConstraints=critical,CA:FALSE -out L/cert.pem -keyout L/key.pem
         for key in L/host_key H/id operator/id; do ssh-keygen -q -t ed25519 -N '' -C '' -f $key; done
         cat H/id.pub operator/id.pub > public/authorized_keys
         echo '[${ADDRESS.L}]:${PORT.ssh}' $(cat L/host_key.pub) > public/known_hosts`,
      ],
      { PATH },
    );
    for (const from of ['H', 'operator'] as const)
      await writeFile(this.#path(from, 'ssh_config'), this.#sshConfig(from));
  }

  #sshConfig(from: 'H' | 'M' | 'operator'): string {
    return `Host depot.example.org
HostName ${ADDRESS.L}
HostKeyAlias [${ADDRESS.L}]:${PORT.ssh}
Host *
User ${userInfo().username}
Port ${PORT.ssh}
IdentityFile ${this.#path(from, 'id')}
UserKnownHostsFile ${this.#path('public', 'known_hosts')}
BatchMode yes
`;
  }

  #stage(): Stage {
    return {
      url: `https://${ADDRESS.L}:${PORT.https}`,
      serve: ['--tls-cert', this.#path('L', 'cert.pem'), '--tls-key', this.#path('L', 'key.pem')],
      env: { NODE_EXTRA_CA_CERTS: this.#path('public', 'ca.pem') },
      open: (world) => this.#open(world),
      enter: (host, directory) => {
        if (host === 'M') throw new Error('each build has an M of its own: use builder()');
        return this.host(host).enter(directory);
      },
    };
  }

  async #open(world: World): Promise<void> {
    const boot = async (name: Fixed, sees: string[], rules: Rules, ssh = false): Promise<void> => {
      const own = [world.path(name), this.#path('public'), this.#path(name)];
      const machine = await Machine.boot(this.#network, {
        name,
        address: ADDRESS[name],
        sees: [...own, ...sees],
        makes: [world.path('tmp'), world.path('cwd')],
        isolated: name === 'H',
        ssh,
        ...rules,
      });
      this.#hosts.set(name, machine);
    };
    const ports = `{ ${PORT.https}, ${PORT.ssh} }`;
    await boot('L', [], { input: `tcp dport ${ports} accept`, output: 'accept' }, true);
    // the certificates of the people lie in its working directory when it makes the project
    const own = [world.path('cwd'), world.agent.directory];
    await boot('H', own, { input: '', output: `ip daddr ${ADDRESS.L} tcp dport ${ports} accept` });
    const home = world.approverHomes.map(({ directory }) => directory);
    await boot('operator', home, { input: '', output: 'accept' });
    await this.#startSsh(this.host('L'), this.#path('L'));
  }

  /** sshd of its own, for whoever runs the tests; what it is to know lies in that directory. */
  async #startSsh(machine: Machine, directory: string): Promise<void> {
    const config = `Port ${PORT.ssh}
ListenAddress ${machine.address}
HostKey ${directory}/host_key
AuthorizedKeysFile ${this.#path('public', 'authorized_keys')}
PermitRootLogin prohibit-password
KbdInteractiveAuthentication no
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
`;
    await machine.admin(`cat > ${directory}/sshd_config`, config);
    const command = ['/usr/sbin/sshd', '-D', '-e', '-f', `${directory}/sshd_config`];
    await machine.start(command, { PATH }, /Server listening/);
  }
}

type Rules = { readonly input: string; readonly output: string };
