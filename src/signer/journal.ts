/**
 * The signer's log, as a file: one canonical entry a line, each on the disk before the next act (§1 rule 4),
 * and over them the tree of protocol §7.
 */
import { unable } from '../failure.ts';
import { LineFile } from '../host/line-file.ts';
import { encodeLogEntry, LOG_ENTRY_MAX, parseLogEntry } from '../records/log-entry.ts';
import type { LogEntry } from '../records/log-entry.ts';
import { formatCheckpoint } from '../tlog/checkpoint.ts';
import { leafHash, MerkleTree } from '../tlog/merkle.ts';
import { signNote } from '../tlog/note.ts';
import type { NoteSigner } from '../tlog/note.ts';
import { formatProof } from '../tlog/proof.ts';
import { History } from './history.ts';

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
   * Reads the journal at `path`, made if it isn't there. Throws unable: `journal-damaged` if a line is no
   * entry or cannot follow those before it, `disk`.
   */
  static async open(path: string, logKey: NoteSigner): Promise<Journal> {
    const { file, lines } = await LineFile.open(path);
    const journal = new Journal(file, logKey);
    try {
      for (const line of lines) journal.#take(parseLogEntry(line), line);
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

  /**
   * The proof that the entry at `index` is in the log, under a checkpoint of the log as it is now. `extra`, if
   * not null, travels in it.
   */
  proof(index: number, extra: Buffer | null): Buffer {
    const checkpoint = { origin: this.#logKey.name, size: this.size, root: this.#tree.root() };
    return formatProof({
      extra,
      index,
      hashes: this.#tree.inclusionProof(index),
      checkpoint: signNote(formatCheckpoint(checkpoint), this.#logKey),
    });
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #take(entry: LogEntry, leaf: Buffer): void {
    this.history.add(entry, this.size);
    this.#tree.append(leafHash(leaf));
  }
}
