/** One build on its way from one depot into another: what was carried, and what was in the way. */
import { refused } from '../../failure.ts';
import type { Failure } from '../../failure.ts';
import type { Project } from '../../policy/project.ts';
import type { BuildId } from '../../records/names.ts';
import { buildPath } from '../../records/paths.ts';
import type { Depot } from '../tree.ts';

/** The depot that is read. Nothing of it is believed: the gate of the other one judges every write. */
export interface Sender {
  readonly depot: Depot;
  /** Whether it shows us artifacts that are not published. */
  readonly quarantine: boolean;
}

/**
 * - `carried`: the other depot has all that was there, some of it since now
 * - `same`: it had it before, or more
 * - `left`: some of it can't travel this way; nobody did wrong
 * - `refused`: the gate says no, or it is not whole; tried again every time
 * - `unfinished`: network, disk; tried again
 */
export type SyncState = 'carried' | 'same' | 'left' | 'refused' | 'unfinished';

export interface SyncResult {
  readonly build: BuildId;
  readonly state: SyncState;
  /** Stable, kebab-case; null where all is well. */
  readonly code: string | null;
  /** One line for a person; may quote foreign text, which the terminal escapes. */
  readonly text: string;
  readonly hint: string;
  /** What was carried. */
  readonly files: number;
  readonly bytes: number;
}

export interface PassageOptions {
  readonly project: Project;
  readonly build: BuildId;
  /** Whether the sender says that somebody has taken it back. */
  readonly revoked: boolean;
  readonly from: Sender;
  readonly to: Depot;
  readonly now: () => Date;
  /** Bytes of artifacts, many times a second. */
  readonly progress: (done: number, total: number) => void;
}

export class Passage {
  readonly project: Project;
  readonly build: BuildId;
  readonly revoked: boolean;
  readonly from: Sender;
  readonly to: Depot;
  readonly now: () => Date;
  readonly progress: PassageOptions['progress'];
  /** What became visible by it: `hello 1.0`. */
  published: string | null = null;
  #files = 0;
  #bytes = 0;
  #left: Failure | null = null;
  readonly #problems: Failure[] = [];

  constructor({ project, build, revoked, from, to, now, progress }: PassageOptions) {
    this.project = project;
    this.build = build;
    this.revoked = revoked;
    this.from = from;
    this.to = to;
    this.now = now;
    this.progress = progress;
  }

  /** A file of the build where it comes from; null if it is not there. Throws unable. */
  take(file: string, maxBytes: number): Promise<Buffer | null> {
    return this.from.depot.read(buildPath(this.build, file), maxBytes);
  }

  /** As `take`; throws refused('incomplete') if it is not there. */
  async need(file: string, maxBytes: number): Promise<Buffer> {
    const bytes = await this.take(file, maxBytes);
    if (bytes) return bytes;
    throw refused('incomplete', `it has no ${file} there`, 'copy it again, then run this again');
  }

  /** Whether the other depot has a file of this name. */
  async isThere(file: string): Promise<boolean> {
    return (await this.to.size(buildPath(this.build, file))) !== null;
  }

  /** Whether the other depot has these very bytes; null if it has none. */
  async compare(file: string, bytes: Buffer): Promise<'same' | 'other' | null> {
    const path = buildPath(this.build, file);
    const size = await this.to.size(path);
    if (size === null) return null;
    return size === bytes.length && (await this.to.read(path, size))?.equals(bytes) === true
      ? 'same'
      : 'other';
  }

  /** Records and authenticators, as one write. Throws refused (what the gate says), unable. */
  async submit(files: ReadonlyMap<string, Buffer>): Promise<void> {
    if (files.size === 0 || (await this.to.submit(this.build, files)) === 'same') return;
    for (const bytes of files.values()) this.count(bytes.length);
  }

  /** A file has been carried. */
  count(bytes: number): void {
    this.#files += 1;
    this.#bytes += bytes;
  }

  /** Something of the build is not good; the rest goes on. */
  spoil(problem: Failure): void {
    // each approver's signature may be refused for what the approval is
    if (this.#problems.every(({ message }) => message !== problem.message)) this.#problems.push(problem);
  }

  /** Something of the build can't travel this way. */
  leave(code: string, text: string, hint = ''): void {
    this.#left ??= refused(code, text, hint);
  }

  /** How it ended; `failure` is what ended it early. */
  result(failure: Failure | null = null): SyncResult {
    // larger than any such file may be: that is not the disk's fault
    if (failure?.kind === 'refused' || failure?.code === 'too-large') this.spoil(failure);
    const [first, ...others] = this.#problems;
    // of a depot that is gone everything is missing
    const [state, reason]: [SyncState, Failure | null] =
      first !== undefined && failure?.code !== 'no-depot'
        ? ['refused', first]
        : failure !== null
          ? ['unfinished', failure]
          : this.#left !== null
            ? ['left', this.#left]
            : [this.#files > 0 || this.published !== null ? 'carried' : 'same', null];
    const more = reason === first && others.length > 0 ? ` (and ${others.length} more)` : '';
    return {
      build: this.build,
      state,
      code: reason?.code ?? null,
      text: reason === null ? (this.published ?? '') : `${reason.message}${more}`,
      hint: reason?.hint ?? '',
      files: this.#files,
      bytes: this.#bytes,
    };
  }
}
