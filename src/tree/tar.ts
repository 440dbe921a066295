/**
 * Small files in one body: a strict tar. POSIX ustar, with pax `path` records and GNU `L` headers for long names,
 * so that what `tar --format=ustar|pax|gnu` makes of plain files is taken. Nothing but regular files is.
 */
import { refused } from '../failure.ts';
import type { Failure } from '../failure.ts';

const BLOCK = 512;
const PIECE = 64 * 1024;
const SHORT_NAME = 100;
// a long name, and the times that tar programs like to add
const EXTENSION_MAX = 4096;
const IGNORED = new Set(['atime', 'ctime', 'mtime', 'comment', 'uid', 'gid', 'uname', 'gname']);

export interface TarEntry {
  /** As it stands in the tar, for the caller to judge: any text without NUL. */
  readonly name: string;
  readonly bytes: Buffer;
}

interface TarHead {
  readonly name: string;
  readonly size: number;
}

export interface TarLimits {
  readonly files: number;
  /** Of each file. */
  readonly fileBytes: number;
  /** Of all of them. */
  readonly bytes: number;
}

/** A tar of these files, in their order. The same files make the same bytes. */
export function packTar(files: Iterable<TarEntry>): Buffer {
  const parts: Buffer[] = [];
  for (const { name, bytes } of files) parts.push(headOf(name, bytes.length), bytes, padding(bytes.length));
  parts.push(Buffer.alloc(2 * BLOCK));
  return Buffer.concat(parts);
}

/**
 * The same as the bytes come, in pieces that are worth sending: of one file after the other, each in one buffer or in
 * several, and an empty one where it has none.
 */
export async function* streamTar(
  files: readonly TarHead[],
  contents: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  let [parts, length]: [Buffer[], number] = [[], 0];
  let [at, left] = [0, 0];
  const push = (part: Buffer): void => {
    parts.push(part);
    length += part.length;
  };
  for await (const bytes of contents) {
    const { name, size } = files[at] ?? { name: '', size: 0 };
    if (left === 0) {
      push(headOf(name, size));
      left = size;
    }
    push(bytes);
    left -= bytes.length;
    if (left === 0) {
      push(padding(size));
      at += 1;
    }
    if (length < PIECE) continue;
    yield Buffer.concat(parts);
    [parts, length] = [[], 0];
  }
  yield Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}

/** How long the tar of files with these names and sizes is. */
export function tarLength(files: Iterable<TarHead>): number {
  let length = 2 * BLOCK;
  for (const { name, size } of files)
    length += (isShort(name) ? BLOCK : headOf(name, size).length) + size + padding(size).length;
  return length;
}

const isShort = (name: string): boolean => Buffer.byteLength(name) <= SHORT_NAME;

/** What stands before the bytes of a file. */
function headOf(name: string, size: number): Buffer {
  if (isShort(name)) return header(name, size, '0');
  const record = paxRecord('path', name);
  return Buffer.concat([
    header('pax', record.length, 'x'),
    record,
    padding(record.length),
    header(name, size, '0'),
  ]);
}

/**
 * The files of a tar, one after the other; no more than one of them is held.
 * Throws refused('tar-malformed' | 'tar-too-large'), and what the source throws.
 */
export async function* tarEntries(
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  limits: TarLimits,
): AsyncGenerator<TarEntry, void, undefined> {
  const reader = new Reader(source);
  let [files, total] = [0, 0];
  let extension: Extension | null = null;
  for (;;) {
    const block = await reader.take(BLOCK);
    if (isZero(block)) break;
    const { name, size, type } = parseHeader(block);
    if (type === 'x' || type === 'L') {
      if (extension) throw malformed('two extensions of one header');
      if (size > EXTENSION_MAX) throw malformed('the extension of a header is too long');
      const bytes = await reader.takePadded(size);
      extension = type === 'x' ? parsePax(bytes) : { path: parseText(bytes) };
      continue;
    }
    if (type !== '0') throw malformed(`${name} is not a regular file`);
    files += 1;
    total += size;
    if (files > limits.files) throw tooLarge(`more than ${limits.files} files`);
    if (size > limits.fileBytes) throw tooLarge(`${name} is larger than ${limits.fileBytes} bytes`);
    if (total > limits.bytes) throw tooLarge(`more than ${limits.bytes} bytes`);
    yield { name: extension?.path ?? name, bytes: await reader.takePadded(size) };
    extension = null;
  }
  if (extension) throw malformed('a name without a file');
  await reader.expectZeros();
}

/** What a header extension says; null: nothing of its name. */
interface Extension {
  readonly path: string | null;
}

