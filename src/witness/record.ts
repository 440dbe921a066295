/**
 * What a witness remembers: of each log the checkpoint that it cosigned last, as a note with the log's signatures and its own.
 * A file each, replaced in one step; a list names the logs that have one, so that a file that goes missing is noticed.
 */
import { join } from 'node:path';
import { Failure, refused, unable } from '../failure.ts';
import { readFileBounded, writeFileDurably } from '../host/files.ts';
import { sha256Hex } from '../records/sha256.ts';
import { parseCheckpoint } from '../tlog/checkpoint.ts';
import type { Checkpoint } from '../tlog/checkpoint.ts';
import { cosignaturesOf } from '../tlog/cosignature.ts';
import type { WitnessKey } from '../tlog/cosignature.ts';
import { signaturesBy, splitNote } from '../tlog/note.ts';
import { KeyedMutex } from '../tree/mutex.ts';

export const CHECKPOINTS = 'checkpoints';
export const ORIGINS = 'origins';
/** Above what is ever submitted, and a line. */
const RECORD_MAX = 512 * 1024;
const ORIGINS_MAX = 64 * 1024 * 1024;

/** A checkpoint that this witness has cosigned. */
export interface Cosigned {
  /** The note: its text, the log's signature lines and ours. */
  readonly note: string;
  readonly text: string;
  readonly checkpoint: Checkpoint;
  /** Our signature line, with its newline. */
  readonly cosignature: string;
  /** What it says, in seconds since 1970. */
  readonly time: number;
}

export class Records {
  readonly #directory: string;
  readonly #key: WitnessKey;
  readonly #listed: Set<string>;
  readonly #latest = new Map<string, Cosigned>();
  readonly #mutex = new KeyedMutex();

  private constructor(directory: string, key: WitnessKey, listed: Set<string>) {
    this.#directory = directory;
    this.#key = key;
    this.#listed = listed;
  }

  /**
   * What is kept of these logs in the state directory of the witness with this key. Throws unable: `state-damaged` if
   * something is missing or is not what the witness wrote, `disk`.
   */
  static async open(directory: string, key: WitnessKey, origins: Iterable<string>): Promise<Records> {
    const list = await readFileBounded(join(directory, ORIGINS), ORIGINS_MAX);
    if (list === null) throw damaged(join(directory, ORIGINS), 'it is missing');
    const records = new Records(directory, key, new Set(list.toString('utf8').split('\n').slice(0, -1)));
    for (const origin of origins) await records.#load(origin);
    return records;
  }

  async #load(origin: string): Promise<void> {
    const path = this.#path(origin);
    const bytes = await readFileBounded(path, RECORD_MAX);
    if (bytes === null) {
      if (this.#listed.has(origin)) throw damaged(path, 'it is missing');
      return;
    }
    try {
      const cosigned = readCosigned(bytes.toString('utf8'), this.#key);
      if (cosigned.checkpoint.origin !== origin)
        throw damaged(path, `it is of ${cosigned.checkpoint.origin}`);
      this.#latest.set(origin, cosigned);
    } catch (error) {
      if (error instanceof Failure && error.kind === 'refused') throw damaged(path, error.message, error);
      throw error;
    }
    // a crash between the two writes
    await this.#list(origin);
  }

  /** What was cosigned last; null if nothing ever was. */
  latest(origin: string): Cosigned | null {
    return this.#latest.get(origin) ?? null;
  }

  /** What `work` gives or throws; nothing else is done with this log meanwhile. */
  alone<T>(origin: string, work: () => Promise<T>): Promise<T> {
    return this.#mutex.run(origin, work);
  }

  /** Keeps the note as the latest of its log; it is on the disk when this returns. Call it in `alone`. Throws unable(`disk`). */
  async keep(note: string): Promise<Cosigned> {
    const cosigned = readCosigned(note, this.#key);
    const { origin } = cosigned.checkpoint;
    await writeFileDurably(this.#path(origin), Buffer.from(note), 0o600);
    await this.#list(origin);
    this.#latest.set(origin, cosigned);
    return cosigned;
  }

  async #list(origin: string): Promise<void> {
    if (this.#listed.has(origin)) return;
    // one list for all logs; no log has the empty name
    await this.#mutex.run('', async () => {
      const lines = [...this.#listed, origin].map((each) => `${each}\n`);
      await writeFileDurably(join(this.#directory, ORIGINS), Buffer.from(lines.join('')), 0o600);
      this.#listed.add(origin);
    });
  }

  #path(origin: string): string {
    return join(this.#directory, CHECKPOINTS, sha256Hex(origin));
  }
}

/** Reads a note that the witness with this key has cosigned; throws refused if it has not. */
function readCosigned(note: string, key: WitnessKey): Cosigned {
  const [cosignature] = cosignaturesOf(note, [key]);
  const { text, signatures } = splitNote(note);
  const [own] = signaturesBy(signatures, key);
  if (cosignature === undefined || own === undefined)
    throw refused('note-invalid', `not cosigned by ${key.name}`);
  return { note, text, checkpoint: parseCheckpoint(text), cosignature: own.line, time: cosignature.time };
}

export const damaged = (path: string, what: string, cause?: unknown): Failure =>
  unable(
    'state-damaged',
    `${path} is damaged: ${what}`,
    'make a new witness in another directory, with a new name, and let projects replace the old key: a copy of this one has forgotten what came since',
    cause,
  );
