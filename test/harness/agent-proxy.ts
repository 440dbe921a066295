/**
 * A gpg-agent between gpg-agent and whoever signs: it counts signatures and remembers what was signed.
 *
 * Give children `env` (or its GNUPGHOME): a home with the public keyring of the real one, whose agent socket is
 * served here. It lives in this process: children that use it must not be waited for synchronously.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Home = { readonly directory: string; readonly env: Readonly<Record<string, string>> };

const PUBLIC_FILES = ['pubring.kbx', 'pubring.gpg', 'trustdb.gpg', 'gpg.conf'];

export class AgentProxy {
  readonly directory: string;
  readonly env: Record<string, string>;
  /** How often a signature was asked for (PKSIGN). */
  signatures = 0;
  /** Digests that were to be signed (SETHASH), lower-case hex, in order. */
  readonly digests: string[] = [];
  /** How many commands have come that the agent has not got yet. */
  waiting = 0;
  /** Called with each command before the agent gets it, which waits for it: an agent that is late, or killed. */
  before: (command: string) => Promise<void> | void = () => {};
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(directory: string, home: Home, agentSocket: string) {
    this.directory = directory;
    this.env = { ...home.env, GNUPGHOME: directory };
    this.#server = createServer((client) => this.#serve(client, connect(agentSocket)));
  }

  /** Starts the agent of `home` if need be, and a second home in front of it. */
  static async start(home: Home): Promise<AgentProxy> {
    execFileSync('gpgconf', ['--launch', 'gpg-agent'], { env: home.env });
    const agentSocket = socketOf(home.env);
    const directory = mkdtempSync(join(tmpdir(), 'cs-'));
    for (const name of PUBLIC_FILES) {
      if (existsSync(join(home.directory, name)))
        copyFileSync(join(home.directory, name), join(directory, name));
    }
    const proxy = new AgentProxy(directory, home, agentSocket);
    await new Promise<void>((resolve) => proxy.#server.listen(socketOf(proxy.env), resolve));
    return proxy;
  }

  /** Until nobody is connected: what a killed signer has sent has come, and is counted, too. */
  async left(): Promise<void> {
    const closed = [...this.#sockets].map(
      (socket) => new Promise((resolve) => socket.once('close', resolve)),
    );
    await Promise.all(closed);
  }

  /** Ends every connection and removes the second home; the real agent stays. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.directory, { recursive: true, force: true });
  }

  #serve(client: Socket, agent: Socket): void {
    let line = '';
    let passedOn: Promise<unknown> = Promise.resolve();
    client.on('data', (chunk: Buffer) => {
      const lines = (line + chunk.toString('latin1')).split('\n');
      line = lines.pop() ?? '';
      this.waiting += lines.length;
      for (const command of lines) passedOn = passedOn.then(() => this.#passOn(command, agent));
    });
    client.on('end', () => void passedOn.then(() => agent.end()));
    agent.pipe(client);
    for (const [from, to] of [
      [client, agent],
      [agent, client],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }

  /** Not once the connection has ended: the agent would never have seen it. */
  async #passOn(command: string, agent: Socket): Promise<void> {
    this.waiting -= 1;
    if (agent.destroyed) return;
    if (/^PKSIGN\b/i.test(command)) this.signatures += 1;
    const digest = /^SETHASH .*?([0-9A-F]{40,})$/i.exec(command)?.[1];
    if (digest) this.digests.push(digest.toLowerCase());
    await this.before(command);
    agent.write(`${command}\n`, 'latin1');
  }
}

const socketOf = (env: Readonly<Record<string, string>>): string =>
  execFileSync('gpgconf', ['--list-dirs', 'agent-socket'], { env }).toString().trimEnd();
