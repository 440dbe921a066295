/**
 * A tree in a directory. Protocol §3.
 *
 * A file lies under `.tmp/` until it is whole and on the disk; then link(2), which never replaces, gives it its
 * name; where there are no hard links (a USB stick), `naming.ts` does.
 */
import { constants } from 'node:fs';
import { lstat, open, readdir, rename, stat, statfs } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { refused, unable } from '../failure.ts';
import { now } from '../host/clock.ts';
import { scanHandle } from '../host/file-scan.ts';
import { errorCode, isTemporaryName, makeDirectory, orNull } from '../host/files.ts';
import { readFileNow, readHandle, temporaryName, writeFileDurably } from '../host/files.ts';
import { takeLock } from '../host/lock.ts';
import type { Lock } from '../host/lock.ts';
import { readAhead } from '../host/read-ahead.ts';
import { ENVELOPE_MAX } from '../records/dsse.ts';
import type { BuildId } from '../records/names.ts';
import { approvalFile, buildPath, isTreePath } from '../records/paths.ts';
import { DirectoryAssembly } from './assembly.ts';
import { DirectoryBatch } from './batch.ts';
import { BuildList } from './build-list.ts';
import { Inside } from './inside.ts';
import { Naming } from './naming.ts';
import { removeOwn, requireOwn } from './own.ts';
import { inParallel } from './parallel.ts';
import { DirectoryPieces } from './pieces.ts';
import { DirectoryStage } from './stage.ts';
import type { Assembly, ByteRange, FileStatus, LocalFile, Page, Pieces, Replace } from './tree.ts';
import type { Room, Stage, Tally, Tree, Update, Written } from './tree.ts';

const TEMPORARY = '.tmp';
const NOTHING: Tally = { files: 0, bytes: 0 };
const ABANDONED_MS = 24 * 3600 * 1000;
/** How long another process may take to replace what it does. */
const REPLACING_SECONDS = 30;
/** How long the other of server and repair may take to end. */
const REPAIR_SECONDS = 2;
// 2 GiB take two thirds of the work that Node's 64 KiB take; larger ones leave the processor's cache
const CHUNK = 512 * 1024;
// readers that stop reading hold two each, so the more there are the smaller they are
const CHUNKS_TOGETHER = 12 * 1024 * 1024;
const SMALL_CHUNK = 8 * 1024;
/** The next one gets so large a part of what is left. */
const READERS = 24;
const LOOKS = 16;
/** How many files of a batch are open. */
const WRITERS = 8;

export class DirectoryTree implements Tree {
  readonly #inside: Inside;
  readonly #naming = new Naming();
  readonly #builds: BuildList;
  /** Builds that were looked into before: what has begun stays. */
  readonly #begun = new Set<string>();
  readonly pieces: Pieces;
  /** Bytes of a chunk of each file that is open. */
  #chunks = 0;
  #temporary: Promise<string> | null = null;
  /** Of what was left half-way, since it was last asked for. */
  #dropped = NOTHING;

