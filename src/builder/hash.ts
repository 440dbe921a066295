/** Reads an artifact once, front to back, and notices when it is not the same file at the end. */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  readlinkSync,
  realpathSync,
} from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { refused } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { diskFailure, errorCode } from '../host/files.ts';
import { toSha256 } from '../records/names.ts';
import type { Sha256 } from '../records/names.ts';
import { sha256Hex } from '../records/sha256.ts';
import type { Subject } from '../records/statement.ts';
import { beginsAsTicket } from '../records/ticket.ts';
import type { Found } from './walk.ts';

const CHUNK = 1024 * 1024;
/** No symlink is followed, and no writer of a FIFO is waited for. */
const ARTIFACT = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** What must not change while a file is read. */
interface Identity {
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ino: bigint;
  readonly dev: bigint;
}

/** Up to here a file travels with others in one request. */
export const SMALL = 64 * 1024;
/** Up to here a file is read at once: less work than asking the system for each step and waiting. */
export const SHORT = CHUNK;
/** Nobody waits between filling and using it; one byte more than a short file may have. */
const scratch = Buffer.alloc(SHORT + 1);

/**
 * The file's subject: name, digest and size of the very bytes that were read.
 * `progress` is told the bytes read so far. Throws refused: `artifact-changed`, `artifacts-refused` for a ticket;
 * unable('disk'); what `signal` was aborted with.
 */
export async function hashArtifact(
  { name, path }: Pick<Found, 'name' | 'path'>,
  progress: (done: number) => void = () => {},
  signal?: AbortSignal,
): Promise<Subject> {
  const file = await openArtifact(path, name);
  try {
    const before = await file.stat({ bigint: true });
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of chunks(file, Buffer.allocUnsafe(CHUNK))) {
      signal?.throwIfAborted();
      if (size === 0) refuseTicket(chunk, name);
      hash.update(chunk);
      size += chunk.length;
      // a file that grows for ever is not read for ever
      if (size > Number(before.size)) throw changed(name);
      progress(size);
    }
    // the open file, against writes in place; the name, against a rename over it
    const after = await file.stat({ bigint: true });
    const named = await lstat(path, { bigint: true });
    if (size !== Number(before.size) || !same(before, after) || !same(before, named)) throw changed(name);
    return { name, sha256: toSha256(hash.digest('hex'), name), size };
  } catch (error) {
    throw errorCode(error) === 'ENOENT' ? changed(name) : diskFailure(error, `read ${name}`);
  } finally {
    await file.close();
  }
}

/** A short file's subject, and its bytes, good until the next call. Throws as `hashArtifact`. */
export function hashShort({ name, path }: Pick<Found, 'name' | 'path'>): { subject: Subject; bytes: Buffer } {
  const file = openShort(path, name);
  try {
    const before = fstatSync(file, { bigint: true });
    if (!before.isFile() || before.size > SHORT) throw changed(name);
    let size = 0;
    for (let read = -1; read !== 0 && size <= Number(before.size); size += read)
      read = readSync(file, scratch, size, scratch.length - size, null);
    const after = fstatSync(file, { bigint: true });
    const named = lstatSync(path, { bigint: true });
    if (size !== Number(before.size) || !same(before, after) || !same(before, named)) throw changed(name);
    const bytes = scratch.subarray(0, size);
    refuseTicket(bytes, name);
    return { subject: { name, sha256: sha256Hex(bytes), size }, bytes };
  } catch (error) {
    throw errorCode(error) === 'ENOENT' ? changed(name) : diskFailure(error, `read ${name}`);
  } finally {
    closeSync(file);
  }
}

/** The bytes of a short file that was hashed before, a copy. Throws as `hashShort`, also if they are others now. */
export function readShort(path: string, { name, sha256 }: Subject): Buffer {
  const { subject, bytes } = hashShort({ name, path });
  if (subject.sha256 !== sha256) throw changed(name);
  return Buffer.from(bytes);
}

/**
 * The bytes of a file that was hashed before, as a stream that ends well only if they are still those: the last
 * chunk is held back until the digest is known, so a changed file never arrives whole. Fails with refused
 * `artifact-changed`, and with what `signal` was aborted with.
 */
export function readSubject(
  path: string,
  subject: Subject,
  progress: (done: number) => void = () => {},
  signal?: AbortSignal,
): Readable {
  return Readable.from(checkedChunks(path, subject, progress, signal), { objectMode: false });
}

async function* checkedChunks(
  path: string,
  subject: Subject,
  progress: (done: number) => void,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  const file = await openArtifact(path, subject.name);
  try {
    const hash = createHash('sha256');
    let done = 0;
    let held: Buffer | null = null;
    for await (const chunk of chunks(file)) {
      signal?.throwIfAborted();
      if (held !== null) yield held;
      hash.update(chunk);
      done += chunk.length;
      if (done > subject.size) throw changed(subject.name);
      held = chunk;
      progress(done);
    }
    const digest: Sha256 = toSha256(hash.digest('hex'), subject.name);
    if (done !== subject.size || digest !== subject.sha256) throw changed(subject.name);
    if (held !== null) yield held;
  } finally {
    await file.close();
  }
}

/** Only a regular file will do, and only at `path`, which is absolute and without symlinks. */
export async function openArtifact(path: string, name: string): Promise<FileHandle> {
  const file = await open(path, ARTIFACT).catch((error: unknown) => {
    throw notOpened(error, name);
  });
  try {
    const status = await file.stat();
    if (status.isFile() && isAt(file.fd, path)) return file;
    throw changed(name);
  } catch (error) {
    await file.close();
    throw error;
  }
}

function openShort(path: string, name: string): number {
  let file: number;
  try {
    file = openSync(path, ARTIFACT);
  } catch (error) {
    throw notOpened(error, name);
  }
  if (isAt(file, path)) return file;
  closeSync(file);
  throw changed(name);
}

/** If not, a directory above it has become a symlink since the walk, and what is open may be anybody's. */
function isAt(fd: number, path: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) === path;
  } catch {
    // no Linux, or no /proc
  }
  try {
    return realpathSync.native(path) === path;
  } catch {
    return false;
  }
}

const notOpened = (error: unknown, name: string): unknown =>
  ['ELOOP', 'ENOENT', 'ENXIO'].includes(errorCode(error))
    ? changed(name)
    : diskFailure(error, `open ${name}`);

/** The rest of the file. With a buffer every chunk lies in it, and is good until the next. */
export async function* chunks(file: FileHandle, reused?: Buffer): AsyncGenerator<Buffer> {
  for (;;) {
    const buffer = reused ?? Buffer.allocUnsafe(CHUNK);
    const { bytesRead } = await file.read(buffer, 0, buffer.length);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

const same = (a: Identity, b: Identity): boolean =>
  a.size === b.size && a.mtimeNs === b.mtimeNs && a.ino === b.ino && a.dev === b.dev;

/** Whoever can read a build's artifacts must not become one of its builders: under any name, and in any copy. */
function refuseTicket(bytes: Buffer, name: string): void {
  if (!beginsAsTicket(bytes)) return;
  throw refused(
    'artifacts-refused',
    `${name} is a ticket, or begins as one`,
    'keep it elsewhere, or leave it out with --exclude; no artifact may begin with countersign-ticket-v1',
  );
}

export const changed = (name: string): Failure =>
  refused(
    'artifact-changed',
    `${name} is not the file any more that was attested`,
    'a build is attested once it is finished: stop what writes there; after the statement was signed, only the same bytes will do: put them back, or ask for a new approval',
  );
