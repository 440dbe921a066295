/**
 * Files that last: durable when a call returns, whole or not there at all. An edge to the system.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { link, lstat, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Failure, conflict, unable } from '../failure.ts';

// without O_NONBLOCK opening a FIFO waits for its writer, perhaps for ever
const READ = constants.O_RDONLY | constants.O_NONBLOCK;
const COMPARE_CHUNK = 1024 * 1024;

/**
 * The file's bytes, or null if it is not there. Throws unable('too-large') over `max` bytes,
 * unable('not-a-file') if it is no regular file, unable('disk') if it cannot be read.
 */
export async function readFileBounded(path: string, max: number): Promise<Buffer | null> {
  const file = await orNull(open(path, READ), `open ${path}`);
  return file && readHandle(file, path, max);
}

/** Reads an open file from its start and closes it. Throws as `readFileBounded`. */
export async function readHandle(file: FileHandle, path: string, max: number): Promise<Buffer> {
  try {
    const status = await file.stat();
    if (!status.isFile()) throw unable('not-a-file', `${path} is not a regular file`);
    if (status.size > max) throw tooLarge(path, max);
    // one byte more than it has: a file that grows meanwhile must not come out as a whole one
    const bytes = Buffer.allocUnsafe(status.size + 1);
    const filled = await readFully(file, bytes, 0, status.size);
    if (filled === bytes.length) throw unable('disk', `${path} grew while it was read`, 'try again');
    return bytes.subarray(0, filled);
  } catch (error) {
    throw diskFailure(error, `read ${path}`);
  } finally {
    await file.close();
  }
}

/**
 * Replaces the file in one step: a reader, or a crash, sees the old bytes or the new. What a crash leaves lies in
 * `scratch`, a directory of the same file system: beside the file unless told. Throws unable('disk').
 */
export async function writeFileDurably(
  path: string,
  bytes: Buffer,
  mode: number,
  scratch = dirname(path),
): Promise<void> {
  await viaTemporary({ path, scratch, mode }, bytes, (temporary) => rename(temporary, path));
}

/**
 * Writes a file that is never replaced: `new`, or `same` if these bytes were there.
 * Throws refused('conflict') if others were, unable('disk').
 */
export async function createOnce(path: string, bytes: Buffer, mode = 0o644): Promise<'new' | 'same'> {
  return viaTemporary({ path, scratch: dirname(path), mode }, bytes, (temporary) =>
    linkOnce(temporary, path, path),
  );
}

/**
 * Gives a complete file the name that it keeps: `new`, or `same` if a file with these bytes has it.
 * Throws refused('conflict') if another has it, in words that call it `shown`, and what the system says.
 */
