/**
 * A card reader without hardware: Debian's vpcd behind a pcscd of our own, whose socket is somewhere else (it has a
 * fixed path unless systemd gives it one), so that tests disturb neither each other nor the machine.
 * Debian packages: vsmartcard-vpcd, pcscd, scdaemon, systemd.
 */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { join } from 'node:path';
import { ATR } from './openpgp-card.ts';
import type { OpenpgpCard } from './openpgp-card.ts';
import { until } from './until.ts';

const PCSCD = '/usr/sbin/pcscd';
const WITHOUT_POLKIT = '--disable-polkit';
const DRIVER = '/usr/lib/pcsc/drivers/serial/libifdvpcd.so';
/** What vpcd says in one byte: a power switch, or this, which asks for the ATR. */
const ATR_PLEASE = 4;

export class CardReader {
  /** For gpg: where pcscd is. */
  readonly env: { readonly PCSCLITE_CSOCK_NAME: string };
  readonly #port: number;
  readonly #pcscd: ChildProcess;
  #inserted: Socket | null = null;

  private constructor(socketPath: string, port: number, pcscd: ChildProcess) {
    this.env = { PCSCLITE_CSOCK_NAME: socketPath };
    this.#port = port;
    this.#pcscd = pcscd;
  }

  /** Starts a pcscd of its own, with one empty reader; its files lie in `directory`. */
  static async start(directory: string): Promise<CardReader> {
    const port = await twoFreePorts();
    const [socketPath, readers] = [join(directory, 'pcscd.comm'), join(directory, 'readers')];
    rmSync(readers, { recursive: true, force: true });
    mkdirSync(readers);
    writeFileSync(
      join(readers, 'vpcd'),
      `FRIENDLYNAME "Virtual PCD"\nDEVICENAME /dev/null:${port}\nLIBPATH ${DRIVER}\nCHANNELID ${port}\n`,
    );
    const command = [PCSCD, '--foreground', '--config', readers];
    // where it asks polkit who may use cards, there need be no polkit here
    if (execFileSync(PCSCD, ['--help']).includes(WITHOUT_POLKIT)) command.push(WITHOUT_POLKIT);
    const pcscd = spawn('systemd-socket-activate', ['-l', socketPath, ...command], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await new Promise<void>((resolve, reject) => {
      pcscd.stderr.once('data', () => resolve()); // 'Listening on'
      pcscd.once('error', reject);
    });
    pcscd.stderr.resume();
    const asking = connect(socketPath, () => asking.destroy()); // somebody asks: now it runs
    return new CardReader(socketPath, port, pcscd);
  }

  /** Puts the card in; it has lost its power before. */
  async insert(card: OpenpgpCard): Promise<void> {
    card.reset();
    let socket: Socket | null = null;
    await until('the reader listens', async () => (socket = await attempt(this.#port)) !== null);
    this.#inserted = socket;
    if (socket) serve(socket, card);
  }

  /** Pulls the card out. */
  async remove(): Promise<void> {
    const socket = this.#inserted;
    this.#inserted = null;
    if (!socket || socket.destroyed) return;
    await new Promise((resolve) => {
      socket.once('close', resolve);
      socket.destroy();
    });
  }

  async close(): Promise<void> {
    await this.remove();
    if (this.#pcscd.exitCode !== null || this.#pcscd.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#pcscd.once('exit', resolve));
    this.#pcscd.kill('SIGKILL');
    await ended;
  }
}

function attempt(port: number): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.on('error', () => resolve(null));
  });
}

/** vpcd's protocol: messages with their length in front, ours to those of more than a byte. */
function serve(socket: Socket, card: OpenpgpCard): void {
  let received = Buffer.alloc(0);
  const send = (bytes: Buffer): void => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(bytes.length);
    socket.write(Buffer.concat([length, bytes]));
  };
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE()) {
      const message = received.subarray(2, 2 + received.readUInt16BE());
      received = received.subarray(2 + message.length);
      if (message.length > 1) send(card.answer(message));
      else if (message[0] === ATR_PLEASE) send(ATR);
      else card.reset();
    }
  });
}

/** vpcd has two slots, at a port and the next. */
async function twoFreePorts(): Promise<number> {
  for (;;) {
    const first = await listen(0);
    const address = first.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const second = await listen(port + 1).catch(() => null);
    first.close();
    second?.close();
    if (second) return port;
  }
}

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, () => resolve(server));
  });
}
