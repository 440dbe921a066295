/** A file that only grows, a line at a time: what was acknowledged is on the disk, what was torn is cut off. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { unable } from '../failure.ts';
import { diskFailure, syncDirectory, writeFully } from './files.ts';

const LF = 0x0a;

/** Lines hold any bytes but LF. For one process at a time: callers hold a lock. */
export class LineFile {
  readonly #path: string;
  readonly #file: FileHandle;
  /** Where each line starts, and where the next one will. */
  readonly #starts: number[] = [0];
  #broken = false;
  /** Something without an LF stands behind the last line. */
  #torn = false;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  /**
   * Opens the file, made (mode 0600) if it isn't there, and reads its lines. A last line without its LF was
   * never acknowledged, so nothing rests on it: the next write cuts it off. Throws unable(`disk`).
   */
  static async open(path: string): Promise<{ file: LineFile; lines: Buffer[] }> {
    const how = constants.O_APPEND | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const flags = constants.O_RDWR | constants.O_CREAT | how;
    let handle: FileHandle | undefined;
    try {
      handle = await open(path, flags, 0o600);
      // a FIFO would be read without end
      if (!(await handle.stat()).isFile()) throw unable('not-a-file', `${path} is not a regular file`);
      const bytes = await handle.readFile();
      const end = bytes.lastIndexOf(LF) + 1;
      await handle.sync();
      await syncDirectory(dirname(path));
      const file = new LineFile(path, handle);
      file.#torn = end < bytes.length;
      const lines = split(bytes.subarray(0, end));
      for (const line of lines) file.#grown(line);
      return { file, lines };
    } catch (error) {
      await handle?.close();
      throw diskFailure(error, `read ${path}`);
    }
  }

  /** A write or a read has failed: nothing more is done with the file until it is opened again. */
  get broken(): boolean {
    return this.#broken;
  }

  /** Appends lines; returns when the kernel has them, which a power cut may undo. Throws unable(`disk`). */
  async write(...lines: readonly Buffer[]): Promise<void> {
    const bytes = Buffer.concat(lines.flatMap((line) => [line, Buffer.of(LF)]));
    await this.#attempt(async () => {
      if (this.#torn) await this.#file.truncate(this.#starts.at(-1));
      this.#torn = false;
      await writeFully(this.#file, bytes);
    });
    for (const line of lines) this.#grown(line);
  }

  /** Returns when all lines written before are on the disk. Throws unable(`disk`). */
  sync(): Promise<void> {
    return this.#attempt(() => this.#file.datasync());
  }

  /** The line at `index`. Throws RangeError if there is none, unable(`disk`). */
  async line(index: number): Promise<Buffer> {
    const [start, end] = [this.#starts[index], this.#starts[index + 1]];
    if (start === undefined || end === undefined) throw new RangeError(`no line ${index}`);
    const line = Buffer.alloc(end - start - 1);
    const { bytesRead } = await this.#attempt(() => this.#file.read(line, 0, line.length, start));
    if (bytesRead !== line.length) throw unable('disk', `${this.#path} was cut while it was open`);
    return line;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #grown(line: Buffer): void {
    this.#starts.push((this.#starts.at(-1) ?? 0) + line.length + 1);
  }

  /** After a failure nobody knows what the file holds: nothing is done with it until it is opened again. */
  async #attempt<T>(act: () => Promise<T>): Promise<T> {
    if (this.#broken) throw unable('disk', `an earlier write to ${this.#path} failed`, 'try again');
    try {
      return await act();
    } catch (error) {
      this.#broken = true;
      throw diskFailure(error, `write ${this.#path}`);
    }
  }
}

function split(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(LF, start);
    lines.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return lines;
}
