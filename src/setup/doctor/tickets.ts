/** Tickets that lie about: each is the secret of a build. */
import { lstat, readdir } from 'node:fs/promises';
import type { Dirent } from 'node:fs';
import { dirname, join } from 'node:path';
import { errorCode, orNull } from '../../host/files.ts';
import { word } from '../../host/shell.ts';
import { ok, problem } from './finding.ts';
import type { Check, Finding } from './finding.ts';

/** Nobody has so many; a home directory may have more entries than anybody waits for. */
const LOOKED_INTO = 1_000;

export const checkTickets: Check = async ({ cwd, file }) => {
  const places = [...new Set([cwd, dirname(file)])];
  const directories = (await Promise.all(places.map(withSubdirectories))).flat();
  const paths = (await Promise.all([...new Set(directories)].map(ticketsIn))).flat();
  const findings = (await Promise.all(paths.map(open))).flat();
  if (findings.length > 0) return findings;
  return [ok('tickets', `none that others may read, in ${places.join(', ')} and one level below`)];
};

async function withSubdirectories(directory: string): Promise<string[]> {
  const below = (await entries(directory)).filter((entry) => entry.isDirectory());
  return [directory, ...below.slice(0, LOOKED_INTO).map(({ name }) => join(directory, name))];
}

const ticketsIn = async (directory: string): Promise<string[]> =>
  (await entries(directory))
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ticket'))
    .map(({ name }) => join(directory, name));

async function entries(directory: string): Promise<Dirent[]> {
  const listed = readdir(directory, { withFileTypes: true }).catch((error: unknown) => {
    // another user's
    if (['EACCES', 'EPERM'].includes(errorCode(error))) return [];
    throw error;
  });
  return (await orNull(listed, `list ${directory}`)) ?? [];
}

async function open(path: string): Promise<Finding[]> {
  const status = await orNull(lstat(path), `look at ${path}`);
  if (status === null || (status.mode & 0o077) === 0) return [];
  return [problem('tickets', `other users may read the ticket ${path}`, `chmod 600 ${word(path)}`)];
}
