/** A new state directory for a signer, with keys of its own. */
import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { usage } from '../failure.ts';
import { diskFailure, errorCode, makeDirectory, syncDirectory, writeFileDurably } from '../host/files.ts';
import { TOKEN_BYTES } from '../policy/token.ts';
import type { Sha256 } from '../records/names.ts';
import { sha256Hex } from '../records/sha256.ts';
import { generateNoteKey } from '../tlog/note.ts';
import { BUILDS, LOG_KEY, TOKEN } from './state.ts';

/** The public halves of a new state directory, for the project file. */
export interface NewState {
  /** The log's verifier key (C2SP signed-note). */
  readonly logKey: string;
  readonly tokenSha256: Sha256;
}

/**
 * Makes the directory with a new log key, whose log is named `origin`, and a new signer token; all of it is
 * kept out of git. Throws usage(`state-exists`) if it is there, unable(`disk`).
 */
export async function createState(directory: string, origin: string): Promise<NewState> {
  await mkdir(directory, { mode: 0o700 }).catch((cause: unknown) => {
    if (errorCode(cause) !== 'EEXIST') throw diskFailure(cause, `make ${directory}`);
    throw usage(
      'state-exists',
      `${directory} is there already`,
      'it holds keys: keep it, or name another',
      cause,
    );
  });
  try {
    return await fillState(directory, origin);
  } catch (error) {
    await removeState(directory);
    throw error;
  }
}

async function fillState(directory: string, origin: string): Promise<NewState> {
  const logKey = generateNoteKey(origin);
  const token = randomBytes(TOKEN_BYTES);
  await writeFileDurably(join(directory, '.gitignore'), Buffer.from('*\n'), 0o600);
  await writeFileDurably(join(directory, TOKEN), Buffer.from(`${token.toString('base64url')}\n`), 0o600);
  await writeFileDurably(join(directory, LOG_KEY), Buffer.from(`${logKey.signer}\n`), 0o600);
  await makeDirectory(join(directory, BUILDS), 0o700);
  await syncDirectory(dirname(directory));
  return { logKey: logKey.verifier, tokenSha256: sha256Hex(token) };
}

/** Takes a new directory away again whose keys nobody has seen. What can't be removed stays: why it goes is said. */
export async function removeState(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true }).catch(() => {});
}
