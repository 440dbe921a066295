/** Room on the disk: for bytes, and for files. */
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { orNull } from '../../host/files.ts';
import { ok, problem, warning } from './finding.ts';
import type { Check, Finding, Host } from './finding.ts';

const MIB = 1024 * 1024;
/** Below the first it is bound to fail soon, below the second somebody should look. */
const BYTES = [16 * MIB, 256 * MIB] as const;
const FILES = [100, 10_000] as const;

/** Where each role writes. */
export const checkSpace: Check = async (host) => {
  const places = written(host);
  const findings = (await Promise.all(places.map(room))).flat();
  if (findings.length > 0 || places.length === 0) return findings;
  return [ok('space', `room in ${places.join(', ')}`)];
};

function written({ role, state, data, cwd }: Host): string[] {
  if (role === 'signer') return [state];
  if (role === 'depot') return data === null ? [] : [data];
  return [cwd];
}

/** What is short in the file system of a directory, or of the one that it would be made in. Throws unable(`disk`). */
export async function room(directory: string): Promise<Finding[]> {
  const status = await orNull(statfs(directory), `look at ${directory}`);
  if (status === null) return dirname(directory) === directory ? [] : room(dirname(directory));
  const { bavail, bsize, ffree, files } = status;
  const cure = 'df -h and df -i show which file system is full: remove something, or make it larger';
  const short = (left: number, [least, few]: readonly [number, number], text: string): Finding[] => {
    if (left >= few) return [];
    return [(left < least ? problem : warning)('space', `${directory}: ${text} left`, cure)];
  };
  return [
    ...short(bavail * bsize, BYTES, `${Math.floor((bavail * bsize) / MIB)} MiB`),
    // some file systems have no fixed number of files
    ...(files === 0 ? [] : short(ffree, FILES, `room for ${ffree} files`)),
  ];
}
