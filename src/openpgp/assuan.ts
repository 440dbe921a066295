/**
 * One connection to an Assuan server, the line protocol of gpg-agent: a command, then data lines, then OK or ERR.
 * Commands may be sent before those in front of them are answered: answers come in their order.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure, unable } from '../failure.ts';
import { errorCode } from '../host/files.ts';
import { agentLate } from './gpg-error.ts';

/** libassuan's limit of a line, with its end. */
const LINE_MAX = 1002;
/** The most data that one answer may carry: an RSA-16384 signature takes 2 KiB. */
const DATA_MAX = 16 * 1024;
/** The most status lines to one command; a prompt, a card and progress make a handful. */
const STATUS_MAX = 1_000;
/** Failures to connect that need no more words. */
const SAID = new Set(['agent-timeout', 'agent-unreachable']);
/** Until we knock again. */
const BUSY_MS = 50;

/** What the server said to a command: data and status lines, or a libgpg-error number with its text. */
export type Answer =
  { ok: true; data: Buffer; status: readonly string[] } | { ok: false; error: number; text: string };

/** A command that was sent. */
interface Asked {
  readonly timeoutMs: number;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (cause: unknown) => void;
}

export class AssuanConnection {
  readonly #socket: Socket;
  #received = '';
  #data = '';
  #status: string[] = [];
  /** What is not answered yet, in order. */
  readonly #asked: Asked[] = [];
  #ended: Error | null = null;
  #late: NodeJS.Timeout | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    // latin1 keeps each byte a character: data lines carry raw bytes
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => this.#read(text));
    socket.on('error', (cause) => this.#end(lost(cause)));
    socket.on('close', () => this.#end(lost()));
  }

  /** Connects to the socket at `path` and reads the greeting. Throws `unable` (`agent-unreachable`, `agent-timeout`). */
  static async open(path: string, timeoutMs: number): Promise<AssuanConnection> {
    for (const end = performance.now() + timeoutMs; ; await sleep(BUSY_MS)) {
      const connection = new AssuanConnection(connect({ path }));
      try {
        const greeting = await connection.#answer(timeoutMs);
        if (greeting.ok) return connection;
        throw unable('agent-unreachable', `gpg-agent turned us away: ${greeting.text}`);
      } catch (error) {
        if (!(error instanceof Failure) || SAID.has(error.code)) throw error;
        // many wait to be accepted: a blocking connect(2) would wait too
        const isBusy = errorCode(error.cause) === 'EAGAIN';
        if (isBusy && performance.now() < end) continue;
        const text = `gpg-agent does not answer at ${path}`;
        throw isBusy ? agentLate() : unable('agent-unreachable', text, 'gpgconf --launch gpg-agent', error);
      }
    }
  }

  /**
   * Sends one command and returns what the server said to it. Throws `unable` if the connection is or gets
   * lost (`agent-lost`), at the deadline (`agent-timeout`) or on nonsense (`agent-protocol`); the connection
   * is of no more use then. `timeoutMs` counts from when all before it are answered. A server that would ask
   * something back is talking nonsense if there are more commands behind: it would take them for what it asked.
   */
  async command(line: string, timeoutMs: number): Promise<Answer> {
    if (this.#ended) throw this.#ended;
    if (/[\r\n]/.test(line) || Buffer.byteLength(line) >= LINE_MAX) throw new Error('not one Assuan line');
    this.#socket.write(`${line}\n`);
    return this.#answer(timeoutMs);
  }

  /** Hangs up; whoever waits gets `agent-lost`. */
  close(): void {
    this.#end(lost());
  }

  #answer(timeoutMs: number): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      if (this.#asked.push({ timeoutMs, resolve, reject }) === 1) this.#startClock(timeoutMs);
    });
  }

  #read(text: string): void {
    const lines = (this.#received + text).split('\n');
    this.#received = lines.pop() ?? '';
    for (const line of lines) if (!this.#ended) this.#line(line);
    if (this.#received.length > LINE_MAX) this.#end(nonsense());
  }

  #line(line: string): void {
    if (/^(#|$)/.test(line)) return; // comments
    if (line.startsWith('S ')) {
      if (this.#status.push(line.slice(2)) > STATUS_MAX) this.#end(nonsense());
    } else if (this.#asked.length === 0) this.#end(nonsense());
    else if (line.startsWith('D ')) {
      this.#data += line.slice(2);
      if (this.#data.length > DATA_MAX) this.#end(nonsense());
    } else if (/^OK( |$)/.test(line))
      this.#settle({ ok: true, data: unescapeData(this.#data), status: this.#status });
    else if (line.startsWith('ERR ')) this.#settle(errorAnswer(line));
    else if (line.startsWith('INQUIRE ') && this.#asked.length === 1)
      this.#socket.write('CAN\n'); // we have nothing to tell: an ERR follows
    else this.#end(nonsense());
  }

  #settle(answer: Answer): void {
    this.#data = '';
    this.#status = [];
    clearTimeout(this.#late ?? undefined);
    this.#asked.shift()?.resolve(answer);
    const [next] = this.#asked;
    if (next) this.#startClock(next.timeoutMs);
  }

  /** For the whole answer to the first that waits: comments and status lines in between win no time. */
  #startClock(timeoutMs: number): void {
    this.#late = setTimeout(() => this.#end(agentLate()), timeoutMs);
  }

  #end(cause: Error): void {
    this.#ended ??= cause;
    clearTimeout(this.#late ?? undefined);
    this.#socket.destroy();
    for (const { reject } of this.#asked.splice(0)) reject(this.#ended);
  }
}

/** `%XX` stands for a byte; in what we send also `+` for a space. */
export function escapeParameter(text: string): string {
  return Buffer.from(text)
    .toString('latin1')
    .replace(/[^A-Za-z0-9._:@/-]/g, (c) =>
      c === ' ' ? '+' : `%${c.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`,
    );
}

const unescapeData = (text: string): Buffer =>
  Buffer.from(
    text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );

function errorAnswer(line: string): Answer {
  const [, number = '', text = ''] = /^ERR (\d{1,10}) ?(.*)$/.exec(line) ?? [];
  return { ok: false, error: Number(number), text: Buffer.from(text, 'latin1').toString() };
}

const lost = (cause?: unknown): Error =>
  unable('agent-lost', 'the connection to gpg-agent is gone', 'was it restarted? try again', cause);

const nonsense = (): Error => unable('agent-protocol', 'gpg-agent talks nonsense', 'see gpg-agent --version');
