/** Secrets in files: our own, and open to nobody else; or given to a service as a credential. An edge to the system. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { usage } from '../failure.ts';
import { readFileBounded } from './files.ts';
import { openToAll } from './permissions.ts';
import { word } from './shell.ts';

const SECRET_MAX = 4096;

/**
 * Whoever else could write a directory of secrets would choose what its keys sign. Throws usage: `state-missing`, with
 * the hint `missing`; `state-permissions` unless it is this user's alone and nobody can replace it.
 */
export async function requirePrivate(directory: string, missing: string): Promise<void> {
  await requireOurs(directory, missing);
  const open = openToAll(directory);
  if (open !== null)
    throw usage('state-permissions', `everybody on this host may write ${open}`, `chmod o-w ${word(open)}`);
}

/** The text of a file that is this user's alone. Throws usage as `requirePrivate`, unable(`disk`). */
export async function readSecret(path: string, missing: string): Promise<string> {
  await requireOurs(path, missing);
  return ((await readFileBounded(path, SECRET_MAX)) ?? Buffer.alloc(0)).toString('latin1').trimEnd();
}

/** The text of a credential that the service manager gave us; null if it gave none. Throws unable(`disk`). */
export async function readCredential(
  environment: Readonly<NodeJS.ProcessEnv>,
  name: string,
): Promise<string | null> {
  const directory = environment['CREDENTIALS_DIRECTORY'];
  const bytes = directory ? await readFileBounded(join(directory, name), SECRET_MAX) : null;
  return bytes?.toString('latin1').trimEnd() ?? null;
}

async function requireOurs(path: string, missing: string): Promise<void> {
  const status = await stat(path).catch((cause: unknown) => {
    throw usage('state-missing', `${path} can't be read`, missing, cause);
  });
  const mode = status.isDirectory() ? '0700' : '0600';
  if (status.uid !== process.geteuid?.())
    throw usage('state-permissions', `${path} belongs to another user`, 'run as that user, or chown it');
  if ((status.mode & 0o077) !== 0)
    throw usage('state-permissions', `${path} is open to other users`, `chmod ${mode} ${word(path)}`);
}
