/**
 * The depot as everybody sees it. Protocol §3.
 *
 * `Tree` is the raw store: write-once files under tree paths, no questions asked. `Depot` is what roles use: a
 * tree behind the gate, in this process (`GatedDepot`) or behind HTTP (`HttpDepot`).
 */
import type { Readable } from 'node:stream';
import type { HttpRequest, HttpTiming } from '../host/http.ts';
import type { View } from '../policy/view.ts';
import type { BuildId, ProjectName, Sha256, Version } from '../records/names.ts';

/** `new`: written now. `same`: these very bytes were there. Other bytes throw refused('conflict'). */
export type Written = 'new' | 'same';

/** First and last byte, both included. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** An open file. Whoever gets it reads the stream to its end or destroys it. */
export interface OpenFile {
  /** Of the whole file, whatever the range. */
  readonly size: number;
  readonly stream: Readable;
}

/** What is known of a file without its bytes. */
export interface FileStatus {
  readonly size: number;
  /** When it was last written to. */
  readonly modified: Date;
}

/** Of a tree in this process: can be read without a stream, too, which is less work. */
export interface LocalFile extends OpenFile, FileStatus {
  /** Instead of `stream`, once: all of it, or a range. Each chunk is good until the next is asked for. */
  chunks(range?: ByteRange): AsyncIterable<Buffer>;
}

/** Takes bytes that are good only until it returns. */
export type Update = (chunk: Buffer) => void;

/** Where a file lies, as plain data: for another thread of this program (place.ts). */
export type Place = { readonly directory: string; readonly path: string } | RemotePlace;

/** As `HttpClient.scan` has it. */
export interface RemotePlace {
  readonly url: string;
  readonly insecureHttp: boolean;
  readonly timing: Partial<HttpTiming>;
  readonly request: HttpRequest;
}

/**
 * Write-once files. Paths are tree paths (refused('path-malformed') otherwise); what is not a regular file in a
 * plain directory is not there. Durable when a write returns. Throws unable('disk', …) on faults.
 */
export interface Tree extends View {
  /** Where it is: another thread opens it by that. */
  readonly directory: string;
  /** The names directly in the directory; empty where there is none. */
  list(directory: string): Promise<string[]>;
  /** Null if it is not there; unable('too-large') over `maxBytes`, which is any record's unless said. */
  read(path: string, maxBytes?: number): Promise<Buffer | null>;
  /** Null if it is not there. */
  open(path: string): Promise<LocalFile | null>;
  /** Null if it is not there. */
  status(path: string): Promise<FileStatus | null>;
  /** As `Depot.scan`. */
  scan(path: string, size: number, update: Update): Promise<number | null>;
  write(path: string, bytes: Buffer): Promise<Written>;
  /**
   * Many small files, each as by `write`, in no order among them; durable together when it returns. Throws what one of
   * them meets: then some may be there.
   */
  writeAll(files: readonly (readonly [path: string, bytes: Buffer])[]): Promise<Written[]>;
  /** A file that is written in pieces and has no name until it is complete. */
  stage(): Promise<Stage>;
  /** What is there of blobs whose upload was cut. */
  readonly pieces: Pieces;
  /** A directory that becomes visible whole, as `path`. */
  assemble(path: string): Promise<Assembly>;
  /**
   * The one exception to write-once, for the log: does `work`, which may put other bytes in the place of a file, while
   * nobody else does, in whatever process. Throws unable(`locked`) if another takes too long.
   */
  replacing<T>(work: (replace: Replace) => Promise<T>): Promise<T>;
  /** Takes away what was left half-way a day ago. Says how much. */
  sweep(): Promise<Tally>;
  /** Takes away what nobody needs any more, a directory with all in it and at once; what is not there stays so. */
  remove(path: string): Promise<void>;
  /** Null where the store has no bounds. */
  room(): Promise<Room | null>;
  /** At most `limit` builds after `after`, ascending. */
  builds(after: BuildId | null, limit: number): Promise<BuildId[]>;
  /** Those of the first `limit` builds after `after` that hold a revocation, and where to go on; null at the end. */
  revoked(after: BuildId | null, limit: number): Promise<Page>;
}

