/**
 * The signer's log, as a file: one canonical entry a line, each on the disk before the next act (§1 rule 4),
 * and over them the tree of protocol §7.
 */
import { refused, unable } from '../failure.ts';
import { LineFile } from '../host/line-file.ts';
import { encodeLogEntry, LOG_ENTRY_MAX, parseLogEntry } from '../records/log-entry.ts';
import type { LogEntry } from '../records/log-entry.ts';
import { formatCheckpoint, parseCheckpoint } from '../tlog/checkpoint.ts';
import { leafHash, MerkleTree } from '../tlog/merkle.ts';
import { openNote, signNote } from '../tlog/note.ts';
import type { NoteSigner } from '../tlog/note.ts';
import { formatProof } from '../tlog/proof.ts';
import { History } from '../policy/history.ts';

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
  static async open(path: string, logKey: NoteSigner, signed: Buffer | null): Promise<Journal> {
    const { file, lines } = await LineFile.open(path);
    const journal = new Journal(file, logKey);
    try {
      const known = signed && parseCheckpoint(openNote(signed, logKey.verifier));
      for (const line of lines) {
        journal.#take(parseLogEntry(line), line);
        if (known?.size === journal.size && !known.root.equals(journal.#tree.root()))
          throw refused('journal-changed', 'these are not the entries that were signed');
      }
      // Whoever has a proof has seen more: to go on from here would be a second log under the same key.
      if (known && known.size > journal.size)
        throw refused('journal-cut', `it had ${known.size} entries when they were signed`);
      return journal;
    } catch (cause) {
      await file.close();
      const problem = cause instanceof Error ? cause.message : '';
      const what = `${path}, line ${journal.size + 1}: ${problem}`;
      throw unable('journal-damaged', what, 'restore it from what the depot and its mirrors have', cause);
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
   * Logs the entry; when it returns, the disk has it. Throws RangeError, before anything is written, for an
   * entry that would repeat another or cannot come here; unable(`disk`).
   */
  async append(entry: LogEntry): Promise<void> {
    const leaf = encodeLogEntry(entry);
    if (leaf.length > LOG_ENTRY_MAX) throw new RangeError(`a log entry of ${leaf.length} bytes`);
    this.history.check(entry);
    await this.#file.write(leaf);
    await this.#file.sync();
    // Only now: no checkpoint may cover what a power cut could take back.
    this.#take(entry, leaf);
  }

  /** The exact bytes of the entry at `index`. Throws RangeError, unable(`disk`). */
  leaf(index: number): Promise<Buffer> {
    return this.#file.line(index);
  }

  /** The log as it is now, signed: from now on it must begin like this. */
  checkpoint(): string {
    const { name: origin } = this.#logKey;
    return signNote(formatCheckpoint({ origin, size: this.size, root: this.#tree.root() }), this.#logKey);
  }

  /**
   * The proof that the entry at `index` is in the log, under the checkpoint of the log as it is now. `extra`, if
   * not null, travels in it.
   */
  proof(index: number, extra: Buffer | null): Buffer {
    const hashes = this.#tree.inclusionProof(index);
    return formatProof({ extra, index, hashes, checkpoint: this.checkpoint() });
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #take(entry: LogEntry, leaf: Buffer): void {
    this.history.add(entry, this.size);
    this.#tree.append(leafHash(leaf));
  }
}
