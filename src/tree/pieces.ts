/**
 * What is there of blobs whose upload was cut (protocol §4). A piece lies under `.tmp/` by build, holder and digest; it
 * belongs to whoever began it, survives a restart, and gets the blob's name only when all of it has been hashed.
 *
 * Two that write to one file at once would name what neither has hashed: so one process keeps the pieces of a tree, to
 * its end; another one goes without.
 */
import { constants } from 'node:fs';
import { lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure, unable } from '../failure.ts';
import { orNull, temporaryName } from '../host/files.ts';
import { takeLock } from '../host/lock.ts';
import type { Lock } from '../host/lock.ts';
import { isBuildId, isSha256 } from '../records/names.ts';
import type { BuildId } from '../records/names.ts';
import { sha256Hex } from '../records/sha256.ts';
import type { Inside } from './inside.ts';
import type { Naming } from './naming.ts';
import { removeOwn } from './own.ts';
import { DirectoryPiece } from './piece.ts';
import { DirectoryStage } from './stage.ts';
import type { Piece, PieceKey, PieceStatus, Pieces } from './tree.ts';

/** Whoever has this token. */
export const holderOf = (token: Buffer): string => sha256Hex(token).slice(0, 32);

/** The name of its file. */
export const pieceName = ({ build, holder, sha256 }: PieceKey): string => `${build}.${holder}.${sha256}`;

function parsePieceName(name: string): PieceKey | null {
  const [build = '', holder = '', sha256 = '', ...rest] = name.split('.');
  const known = isBuildId(build) && /^[0-9a-f]{32}$/.test(holder) && isSha256(sha256) && rest.length === 0;
  return known ? { build, holder, sha256 } : null;
}

/** Where another process keeps them. */
const ASK_AGAIN_MS = 1000;

/** Held to the end of the process. */
const locks: Lock[] = [];

export class DirectoryPieces implements Pieces {
  readonly #inside: Inside;
  readonly #naming: Naming;
  readonly #scratch: () => Promise<string>;
  #kept: Promise<boolean> | null = null;
  #asked = 0;

  /** `scratch` is where files lie that are not whole. */
  constructor(inside: Inside, naming: Naming, scratch: () => Promise<string>) {
    this.#inside = inside;
    this.#naming = naming;
    this.#scratch = scratch;
  }

  async kept(): Promise<boolean> {
    // the other process may have ended meanwhile; asking takes a process of its own
    const isOver =
      this.#kept === null || (!(await this.#kept) && performance.now() - this.#asked > ASK_AGAIN_MS);
    if (isOver) {
      this.#asked = performance.now();
      this.#kept = this.#lock();
    }
    return this.#kept ?? false;
  }

  async size(key: PieceKey): Promise<number> {
    const name = pieceName(key);
    const status = await orNull(lstat(join(await this.#scratch(), name)), `look at ${name}`);
    return status?.isFile() ? status.size : 0;
  }

  async list(build: BuildId | null): Promise<PieceStatus[]> {
    const scratch = await this.#scratch();
    const found: PieceStatus[] = [];
    for (const name of (await orNull(readdir(scratch), `list ${scratch}`)) ?? []) {
      const key = parsePieceName(name);
      if (key === null || (build !== null && key.build !== build)) continue;
      const status = await orNull(lstat(join(scratch, name)), `look at ${name}`);
      if (status?.isFile()) found.push({ ...key, size: status.size, written: status.mtime });
    }
    return found;
  }

  async open(key: PieceKey, fresh: boolean): Promise<Piece> {
    const scratch = await this.#scratch();
    const path = join(scratch, pieceName(key));
    const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
    try {
      if (fresh) await removeOwn(path);
      const file = await open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o644);
      const status = await file.stat();
      // with a second name it may be somebody's file: what is written here would be in it, too
      if (status.isFile() && status.nlink === 1 && status.uid === process.geteuid?.()) {
        const stage = new DirectoryStage(this.#inside, this.#naming, join(scratch, temporaryName()), file);
        return new DirectoryPiece(path, file, status.size, stage);
      }
      await file.close();
      if (!fresh) return await this.open(key, true);
    } catch (error) {
      throw await this.#inside.failure(error, `write ${path}`);
    }
    throw unable('disk', `${path} belongs to somebody else`, 'remove it');
  }

  async drop(key: PieceKey): Promise<void> {
    await removeOwn(join(await this.#scratch(), pieceName(key)));
  }

  async #lock(): Promise<boolean> {
    try {
      locks.push(await takeLock(join(await this.#scratch(), 'pieces')));
      return true;
    } catch (error) {
      if (error instanceof Failure && ['locked', 'lock-failed'].includes(error.code)) return false;
      this.#kept = null;
      throw error;
    }
  }
}