export async function linkOnce(from: string, to: string, shown: string): Promise<'new' | 'same'> {
  try {
    await link(from, to);
    return 'new';
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
  if (await sameFile(from, to)) return 'same';
  throw conflict(shown);
}

/** `linkOnce` for a file system without hard links; nobody else may be naming files in that directory. */
export async function renameOnce(from: string, to: string, shown: string): Promise<'new' | 'same'> {
  if ((await orNull(lstat(to), `look at ${to}`)) === null) {
    await rename(from, to);
    return 'new';
  }
  if (await sameFile(from, to)) return 'same';
  throw conflict(shown);
}

/** A new file whose bytes are on the disk when it returns; its name may not be. Throws what the system says. */
export async function writeSynced(path: string, bytes: Buffer, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await writeFully(file, bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * The bytes of a regular file that no link leads to, else null, before anything else is done: for a thread that has
 * nothing else to do. Throws as `readFileBounded`.
 */
export function readFileNow(path: string, max: number): Buffer | null {
  let file: number | null = null;
  try {
    file = openSync(path, READ | constants.O_NOFOLLOW);
    const status = fstatSync(file);
    if (!status.isFile()) return null;
    if (status.size > max) throw tooLarge(path, max);
    const bytes = Buffer.allocUnsafe(status.size + 1);
    let filled = 0;
    for (let read = -1; read !== 0 && filled < bytes.length; filled += read)
      read = readSync(file, bytes, filled, bytes.length - filled, filled);
    if (filled === bytes.length) throw unable('disk', `${path} grew while it was read`, 'try again');
    return bytes.subarray(0, filled);
  } catch (error) {
    if (isAbsent(error) || errorCode(error) === 'ENXIO') return null; // a socket
    throw diskFailure(error, `read ${path}`);
  } finally {
    if (file !== null) closeSync(file);
  }
}

/** Appends all of `bytes`; the disk has them when it returns. Throws unable('disk'): a part may be there. */
export async function appendDurably(file: FileHandle, bytes: Buffer): Promise<void> {
  try {
    await writeFully(file, bytes);
    await file.datasync();
  } catch (error) {
    throw diskFailure(error, 'append');
  }
}

/** Writes all of the bytes at the file's position, however few the system takes at once. */
export async function writeFully(file: FileHandle, ...all: Buffer[]): Promise<void> {
  let written = all.length === 1 ? 0 : (await file.writev(all)).bytesWritten;
  for (const bytes of all) {
    let done = Math.min(written, bytes.length);
    written -= done;
    while (done < bytes.length) done += (await file.write(bytes, done, bytes.length - done)).bytesWritten;
  }
}

/** Makes a directory, and those above it, so that they last. Throws unable('disk'). */
export async function makeDirectory(path: string, mode: number): Promise<void> {
  if (await isDirectory(path)) return;
  const above = dirname(path);
  if (above !== path) await makeDirectory(above, mode);
  try {
    // not `recursive`: on a full disk Node then says that there is no such file
    await mkdir(path, { mode });
    await syncDirectory(above);
  } catch (error) {
    // made by someone else just now
    if (errorCode(error) !== 'EEXIST' || !(await isDirectory(path))) throw diskFailure(error, `make ${path}`);
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return (await orNull(stat(path), `look at ${path}`))?.isDirectory() ?? false;
}

/** Makes the names in a directory last: what was created, renamed or removed there. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** A name that nobody else uses: should it be taken all the same, `wx` makes that an error. */
export const temporaryName = (): string => `.${randomBytes(12).toString('hex')}.tmp`;

export const isTemporaryName = (name: string): boolean => /^\.[0-9a-f]{24}\.tmp$/.test(name);

export const tooLarge = (path: string, max: number): Failure =>
  unable('too-large', `${path} is larger than ${max} bytes`);

/** What `work` gives; null where the file, or a directory on the way to it, is not there or cannot be. Throws unable('disk'). */
export async function orNull<T>(work: Promise<T>, doing: string): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (isAbsent(error)) return null;
    throw diskFailure(error, doing);
  }
}

/** The file, or a directory on the way to it, is not there or cannot be. */
const isAbsent = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'].includes(errorCode(error));

/** `ENOENT` and the like; empty if it is no error of the system. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

const DISK_HINTS: Readonly<Record<string, string>> = {
  ENOSPC: 'make room and try again',
  EDQUOT: 'make room and try again',
  EROFS: 'it is mounted read-only: mount it so that it can be written, then run this again',
  EIO: 'is it still plugged in? put it back and run this again',
};

/** What the system said as unable('disk'); anything else, a `Failure` among it, as it is. */
export function diskFailure(error: unknown, doing: string): unknown {
  if (!(error instanceof Error) || error instanceof Failure || !('syscall' in error)) return error;
  return unable('disk', `cannot ${doing}: ${error.message}`, DISK_HINTS[errorCode(error)] ?? '', error);
}

async function viaTemporary<T>(
  { path, scratch, mode }: { readonly path: string; readonly scratch: string; readonly mode: number },
  bytes: Buffer,
  place: (temporary: string) => Promise<T>,
): Promise<T> {
  const temporary = join(scratch, temporaryName());
  try {
    await writeSynced(temporary, bytes, mode);
    const placed = await place(temporary);
    await syncDirectory(dirname(path));
    return placed;
  } catch (error) {
    throw diskFailure(error, `write ${path}`);
  } finally {
    // the file is there or it is not: litter changes nothing about that
    await rm(temporary, { force: true }).catch(() => {});
  }
}

async function sameFile(one: string, other: string): Promise<boolean> {
  const left = await open(one, READ);
  try {
    const right = await open(other, READ | constants.O_NOFOLLOW);
    try {
      const [a, b] = [await left.stat(), await right.stat()];
      if (!b.isFile() || a.size !== b.size) return false;
      const chunk = Math.min(a.size, COMPARE_CHUNK);
      const [ours, theirs] = [Buffer.allocUnsafe(chunk), Buffer.allocUnsafe(chunk)];
      for (let at = 0; at < a.size; at += chunk) {
        const [n, m] = [await readFully(left, ours, at), await readFully(right, theirs, at)];
        if (!ours.subarray(0, n).equals(theirs.subarray(0, m))) return false;
      }
      return true;
    } finally {
      await right.close();
    }
  } finally {
    await left.close();
  }
}

/** Fills the buffer from `position` on with at least `enough`, or up to the end of the file; returns how many there were. */
async function readFully(
  file: FileHandle,
  into: Buffer,
  position: number,
  enough = into.length,
): Promise<number> {
  let filled = 0;
  while (filled < enough) {
    const { bytesRead } = await file.read(into, filled, into.length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}