function parseHeader(block: Buffer): { name: string; size: number; type: string } {
  if (checksum(block) !== parseOctal(block.subarray(148, 156)))
    throw malformed('a header with a wrong checksum');
  const magic = block.toString('latin1', 257, 265);
  // GNU's header has other things where ustar has the first part of a long name
  if (magic !== 'ustar\x0000' && magic !== 'ustar  \0') throw malformed('a header that is not ustar');
  const prefix = magic === 'ustar  \0' ? '' : parseText(block.subarray(345, 500));
  const name = parseText(block.subarray(0, SHORT_NAME));
  const type = block.toString('latin1', 156, 157);
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    size: parseOctal(block.subarray(124, 136)),
    type: type === '\0' ? '0' : type,
  };
}

/** The sum of a header's bytes; its own checksum counts as blanks. */
function checksum(block: Buffer): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < BLOCK; at++) if (at < 148 || at >= 156) sum += block[at] ?? 0;
  return sum;
}

/** Octal digits only: the binary form is for files far over any limit of ours. */
function parseOctal(field: Buffer): number {
  const digits = /^ *([0-7]+)[ \0]*$/.exec(field.toString('latin1'))?.[1];
  if (digits === undefined) throw malformed('a number that is not octal');
  return Number.parseInt(digits, 8);
}

/** Text up to the NULs that fill its field. */
function parseText(field: Buffer): string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(field).replace(/\0+$/, '');
  } catch {
    throw malformed('a name that is not UTF-8');
  }
  if (text.includes('\0')) throw malformed('a name with NUL in it');
  return text;
}

/** Records `<length> <key>=<value>\n`, the length counting itself. Unknown keys could mean anything: an error. */
function parsePax(bytes: Buffer): Extension {
  let path: string | null = null;
  for (let rest = bytes; rest.length > 0;) {
    const length = Number(/^[1-9][0-9]{0,4}(?= )/.exec(rest.toString('latin1', 0, 6))?.[0]);
    if (!(length <= rest.length) || rest[length - 1] !== 0x0a) throw malformed('a broken pax record');
    const [, key, value] = /^[0-9]+ ([^=]+)=([^]*)\n$/.exec(parseText(rest.subarray(0, length))) ?? [];
    if (key === undefined || value === undefined) throw malformed('a broken pax record');
    if (key === 'path' && path === null) path = value;
    else if (!IGNORED.has(key)) throw malformed(`a pax record that is not taken: ${key}`);
    rest = rest.subarray(length);
  }
  return { path };
}

class Reader {
  readonly #source: AsyncIterator<Buffer> | Iterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer> | Iterable<Buffer>) {
    this.#source =
      Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  }

  async take(size: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let missing = size; missing > 0;) {
      if (this.#rest.length === 0 && !(await this.#more())) throw malformed('it ends too early');
      const part = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(part.length);
      missing -= part.length;
      parts.push(part);
    }
    return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts);
  }

  async takePadded(size: number): Promise<Buffer> {
    const bytes = await this.take(size);
    if (!isZero(await this.take(padding(size).length))) throw malformed('padding that is not zero');
    return bytes;
  }

  /** The second block of zeros that ends a tar, and nothing after it but more of them. */
  async expectZeros(): Promise<void> {
    if (!isZero(await this.take(BLOCK))) throw malformed('its end is not marked');
    do {
      if (!isZero(this.#rest)) throw malformed('bytes after its end');
    } while (await this.#more());
  }

  async #more(): Promise<boolean> {
    const next = await this.#source.next();
    if (next.done !== true) this.#rest = next.value;
    return next.done !== true;
  }
}

function header(name: string, size: number, type: '0' | 'x'): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`;
  // a name that does not fit is in the pax record before, which has the last word
  Buffer.from(name).copy(block, 0, 0, SHORT_NAME);
  block.write(`0000644\0${octal(0, 8)}${octal(0, 8)}${octal(size, 12)}${octal(0, 12)}        ${type}`, 100);
  block.write('ustar\x0000', 257);
  block.write(`${octal(checksum(block), 7)} `, 148);
  return block;
}

function paxRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(rest);
  while (length !== Buffer.byteLength(`${length}${rest}`)) length = Buffer.byteLength(`${length}${rest}`);
  return Buffer.from(`${length}${rest}`);
}

const padding = (size: number): Buffer => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);

// loops by index: these run over every header, and callbacks took longer than all else here
function isZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== 0) return false;
  return true;
}

const malformed = (problem: string): Failure =>
  refused('tar-malformed', `the tar: ${problem}`, 'make it of regular files alone, with tar --format=ustar');
const tooLarge = (problem: string): Failure => refused('tar-too-large', `the tar: ${problem}`);
