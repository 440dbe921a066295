/**
 * The signer's log, as a file: one canonical entry a line, each on the disk before the next act (§1 rule 4),
 * and over them the tree of protocol §7.
 */
import { refused, unable } from '../failure.ts';
import { ClockFault } from '../host/clock.ts';
import { LineFile } from '../host/line-file.ts';
import { word } from '../host/shell.ts';
import { encodeLogEntry, LOG_ENTRY_MAX, parseLogEntry } from '../records/log-entry.ts';
import type { LogEntry } from '../records/log-entry.ts';
import type { Timestamp } from '../records/names.ts';
import { formatCheckpoint } from '../tlog/checkpoint.ts';
import { leafHash, MerkleTree } from '../tlog/merkle.ts';
import { signNote } from '../tlog/note.ts';
import type { NoteSigner } from '../tlog/note.ts';
import { formatProof } from '../tlog/proof.ts';
import { History } from '../policy/history.ts';

/** The last checkpoint that was signed: whatever the log is later, it begins like that. */
export interface Head {
  readonly size: number;
  readonly root: Buffer;
  /** The signed note, with the cosignatures that came. */
  readonly note: string;
}

export class Journal {
  readonly history = new History();
  readonly #tree = new MerkleTree();
  readonly #file: LineFile;
  readonly #logKey: NoteSigner;

  private constructor(file: LineFile, logKey: NoteSigner) {
    this.#file = file;
    this.#logKey = logKey;
  }

  /**
   * Reads the journal at `path`, made if it isn't there. `signed` is the last checkpoint that was signed of it.
   * Throws unable: `journal-damaged` if a line is no entry or cannot follow those before it, or if they are not
   * what was signed; `disk`.
   */
  static async open(path: string, logKey: NoteSigner, signed: Head | null): Promise<Journal> {
    const { file, lines } = await LineFile.open(path);
    const journal = new Journal(file, logKey);
    try {
      for (const line of lines) {
        journal.#take(parseLogEntry(line), line);
        if (signed?.size === journal.size && !signed.root.equals(journal.root()))
          throw refused('journal-changed', 'these are not the entries that were signed');
      }
      return journal;
    } catch (cause) {
      await file.close();
      const problem = cause instanceof Error ? cause.message : '';
      const what = `${path}, line ${journal.size + 1}: ${problem}`;
      const hint = `the depot has it too: mv ${word(path)}{,.damaged}, then countersign sign --recover`;
      throw unable('journal-damaged', what, hint, cause);
    }
  }

  /** How many entries there are. */
  get size(): number {
    return this.#tree.size;
  }

  /** The disk has failed it: only who opens it again knows what it holds. */
  get broken(): boolean {
    return this.#file.broken;
  }

  /**
   * Logs the entry; when it returns, the disk has it. Throws, before anything is written, refused(`entry-impossible`)
   * for one that would repeat another or cannot come here: of that build's, not the end of all others';
   * unable: `clock-behind` for one that is dated before the newest, `disk`.
   */
  async append(entry: LogEntry): Promise<void> {
    const leaf = encodeLogEntry(entry);
    this.requireTime(entry.time);
    this.#check(entry, leaf);
    await this.#file.write(leaf);
    await this.#file.sync();
    // Only now: no checkpoint may cover what a power cut could take back.
    this.#take(entry, leaf);
  }

  /** Whether the log may go on at this time. Throws unable(`clock-behind`) if the newest entry is dated later. */
  requireTime(time: Timestamp): void {
    const { newest } = this.history;
    if (newest !== null && time < newest) throw ClockFault.behind(time, newest);
  }

  /** The exact bytes of the entry at `index`. Throws RangeError, unable(`disk`). */
  leaf(index: number): Promise<Buffer> {
    return this.#file.line(index);
  }

  /**
   * Takes entries that were this log's before: all of them, or those before the first that is none, are written
   * and made to last at once. Throws refused(`log-impossible`) for one that is no entry, or cannot come there;
   * unable(`disk`).
   */
  async adopt(leaves: readonly Buffer[]): Promise<void> {
    const taken: Buffer[] = [];
    try {
      for (const leaf of leaves) {
        this.#take(parseLogEntry(leaf), leaf);
        taken.push(leaf);
      }
    } catch (cause) {
      const problem = cause instanceof Error ? cause.message : '';
      const what = `entry ${this.size} of the log that is there is none that a signer writes: ${problem}`;
      throw refused('log-impossible', what, 'who else has the log key? see docs/how-to/recover.md', cause);
    } finally {
      await this.#file.write(...taken);
      await this.#file.sync();
    }
  }

  /** The root over the first `size` entries, which are all unless said. Throws RangeError when there are fewer. */
  root(size = this.size): Buffer {
    return this.#tree.root(size);
  }

  /** The consistency proof between its first `oldSize` and its first `size` entries. Throws RangeError. */
  consistencyProof(oldSize: number, size: number): Buffer[] {
    return this.#tree.consistencyProof(oldSize, size);
  }

  /** The first `size` entries, signed: from now on the log must begin like this. Throws RangeError. */
  checkpoint(size = this.size): Head {
    const root = this.root(size);
    const text = formatCheckpoint({ origin: this.#logKey.name, size, root });
    return { size, root, note: signNote(text, this.#logKey) };
  }

  /** The proof that the entry at `index` is in the log, under that checkpoint of it. `extra`, if not null, travels in it. */
  proof(index: number, extra: Buffer | null, { size, note }: Head): Buffer {
    const hashes = this.#tree.inclusionProof(index, size);
    return formatProof({ extra, index, hashes, checkpoint: note });
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #check(entry: LogEntry, leaf: Buffer): void {
    try {
      if (leaf.length > LOG_ENTRY_MAX) throw new RangeError(`a log entry of ${leaf.length} bytes`);
      this.history.check(entry);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      const hint = 'nothing was logged or signed; countersign log verify says whether the log is in order';
      throw refused('entry-impossible', `the log does not go on so: ${cause.message}`, hint, cause);
    }
  }

  #take(entry: LogEntry, leaf: Buffer): void {
    this.history.add(entry, this.size);
    this.#tree.append(leafHash(leaf));
  }
}
