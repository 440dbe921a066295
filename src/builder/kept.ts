/**
 * A directory of small files that is there whole or not at all, and goes again: what `attest` keeps between two runs.
 * Files are 0600 in a directory that is 0700.
 */
import { lstat, mkdir, readdir, rename, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { unable } from '../failure.ts';
import type { Failure } from '../failure.ts';
import {
  diskFailure,
  errorCode,
  isTemporaryName,
  makeDirectory,
  syncDirectory,
  temporaryName,
  writeFileDurably,
} from '../host/files.ts';

/** Writes it whole or not at all. Throws `taken` if there is one with something in it, unable('disk'). */
export async function keep(
  directory: string,
  files: ReadonlyMap<string, Buffer>,
  taken: Failure,
): Promise<void> {
  const fresh = `${directory}${temporaryName()}`;
  try {
    await makeDirectory(dirname(directory), 0o700);
    await mkdir(fresh, { mode: 0o700 });
    for (const [name, bytes] of files) await writeFileDurably(join(fresh, name), bytes, 0o600);
    await rename(fresh, directory);
    await syncDirectory(dirname(directory));
  } catch (error) {
    await drop(fresh, [...files.keys()]);
    if (['ENOTEMPTY', 'EEXIST'].includes(errorCode(error))) throw taken;
    throw diskFailure(error, `keep what is to be sent in ${directory}`);
  }
}

/** What another run has put there first. */
export const takenBy = (directory: string, what: string): Failure =>
  unable(
    'pending-taken',
    `another run with this ticket has just put its ${what} into ${directory}`,
    'run again: it sends what that one has signed',
  );

/**
 * Takes away the files of these names and then the directory, and what killed runs left half-written beside it. What
 * can't be removed stays.
 */
export async function drop(directory: string, names: readonly string[]): Promise<void> {
  await dropLitter(directory, names);
  await removeWhole(directory, names);
  await syncDirectory(dirname(directory)).catch(() => {});
}

/** What killed runs left half-written beside it. */
export async function dropLitter(directory: string, names: readonly string[]): Promise<void> {
  const [above, own] = [dirname(directory), basename(directory)];
  for (const name of await readdir(above).catch(() => [])) {
    if (name.startsWith(own) && isTemporaryName(name.slice(own.length)))
      await removeWhole(join(above, name), names);
  }
}

async function removeWhole(directory: string, names: readonly string[]): Promise<void> {
  await dropFiles(directory, names);
  await rmdir(directory).catch(() => {});
}

/**
 * In a directory of ours, and never below it. Who else can write beside it, the build for one, must not have us, perhaps
 * root, remove what they name: another user's directory stays, and so does a link or one with more in it.
 */
export async function dropFiles(directory: string, names: readonly string[]): Promise<void> {
  const status = await lstat(directory).catch(() => null);
  if (status === null || !status.isDirectory() || status.uid !== process.geteuid?.()) return;
  for (const name of await readdir(directory).catch(() => [])) {
    if (names.includes(name) || isTemporaryName(name)) await unlink(join(directory, name)).catch(() => {});
  }
}
