/**
 * The terminal: the only file that writes to it. The rules of what people see:
 *
 * - Standard output is the result. Under `--json` it holds JSON lines and nothing else, an error too:
 *   `{"code","message","hint"}`, the object that the depot answers with.
 * - Standard error is everything else: what is happening, questions, warnings, errors. `-q` leaves warnings,
 *   questions with their summary, and errors.
 * - One call is one line, lower case, what happened first; a terminal breaks it between words. Foreign text is
 *   escaped here and nowhere else.
 * - An error is one line, `countersign: …`, then `hint:` with what to do next.
 * - Colour and progress are for a terminal only, colour never with NO_COLOR.
 */
import { unable } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { dim, jsonLine, red, renderLine, WIDTH, wrapParts, yellow } from './text.ts';
import type { Part } from './text.ts';

/** More of a log than that waits for no reader. */
const UNREAD_MAX = 256 * 1024;
/** How long the end of a log waits for its reader. */
const LAST_LINES_MS = 1000;

export interface TerminalOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
}

export class Terminal {
  readonly json: boolean;
  readonly #quiet: boolean;
  readonly #verbose: boolean;
  readonly #noColour: boolean;
  #statusShown = false;
  /** Whether the process is to end when the command has, whatever is still under way. */
  leaving = false;
  /** Why a part of the result is lost. */
  #lost: Error | null = null;

  constructor(options: TerminalOptions, environment: Readonly<NodeJS.ProcessEnv> = process.env) {
    this.json = options.json;
    this.#quiet = options.quiet;
    this.#verbose = options.verbose;
    this.#noColour = (environment['NO_COLOR'] ?? '') !== '' || environment['TERM'] === 'dumb';
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      // a reader that went away (`| head`) is no fault of ours
      if (error.code !== 'EPIPE') this.#lost ??= error;
    });
    process.stderr.on('error', () => {});
  }

  /** True if a person can be asked: there is a terminal to read from and one to show the question on. */
  get interactive(): boolean {
    return process.stdin.isTTY && process.stderr.isTTY;
  }

  /** True if a person reads standard error as it comes. */
  get showsErrors(): boolean {
    return process.stderr.isTTY;
  }

  /** Whether a line of a log would be taken now. */
  get takesLines(): boolean {
    return process.stderr.writableLength < UNREAD_MAX;
  }

  /** A line of a service's log, made harmless already. False if it was dropped, as nobody reads those before it. */
  line(text: string): boolean {
    if (!this.takesLines) return false;
    process.stderr.write(`${text}\n`);
    return true;
  }

  /** Returns when the log has left, or its reader has had time enough. False if it did not read all of it. */
  async lastLines(): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), LAST_LINES_MS);
    });
    const left = new Promise<boolean>((resolve) => process.stderr.write('', () => resolve(true)));
    return Promise.race([left, late]).finally(() => clearTimeout(timer));
  }

  /** A line of the result, for people: nothing under `--json`. */
  result(...parts: readonly Part[]): void {
    if (!this.json) this.#write(process.stdout, parts);
  }

  /** A line of the result, for programs: only under `--json`. */
  record(value: Readonly<Record<string, unknown>>): void {
    if (this.json) process.stdout.write(`${jsonLine(value)}\n`);
  }

  /** What is happening. Not with `-q`. */
  say(...parts: readonly Part[]): void {
    if (!this.#quiet) this.#write(process.stderr, parts);
  }

  /** What a person must see before answering: also with `-q`. */
  show(...parts: readonly Part[]): void {
    this.#write(process.stderr, parts);
  }

  /** What helps to find out why. Only with `-v`. */
  detail(...parts: readonly Part[]): void {
    if (this.#verbose) this.#write(process.stderr, parts);
  }

  /** Something that a person should change, but that does not stop the work. */
  warn(text: string): void {
    this.#write(process.stderr, [yellow('warning:'), ' ', text]);
  }

  hint(text: string): void {
    if (text !== '') this.#write(process.stderr, [dim('hint:'), ' ', text]);
  }

  /** An error that ends the command. */
  fail(failure: Failure): void {
    this.record({ code: failure.code, message: failure.message, hint: failure.hint });
    this.#write(process.stderr, [red('countersign:'), ' ', failure.message]);
    this.hint(failure.hint);
    for (let cause = failure.cause; cause instanceof Error; cause = cause.cause) {
      for (const line of (cause.stack ?? cause.message).split('\n')) this.detail(dim(`  ${line}`));
    }
  }

  /** Returns when the result has left. Throws unable('output') if it could not: its reader's disk is full, say. */
  async flush(): Promise<void> {
    await new Promise<void>((resolve) => process.stdout.write('', () => resolve()));
    if (this.#lost === null) return;
    const message = `the result could not be written to standard output: ${this.#lost.message}`;
    throw unable('output', message, 'what was done is done: countersign status shows it', this.#lost);
  }

  /** The result, where it is a file: exactly these bytes. Nothing under `--json`. */
  file(bytes: Buffer): void {
    if (!this.json) process.stdout.write(bytes);
  }

  /** Our own text of many lines (help), to standard output whatever the flags. */
  page(text: string): void {
    for (const line of text.split('\n')) this.#write(process.stdout, [line]);
  }

  /** A line that the next one replaces; only on a terminal. Empty: takes it away. */
  status(text: string): void {
    if (!process.stderr.isTTY || this.#quiet) return;
    if (text === '' && !this.#statusShown) return;
    const width = Math.max(20, process.stderr.columns || 80) - 1;
    process.stderr.write(`\r\u001b[K${renderLine([text.slice(0, width)], false)}`);
    this.#statusShown = text !== '';
  }

  /** Asks yes or no; anything but yes is no. Call only where `interactive`. */
  async confirm(question: string): Promise<boolean> {
    return /^y(es)?$/i.test(await this.ask(`${question} [y/N]`));
  }

  /** Asks for a line, trimmed; empty at the end of input. Call only where `interactive`. */
  async ask(question: string): Promise<string> {
    this.status('');
    const { createInterface } = await import('node:readline');
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    return new Promise((resolve) => {
      lines.once('close', () => resolve(''));
      lines.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
      lines.question(`${renderLine([question], false)} `, (answer) => {
        resolve(answer.trim());
        lines.close();
      });
    });
  }

  #write(stream: NodeJS.WriteStream, parts: readonly Part[]): void {
    this.status('');
    // a person's screen breaks words anywhere; what reads a pipe wants its line whole
    const lines = stream.isTTY ? wrapParts(parts, stream.columns || WIDTH, '  ') : [parts];
    for (const line of lines)
      stream.write(`${renderLine(line, stream.isTTY && !this.#noColour).trimEnd()}\n`);
  }
}