  private constructor(inside: Inside) {
    this.#inside = inside;
    this.#builds = new BuildList(inside);
    this.pieces = new DirectoryPieces(inside, this.#naming, async () => dirname(await this.#temporaryFile()));
  }

  get directory(): string {
    return this.#inside.root;
  }

  /** Opens the directory; writes nothing. Throws unable: `no-depot` if it is not there, `disk`. */
  static async open(directory: string): Promise<DirectoryTree> {
    const status = await orNull(stat(directory), `look at ${directory}`);
    if (status?.isDirectory() !== true)
      throw unable('no-depot', `there is no directory ${directory}`, 'is it mounted? is the path right?');
    return new DirectoryTree(await Inside.of(directory));
  }

  /** As `open`, and makes the directory if it is not there. Throws usage(`depot-shared`), too. */
  static async make(directory: string): Promise<DirectoryTree> {
    await makeDirectory(directory, 0o755);
    const tree = await DirectoryTree.open(directory);
    await tree.requireOwn();
    return tree;
  }

  /** What the first write does anyway. Throws usage(`depot-shared`), unable: `no-depot`, `disk`. */
  async requireOwn(): Promise<void> {
    try {
      await requireOwn(await this.#inside.makeDirectory('.'));
    } catch (error) {
      throw await this.#inside.failure(error, 'look who may write there');
    }
  }

  async read(path: string, maxBytes = ENVELOPE_MAX): Promise<Buffer | null> {
    const file = await this.#open(path);
    return file && readHandle(file.handle, path, maxBytes);
  }

  /**
   * As `read`, before anything else is done: for a thread that has nothing else to do. Null also where there is no
   * depot any more, which `read` says.
   */
  readNow(path: string, maxBytes = ENVELOPE_MAX): Buffer | null {
    const place = this.#inside.locateNow(path);
    return place === null ? null : readFileNow(place, maxBytes);
  }

  async open(path: string): Promise<LocalFile | null> {
    const file = await this.#open(path);
    if (!file) return null;
    const { handle, size, modified } = file;
    const whole = { start: 0, end: Math.max(size - 1, 0) };
    const left = CHUNKS_TOGETHER - this.#chunks;
    const chunk = Math.max(1, Math.min(size, CHUNK, Math.max(SMALL_CHUNK, Math.floor(left / READERS))));
    const stream = handle.createReadStream({ ...whole, highWaterMark: chunk });
    this.#chunks += chunk;
    stream.once('close', () => {
      this.#chunks -= chunk;
    });
    async function* chunks(range: ByteRange = whole): AsyncGenerator<Buffer> {
      try {
        yield* readAhead(handle, range, chunk);
      } finally {
        stream.destroy();
      }
    }
    return { size, modified, stream, chunks };
  }

  async scan(path: string, size: number, update: Update): Promise<number | null> {
    const file = await this.#open(path);
    if (!file) return null;
    if (file.size === size) return scanHandle(file.handle, size, update);
    await file.handle.close();
    return file.size;
  }

  async size(path: string): Promise<number | null> {
    return (await this.status(path))?.size ?? null;
  }

  async status(path: string): Promise<FileStatus | null> {
    const place = await this.#inside.locate(path);
    const status = place === null ? null : await orNull(lstat(place), `look at ${place}`);
    return status?.isFile() ? { size: status.size, modified: status.mtime } : null;
  }

  async list(directory: string): Promise<string[]> {
    if (!isTreePath(directory)) throw refused('path-malformed', `not a path of a depot: ${directory}`);
    const place = await this.#inside.directory(directory);
    const entries =
      place === null ? null : await orNull(readdir(place, { withFileTypes: true }), `list ${place}`);
    return (entries ?? [])
      .filter((entry) => isTreePath(entry.name) && (entry.isFile() || entry.isDirectory()))
      .map((entry) => entry.name)
      .sort();
  }

  async builds(after: BuildId | null, limit: number): Promise<BuildId[]> {
    const all = await this.#builds.after(after);
    const begun: BuildId[] = [];
    for (let at = 0; at < all.length && begun.length < limit; at += limit) {
      const some = all.slice(at, at + limit);
      await inParallel(some, LOOKS, (build) => this.#lookInto(build));
      begun.push(...some.filter((build) => this.#begun.has(build)));
    }
    return begun.slice(0, limit);
  }

  async revoked(after: BuildId | null, limit: number): Promise<Page> {
    const all = await this.#builds.after(after);
    const page = all.slice(0, limit);
    const place = await this.#inside.directory('builds');
    const found = new Set<BuildId>();
    await inParallel(place === null ? [] : page, LOOKS, async (build) => {
      const directory = join(place ?? '', build, 'revocations');
      if ((await orNull(lstat(directory), `look at ${directory}`))?.isDirectory()) found.add(build);
    });
    const next = all.length > limit ? (page.at(-1) ?? null) : null;
    return { builds: page.filter((build) => found.has(build)), next };
  }

  async write(path: string, bytes: Buffer): Promise<Written> {
    const batch = await this.#batch();
    const written = await batch.write(path, bytes);
    await batch.sync();
    return written;
  }

  async writeAll(files: readonly (readonly [path: string, bytes: Buffer])[]): Promise<Written[]> {
    const batch = await this.#batch();
    const written: Written[] = [];
    await inParallel(files.entries(), WRITERS, async ([at, [path, bytes]]) => {
      written[at] = await batch.write(path, bytes);
    });
    await batch.sync();
    return written;
  }

  async #batch(): Promise<DirectoryBatch> {
    const scratch = dirname(await this.#temporaryFile());
    return new DirectoryBatch(this.#inside, this.#naming, scratch);
  }

  async replacing<T>(work: (replace: Replace) => Promise<T>): Promise<T> {
    const scratch = dirname(await this.#temporaryFile());
    const lock = await takeLock(join(scratch, 'replacing'), REPLACING_SECONDS);
    try {
      return await work(async (path, bytes) =>
        writeFileDurably(await this.#inside.makeRoom(path), bytes, 0o644, scratch),
      );
    } finally {
      await lock.release();
    }
  }

  /** Held by all who serve the tree, or by one who mends it. Throws as `takeLock`. */
  async lockRepair(who: 'serve' | 'mend'): Promise<Lock> {
    const path = join(dirname(await this.#temporaryFile()), 'repair');
    return takeLock(path, REPAIR_SECONDS, who === 'serve');
  }

  async remove(path: string): Promise<void> {
    const place = await this.#inside.locate(path);
    const status = place === null ? null : await orNull(lstat(place), `look at ${place}`);
    if (place === null || status === null) return;
    if (!status.isDirectory() || status.uid !== process.geteuid?.()) return removeOwn(place);
    // whoever looks finds all of it or nothing; what a crash leaves then goes with what else is left half-way
    const aside = await this.#temporaryFile();
    try {
      await rename(place, aside);
      await this.#inside.sync(dirname(place));
    } catch (error) {
      throw await this.#inside.failure(error, `remove ${place}`);
    }
    this.#begun.delete(path.slice('builds/'.length));
    await removeOwn(aside);
  }

  async room(): Promise<Room | null> {
    const root = this.#inside.root;
    const free = await orNull(statfs(root), `look how full ${root} is`);
    if (free === null) return null;
    const { bsize, bavail, blocks, ffree, files } = free;
    // some file systems make inodes as they need them, and count none
    const counted = files > 0 ? { files: ffree, ofFiles: files } : { files: null, ofFiles: null };
    return { bytes: bavail * bsize, ofBytes: blocks * bsize, ...counted };
  }

  async stage(): Promise<Stage> {
    return DirectoryStage.open(this.#inside, this.#naming, await this.#temporaryFile());
  }

  async assemble(path: string): Promise<Assembly> {
    return DirectoryAssembly.open(this.#inside, await this.#temporaryFile(), path);
  }

  /** A place for what is not whole yet. The first time what a crash left half-written is dropped. */
  async sweep(): Promise<Tally> {
    try {
      // before the first write nothing is left, or it is looked for then
      if (this.#temporary) await this.#dropAbandoned(await this.#temporary);
      return this.#dropped;
    } catch (error) {
      throw await this.#inside.failure(error, `look into ${TEMPORARY}`);
    } finally {
      this.#dropped = NOTHING;
    }
  }

  async #temporaryFile(): Promise<string> {
    this.#temporary ??= this.#openTemporary();
    return join(await this.#temporary, temporaryName());
  }

  async #openTemporary(): Promise<string> {
    try {
      await this.requireOwn();
      const temporary = await this.#inside.makeDirectory(TEMPORARY);
      await this.#dropAbandoned(temporary);
      return temporary;
    } catch (error) {
      this.#temporary = null;
      throw await this.#inside.failure(error, `write ${TEMPORARY}`);
    }
  }

  /** What a crash leaves in the middle of an approval has not begun: nothing, or a signature without its record. */
  async #lookInto(build: BuildId): Promise<void> {
    if (this.#begun.has(build)) return;
    const names = await this.list(buildPath(build));
    if (names.some((name) => !name.startsWith(`${approvalFile}.`))) this.#begun.add(build);
  }

  /** A regular file that no link led to, open; null for anything else. */
  async #open(path: string): Promise<({ readonly handle: FileHandle } & FileStatus) | null> {
    const place = await this.#inside.locate(path);
    if (!place) return null;
    // O_NONBLOCK: opening a FIFO would wait for its writer
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const opening = open(place, flags).catch((error: unknown) => {
      if (errorCode(error) === 'ENXIO') return null; // a socket
      throw error;
    });
    const handle = await orNull(opening, `open ${place}`);
    if (!handle) return null;
    const status = await handle.stat();
    if (status.isFile()) return { handle, size: status.size, modified: status.mtime };
    await handle.close();
    return null;
  }

  async #dropAbandoned(temporary: string): Promise<void> {
    for (const name of await readdir(temporary)) {
      if (!isTemporaryName(name)) continue;
      const path = join(temporary, name);
      const status = await orNull(lstat(path), `look at ${path}`);
      if (!status || now().getTime() - status.mtimeMs <= ABANDONED_MS) continue;
      await removeOwn(path);
      const { files, bytes } = this.#dropped;
      this.#dropped = { files: files + 1, bytes: bytes + status.size };
    }
  }
}
