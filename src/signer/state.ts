/**
 * The signer's state directory (`signer/`, mode 0700): log key, signer token, journal, and what is kept of
 * each build, named as in the tree (protocol §3). What the journal says of a build is always kept here too:
 * a record is on the disk before the entry with its digest.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { unable, usage } from '../failure.ts';
import {
  diskFailure,
  errorCode,
  makeDirectory,
  readFileBounded,
  syncDirectory,
  writeFileDurably,
} from '../host/files.ts';
import { LineFile } from '../host/line-file.ts';
import { takeLock } from '../host/lock.ts';
import type { Lock } from '../host/lock.ts';
import { readSecret, requirePrivate } from '../host/secret.ts';
import type { Project } from '../policy/project.ts';
import { decodeToken, TOKEN_BYTES } from '../policy/token.ts';
import { LARGE_RECORD_MAX } from '../records/canonical.ts';
import { timestamp } from '../records/names.ts';
import type { BuildId, Sha256 } from '../records/names.ts';
import { sha256Hex } from '../records/sha256.ts';
import { generateNoteKey, parseSignerKey } from '../tlog/note.ts';
import { Journal } from './journal.ts';

export const LOG_KEY = 'log-key';
export const TOKEN = 'signer-token';
export const JOURNAL = 'journal';
const CHECKPOINT = 'checkpoint';
const LOCK = 'lock';
const BUILDS = 'builds';
/** What is being written, until it has its name. */
const SCRATCH = 'tmp';
const CHECKPOINT_MAX = 4096;

const SETTLED = 'settled';
/** What to do where there is none. */
const MISSING = 'countersign init makes it, on the signer';

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

/**
 * Opens and locks the directory. Throws usage (`state-missing`, `state-permissions`, `state-foreign` if its keys
 * are not those of the project file), unable (`locked`, `journal-damaged`, `disk`).
 */
export async function openState(directory: string, project: Project): Promise<SignerState> {
  await requirePrivate(directory, MISSING);
  const lock = await takeLock(join(directory, LOCK));
  try {
    const logKey = parseSignerKey(await readSecret(join(directory, LOG_KEY), MISSING));
    const token = decodeToken(await readSecret(join(directory, TOKEN), MISSING));
    if (logKey.verifier.text !== project.log.key.text || logKey.name !== project.log.origin)
      throw foreign(directory, 'log key');
    if (sha256Hex(token) !== project.signerTokenSha256) throw foreign(directory, 'signer token');
    const signed = await readFileBounded(join(directory, CHECKPOINT), CHECKPOINT_MAX);
    const journal = await Journal.open(join(directory, JOURNAL), logKey, signed);
    await clearScratch(join(directory, SCRATCH));
    return new SignerState({ journal, token, directory, lock });
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** The open directory. Whoever has it holds its lock: one signer at a time. */
export class SignerState {
  readonly journal: Journal;
  /** Secret: opens blobs in quarantine to the signer. */
  readonly token: Buffer;
  readonly #directory: string;
  readonly #lock: Lock;
  readonly #settled = new Set<BuildId>();

  constructor(parts: { journal: Journal; token: Buffer; directory: string; lock: Lock }) {
    this.journal = parts.journal;
    this.token = parts.token;
    this.#directory = parts.directory;
    this.#lock = parts.lock;
  }

  /** A file kept of a build; null if it isn't. Throws unable(`disk`). */
  read(build: BuildId, file: string): Promise<Buffer | null> {
    return readFileBounded(this.#path(build, file), LARGE_RECORD_MAX);
  }

  /** A file kept of a build whose digest the log has. Throws unable: `state-damaged` if it isn't that, `disk`. */
  async kept(build: BuildId, file: string, sha256: Sha256): Promise<Buffer> {
    const bytes = await this.read(build, file);
    if (bytes !== null && sha256Hex(bytes) === sha256) return bytes;
    const path = this.#path(build, file);
    throw unable(
      'state-damaged',
      `${path} is not the file that the log names`,
      'restore it: the depot has it too',
    );
  }

  /** Keeps a file of a build; it is on the disk when this returns. Throws unable(`disk`). */
  async write(build: BuildId, file: string, bytes: Buffer): Promise<void> {
    const path = this.#path(build, file);
    await makeDirectory(dirname(path), 0o700);
    await writeFileDurably(path, bytes, 0o600, join(this.#directory, SCRATCH));
  }

  /** Whether nothing is left to do for the build. Throws unable(`disk`). */
  async isSettled(build: BuildId): Promise<boolean> {
    if (!this.#settled.has(build) && (await this.read(build, SETTLED)) !== null) this.#settled.add(build);
    return this.#settled.has(build);
  }

  /** The depot has its release, and showed it when it was read back; or has its refusal. Throws unable(`disk`). */
  async settle(build: BuildId, now: Date): Promise<void> {
    await this.write(build, SETTLED, Buffer.from(`${timestamp(now)}\n`));
  }

  /**
   * The proof that the log has the entry at `index`, as `Journal.proof`. That it was signed is on the disk before
   * anybody sees it, so that a journal which has lost entries since is noticed. Throws unable(`disk`).
   */
  async prove(index: number, extra: Buffer | null): Promise<Buffer> {
    const [proof, checkpoint] = [this.journal.proof(index, extra), this.journal.checkpoint()];
    const path = join(this.#directory, CHECKPOINT);
    await writeFileDurably(path, Buffer.from(checkpoint), 0o600, join(this.#directory, SCRATCH));
    return proof;
  }

  /** Opens a file of lines of a build, made if it isn't there. Throws unable(`disk`). */
  async lines(build: BuildId, file: string): Promise<{ file: LineFile; lines: Buffer[] }> {
    const path = this.#path(build, file);
    await makeDirectory(dirname(path), 0o700);
    return LineFile.open(path);
  }

  /** Gives the lock back. */
  async close(): Promise<void> {
    await this.journal.close();
    await this.#lock.release();
  }

  #path(build: BuildId, file: string): string {
    return join(this.#directory, BUILDS, build, file);
  }
}

const foreign = (directory: string, what: string) =>
  usage(
    'state-foreign',
    `the ${what} in ${directory} is not the project file's`,
    'check --config and --state',
  );

/** Drops what a killed signer was writing: whoever holds the lock is the only one who writes here. */
async function clearScratch(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    throw diskFailure(error, `clear ${path}`);
  }
}
