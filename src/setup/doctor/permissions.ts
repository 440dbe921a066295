/** Who else may write a path, or put another in its place. */
import { realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { orNull } from '../../host/files.ts';

const STICKY = 0o1000;

/**
 * What everybody on this host may write of the path, the directories above it, and what links lead to; in order,
 * empty where nothing is. In a directory like /tmp nobody replaces the file of another. Throws unable(`disk`).
 */
export async function openToAll(path: string): Promise<string[]> {
  const real = await orNull(realpath(path), `find ${path}`);
  const open: string[] = [];
  for (const place of new Set([...upwards(path), ...(real === null ? [] : upwards(real))])) {
    const status = await orNull(stat(place), `look at ${place}`);
    if (status === null || (status.mode & 0o002) === 0) continue;
    if (!status.isDirectory() || (status.mode & STICKY) === 0) open.push(place);
  }
  return open;
}

function upwards(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [path] : [path, ...upwards(parent)];
}