/** So many files, so large together. */
export interface Tally {
  readonly files: number;
  readonly bytes: number;
}

/** What is free where a tree lies, for whoever runs this, and of how much. */
export interface Room {
  readonly bytes: number;
  readonly ofBytes: number;
  /** Null where there is no bound to them. */
  readonly files: number | null;
  readonly ofFiles: number | null;
}

/** Some builds, ascending. */
export interface Page {
  readonly builds: BuildId[];
  /** What to ask for next, null at the end. */
  readonly next: BuildId | null;
}

/** What a depot tells of itself: a hint, which anything may be missing from. */
export interface Changed {
  /** Where it stands now: what comes after that is asked for next time. */
  readonly cursor: string;
  /** Those that have changed since it was asked, in no order; null for any. */
  readonly builds: readonly BuildId[] | null;
}

/** Whoever reads finds what was there or what comes, whole. Durable when it returns. */
export type Replace = (path: string, bytes: Buffer) => Promise<void>;

/** Ends with `commit` or `discard`; `discard` after `commit` does nothing. */
export interface Stage {
  /** What `chunks` hold, one after the other. */
  write(...chunks: Buffer[]): Promise<void>;
  commit(path: string): Promise<Written>;
  discard(): Promise<void>;
}

/** A piece is what is there of a blob whose upload was cut: of one build, and of whoever began to send it. */
export interface PieceKey {
  readonly build: BuildId;
  readonly holder: string;
  readonly sha256: Sha256;
}

export interface PieceStatus extends PieceKey {
  readonly size: number;
  /** When it was last written to. */
  readonly written: Date;
}

/** Pieces survive a restart, and are in no other list. Throws unable('disk'). */
export interface Pieces {
  /** Whether this process keeps them: two that write to one file would name what neither has hashed. */
  kept(): Promise<boolean>;
  /** How much is there of one. */
  size(key: PieceKey): Promise<number>;
  /** Of one build, or of all. */
  list(build: BuildId | null): Promise<PieceStatus[]>;
  /** To go on with what is there, or afresh. Nobody else may have it open. */
  open(key: PieceKey, fresh: boolean): Promise<Piece>;
  drop(key: PieceKey): Promise<void>;
}

/** A stage that goes on behind what is there; `write` appends. Ends with `leave`, too. */
export interface Piece extends Stage {
  /** How many bytes were there when it was opened. */
  readonly size: number;
  /** All that is there now. Each chunk is good until the next. */
  read(): AsyncIterable<Buffer>;
  /** Leaves what is there. Returns how much that is; null, and nothing, after `commit` or `discard`. */
  leave(): Promise<number | null>;
}

/** As `Stage`, of a directory. Names are relative to it. */
export interface Assembly {
  /** The file at tree path `from`, without a copy where the store can. Throws unable('missing') if it is gone. */
  link(from: string, name: string): Promise<void>;
  write(name: string, bytes: Buffer): Promise<void>;
  /** Makes all of it visible at once. False if something is there already: then nothing changed. */
  commit(): Promise<boolean>;
  discard(): Promise<void>;
}

/** A blob as a statement names it. */
export interface BlobRef {
  readonly sha256: Sha256;
  readonly size: number;
}

export interface Blob {
  readonly sha256: Sha256;
  readonly bytes: Buffer;
}

/** A file of a release as it should be. */
export interface FileRef {
  readonly name: string;
  readonly size: number;
}

/** What travels together in one request: small files, many at a time. */
export const BATCH = { fileBytes: 256 * 1024, bytes: 4 * 1024 * 1024, files: 1000 } as const;

/** From this size on `putBlob` asks first what the depot has, to go on where it was cut. */
export const RESUMED = 1024 * 1024;

