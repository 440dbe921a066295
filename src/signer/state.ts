/**
 * The signer's state directory (`signer/`, mode 0700): log key, signer token, journal, and what is kept of
 * each build, named as in the tree (protocol §3). What the journal says of a build is always kept here too:
 * a record is on the disk before the entry with its digest.
 */
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { unable, usage } from '../failure.ts';
import { diskFailure, makeDirectory, readFileBounded, writeFileDurably } from '../host/files.ts';
import { LineFile } from '../host/line-file.ts';
import { takeLock } from '../host/lock.ts';
import type { Lock } from '../host/lock.ts';
import { readCredential, readSecret, requirePrivate } from '../host/secret.ts';
import { word } from '../host/shell.ts';
import { loggedApproval } from '../policy/logged.ts';
import type { Project } from '../policy/project.ts';
import { decodeToken } from '../policy/token.ts';
import type { Verified } from '../policy/verified.ts';
import type { Approval } from '../records/approval.ts';
import { LARGE_RECORD_MAX } from '../records/canonical.ts';
import { timestamp } from '../records/names.ts';
import type { BuildId, Sha256 } from '../records/names.ts';
import { approvalFile } from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import { openCheckpoint } from '../tlog/checkpoint.ts';
import { parseSignerKey } from '../tlog/note.ts';
import { Journal } from './journal.ts';
import type { Head } from './journal.ts';
import { Lost } from './lost.ts';

export const LOG_KEY = 'log-key';
export const TOKEN = 'signer-token';
export const JOURNAL = 'journal';
const CHECKPOINT = 'checkpoint';
const LOCK = 'lock';
export const BUILDS = 'builds';
/** What is being written, until it has its name. */
const SCRATCH = 'tmp';
/** Cosignatures and all. */
const CHECKPOINT_MAX = 64 * 1024;

const SETTLED = 'settled';
const CLOSED = 'closed';
/** What to do where there is none. */
const MISSING = 'countersign init makes it, on the signer';

/**
 * Opens and locks the directory. The log key may come from elsewhere: as the systemd credential `log-key`. Throws
 * usage (`state-missing`, `state-permissions`, `state-foreign` if its keys are not those of the project file),
 * unable (`locked`, `journal-damaged`, `disk`), refused(`log-behind`), unless it is to be recovered.
 */
export async function openState(
  directory: string,
  project: Project,
  { recover = false } = {},
): Promise<SignerState> {
  await requirePrivate(directory, MISSING);
  const lock = await takeLock(join(directory, LOCK));
  try {
    const logKey = parseSignerKey(
      (await readCredential(process.env, LOG_KEY)) ?? (await readSecret(join(directory, LOG_KEY), MISSING)),
    );
    const token = decodeToken(await readSecret(join(directory, TOKEN), MISSING));
    if (logKey.verifier.text !== project.log.key.text || logKey.name !== project.log.origin)
      throw foreign(directory, 'log key');
    if (sha256Hex(token) !== project.signerTokenSha256) throw foreign(directory, 'signer token');
    const head = await readHead(join(directory, CHECKPOINT), project);
    const journal = await Journal.open(join(directory, JOURNAL), logKey, head);
    // Whoever has a proof has seen more: to go on from here would be a second log under the same key.
    if (!recover && head && head.size > journal.size) {
      await journal.close();
      throw Lost.behind(`${head.size} entries of this log were signed here`, journal.size);
    }
    await clearScratch(join(directory, SCRATCH));
    return new SignerState({ journal, head, token, directory, lock });
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
  #head: Head | null;

  constructor(parts: { journal: Journal; head: Head | null; token: Buffer; directory: string; lock: Lock }) {
    this.journal = parts.journal;
    this.#head = parts.head;
    this.token = parts.token;
    this.#directory = parts.directory;
    this.#lock = parts.lock;
  }

  /** A file kept of a build; null if it isn't. Throws unable(`disk`). */
  read(build: BuildId, file: string): Promise<Buffer | null> {
    return readFileBounded(this.#path(build, file), LARGE_RECORD_MAX);
  }

  /** The approval that the log has bound a build to. Throws unable: `state-damaged` if what is kept isn't that, `disk`. */
  async approval(build: BuildId, sha256: Sha256): Promise<Verified<Approval>> {
    return loggedApproval(await this.kept(build, approvalFile, sha256), sha256);
  }

  /** A file kept of a build whose digest the log has. Throws unable: `state-damaged` if it isn't that, `disk`. */
  async kept(build: BuildId, file: string, sha256: Sha256): Promise<Buffer> {
    const bytes = await this.read(build, file);
    if (bytes !== null && sha256Hex(bytes) === sha256) return bytes;
    const path = this.#path(build, file);
    throw unable(
      'state-damaged',
      `${path} is not the file that the log names`,
      'countersign sign --recover takes it back from the depot',
    );
  }

  /** Keeps a file of a build; it is on the disk when this returns. Throws unable(`disk`). */
  async write(build: BuildId, file: string, bytes: Buffer): Promise<void> {
    const path = this.#path(build, file);
    await makeDirectory(dirname(path), 0o700);
    await writeFileDurably(path, bytes, 0o600, join(this.#directory, SCRATCH));
  }

  /** Drops a file of a build, if it is there. Throws unable(`disk`). */
  async remove(build: BuildId, file: string): Promise<void> {
    const path = this.#path(build, file);
    await rm(path, { force: true }).catch((error: unknown) => {
      throw diskFailure(error, `remove ${path}`);
    });
  }

  /** Whether nothing is left to do for the build. Throws unable(`disk`). */
  async isSettled(build: BuildId): Promise<boolean> {
    if (!this.#settled.has(build) && (await this.read(build, SETTLED)) !== null) this.#settled.add(build);
    return this.#settled.has(build);
  }

  /** The depot has its release, and showed it when it was read back; or has its refusal. Throws unable(`disk`). */
  async settle(build: BuildId, now: Date): Promise<void> {
    await this.write(build, SETTLED, Buffer.from(`${timestamp(now)}\n`));
    this.#settled.add(build);
  }

  /** What a build that can't go on has lost for good; null if it can. Throws unable(`disk`). */
  async lost(build: BuildId): Promise<string | null> {
    return (await this.read(build, CLOSED))?.toString() || null;
  }

  /** Closes a build that has `lost` something for good, or opens it again. Throws unable(`disk`). */
  async closeBuild(build: BuildId, lost: string | null): Promise<void> {
    if ((await this.lost(build)) !== lost) await this.write(build, CLOSED, Buffer.from(lost ?? ''));
  }

  /** The last checkpoint that anybody may have seen. */
  get head(): Head | null {
    return this.#head;
  }

  /**
   * Keeps a checkpoint, before anybody sees it: so a journal that has lost entries since is noticed. Throws
   * unable(`disk`).
   */
  async keepHead(head: Head): Promise<void> {
    const path = join(this.#directory, CHECKPOINT);
    await writeFileDurably(path, Buffer.from(head.note), 0o600, join(this.#directory, SCRATCH));
    this.#head = head;
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

/** The last signed checkpoint, as it was kept; null if there is none. Throws unable(`state-damaged`, `disk`). */
async function readHead(path: string, { log }: Project): Promise<Head | null> {
  const note = await readFileBounded(path, CHECKPOINT_MAX);
  if (note === null) return null;
  try {
    const { size, root } = openCheckpoint(note, log);
    return { size, root, note: note.toString() };
  } catch (cause) {
    throw unable(
      'state-damaged',
      `${path} is not what was signed last`,
      `the depot has it too: mv ${word(path)}{,.damaged}, then countersign sign --recover`,
      cause,
    );
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