/** How many bytes of entries a signer sends of its log at a time: what a depot takes without a token, with room to spare. */
export const LOG_BATCH = 512 * 1024;

/** What a log needs of a tree. */
export type LogStore = Pick<Tree, 'read' | 'write' | 'replacing' | 'remove'>;

/** The log, from `from` on to the size of a checkpoint. */
export interface LogPush {
  /** The signed note. */
  readonly checkpoint: Buffer;
  readonly from: number;
  /** The exact bytes of each entry; the same each time it is called. */
  readonly entries: () => Iterable<Buffer> | AsyncIterable<Buffer>;
}

/**
 * A tree behind the gate. Throws refused (the gate said no; its code), unable('network' | 'disk' | …).
 * Every write may be repeated: what is there already is no error.
 */
export interface Depot {
  /** Null if it is not there; unable('too-large') if it is over `maxBytes`. */
  read(path: string, maxBytes: number): Promise<Buffer | null>;
  open(path: string): Promise<OpenFile | null>;
  /**
   * Pushes the bytes of a file of `size` to `update`, faster than a stream. Returns how many it has, or had by its end: if
   * that is another number, it is not the file, and what was pushed is nothing. Null if it is not there.
   */
  scan(path: string, size: number, update: Update): Promise<number | null>;
  /** Where another thread can scan it; null if it is not there. */
  place(path: string): Promise<Place | null>;
  /** Without the bytes; null if it is not there. */
  size(path: string): Promise<number | null>;
  builds(after: BuildId | null): Promise<Page>;
  /** Those that somebody has laid a revocation into: a hint. A page may be empty and not the last. */
  revoked(after: BuildId | null): Promise<Page>;
  /**
   * What has changed since `after`: answers when something has, or else within half a minute; without `after` at once, with
   * none. Ends with `signal`. Null of a depot that tells nothing. Throws unable, refused.
   */
  changes(after: string | null, signal: AbortSignal): Promise<Changed | null>;
  /** Records and their authenticators, judged whole. Paths are below `builds/<build>/`. */
  submit(build: BuildId, files: ReadonlyMap<string, Buffer>): Promise<Written>;
  hasBlob(build: BuildId, sha256: Sha256): Promise<boolean>;
  /**
   * `source`, all of it, is asked for at each attempt, and told how much of it the depot has. Throws
   * refused('blob-mismatch') if it is not that size and digest.
   */
  putBlob(build: BuildId, sha256: Sha256, size: number, source: (had?: number) => Readable): Promise<Written>;
  /** Small ones, of at most `BATCH.fileBytes`. */
  putBlobs(build: BuildId, files: Iterable<Blob>): Promise<void>;
  /** Small ones, in the order asked for, with the size asked for; their digests are the caller's to check. */
  fetchBlobs(build: BuildId, blobs: readonly BlobRef[]): AsyncIterable<Blob>;
  /** `name` is the artifact's with `.asc`. */
  putSignatures(
    build: BuildId,
    files: Iterable<{ readonly name: string; readonly bytes: Buffer }>,
  ): Promise<void>;
  /** Goes on with the log, or adds cosignatures to its checkpoint. Throws refused('log-conflict') if it doesn't go on from what is there. */
  pushLog(push: LogPush): Promise<Written>;
  /** Returns once the release is visible. */
  publish(build: BuildId): Promise<void>;
  /**
   * Small files of a published release, at most a `BATCH`, in the order asked for, with the size asked for; what is in
   * them is the caller's to check. Throws refused if one is not there so.
   */
  fetchReleased(project: ProjectName, version: Version, files: readonly FileRef[]): Promise<Buffer[]>;
  /** The size of each of these files of a published release, at most a `BATCH`; null where there is none. */
  releasedSizes(project: ProjectName, version: Version, names: readonly string[]): Promise<(number | null)[]>;
  close(): void;
}
