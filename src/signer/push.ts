/**
 * The log on its way out (protocol §5.8): to the witnesses, then to the depot, before anything that rests on it; and
 * what others have of it, which must never be more than the signer has.
 */
import { Failure, refused, unable } from '../failure.ts';
import { openCheckpoint } from '../tlog/checkpoint.ts';
import { cosignaturesOf, mergeCosignatures } from '../tlog/cosignature.ts';
import { LOG_BATCH } from '../tree/tree.ts';
import type { Depot } from '../tree/tree.ts';
import type { Project } from '../policy/project.ts';
import type { Head } from './journal.ts';
import { behind } from './state.ts';
import type { SignerState } from './state.ts';
import { Ahead, WitnessClient } from './witnesses.ts';

const CHECKPOINT_PATH = 'log/checkpoint';
const CHECKPOINT_MAX = 64 * 1024;

/** What is remembered of the log from round to round, and may be forgotten. */
export interface LogMemory {
  /** Whether the witnesses were asked what they have of it. */
  compared: boolean;
  /** How many of its entries each witness, by its key, has cosigned. */
  readonly witnessed: Map<string, number>;
}

interface Parts {
  /** Opened with the signer token. */
  readonly depot: Depot;
  /** What a consumer sees of it. */
  readonly publicDepot: Depot;
  readonly state: SignerState;
  readonly project: Project;
  readonly memory: LogMemory;
  /** Something a person should know. */
  readonly note: (text: string) => void;
}

const LOST = new Set(['log-behind', 'log-fork']);

/** Whether others have more of the log than this signer, or another one: then it does nothing more (protocol §5). */
export const isLost = (error: unknown): boolean => error instanceof Failure && LOST.has(error.code);

/** For one round. */
export class LogPush {
  readonly #parts: Parts;
  /** What the depot had when the round began. */
  #found: Head | null = null;
  /** What the depot has taken in this round. */
  #pushed: Head | null = null;
  /** Witnesses that did not answer in this round: they are not waited for again. */
  readonly #silent = new Set<string>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Compares the log with what the depot has of it and, in the first round, what the witnesses have.
   * Throws refused: `log-behind`, `log-fork`; unable: `log-unreadable`, network.
   */
  async compare(): Promise<void> {
    const { memory, project } = this.#parts;
    this.#found = await this.#shown(this.#parts.depot);
    if (this.#found !== null) this.#requireOurs(this.#found, 'the depot');
    if (memory.compared) return;
    await Promise.all(
      project.witnesses.map(async (witness) => {
        const latest = await this.#asking(witness, (client) => client.latest());
        if (latest) this.#requireOurs(latest, `witness ${witness.key.name}`);
      }),
    );
    memory.compared = true;
  }

  /**
   * A checkpoint that holds the entry at `index`, which the depot has, and, if it is to be `witnessed`, as many
   * witnesses as the project asks for have cosigned. Throws as `compare`, unable(`witnesses-missing`, …).
   */
  async holding(index: number, { witnessed }: { readonly witnessed: boolean }): Promise<Head> {
    let head = this.#pushed;
    if (head === null || head.size <= index || (witnessed && this.#missing(head) > 0))
      head = await this.push();
    if (witnessed && this.#missing(head) > 0) {
      const { quorum, witnesses } = this.#parts.project.log;
      throw unable(
        'witnesses-missing',
        `${quorum - this.#missing(head)} of ${witnesses.length} witnesses have cosigned the log, ${quorum} are needed`,
        'the release waits for them, and is tried again',
      );
    }
    return head;
  }

  /** At the end of a round: what has grown goes out, and what was not cosigned by enough is tried again. Throws as `holding`. */
  async finish(): Promise<void> {
    const { state } = this.#parts;
    if (state.journal.size === 0) return;
    const known = this.#pushed ?? this.#found;
    if (known?.size !== state.journal.size || this.#missing(known) > 0) await this.push();
  }

  /** Sends the log as it is now. Throws as `compare`, and what the depot says. */
  async push(): Promise<Head> {
    const { state } = this.#parts;
    let head = state.head;
    if (head?.size !== state.journal.size) {
      head = state.journal.checkpoint();
      await state.keepHead(head);
    }
    head = await this.#cosigned(head);
    await this.#send(head);
    this.#pushed = head;
    return head;
  }

  /** With the cosignature of every witness that answers and has not given it yet. */
  async #cosigned(head: Head): Promise<Head> {
    const { project, memory, state } = this.#parts;
    const has = new Set(cosignaturesOf(head.note, project.log.witnesses).map(({ key }) => key));
    const notes = await Promise.all(
      project.witnesses
        .filter(({ key }) => !has.has(key) && !this.#silent.has(key.text))
        .map(async (witness) => {
          const known = memory.witnessed.get(witness.key.text) ?? 0;
          const answer = await this.#asking(witness, async (client) => {
            const cosigned = await client.cosign(head, state.journal, known);
            if (!(cosigned instanceof Ahead)) return cosigned;
            // What it says alone proves nothing; what it shows has our own signature.
            const latest = await client.latest();
            if (latest) this.#requireOurs(latest, `witness ${client.name}`);
            const text = `witness ${client.name} says it has cosigned ${cosigned.size} entries, and shows no proof`;
            throw unable('witness', text, 'is another signer at work with a copy of this state?');
          });
          if (answer === null) return [];
          memory.witnessed.set(witness.key.text, answer.size);
          return [answer.note];
        }),
    );
    const note = mergeCosignatures([head.note, ...notes.flat()], project.log.key, project.log.witnesses);
    if (note === head.note) return head;
    const cosigned = { ...head, note };
    await state.keepHead(cosigned);
    return cosigned;
  }

  /** Sends what the depot lacks, as much at a time as travels well; then the depot must show the head. */
  async #send(head: Head): Promise<void> {
    const { depot, publicDepot, state } = this.#parts;
    const shown = await this.#shown(depot);
    if (shown !== null) this.#requireOurs(shown, 'the depot');
    if (shown?.note === head.note) return;
    let from = shown?.size ?? 0;
    do {
      const entries: Buffer[] = [];
      for (let bytes = 0; from + entries.length < head.size && bytes < LOG_BATCH;)
        bytes += entries[entries.push(await state.journal.leaf(from + entries.length)) - 1]?.length ?? 0;
      const to = from + entries.length;
      const { note } = to === head.size ? head : state.journal.checkpoint(to);
      try {
        await depot.pushLog({ checkpoint: Buffer.from(note), from, entries: () => entries });
      } catch (error) {
        // Somebody was faster: who has our key, and more entries?
        if (error instanceof Failure && error.code === 'log-conflict') await this.compare();
        throw error;
      }
      from = to;
    } while (from < head.size);
    const taken = await this.#shown(publicDepot);
    if (taken === null || taken.size < head.size)
      throw unable(
        'log-not-shown',
        'the depot took the log and does not show it',
        'look at log/checkpoint there',
      );
  }

  /** What the depot has of the log; null if it has nothing. Throws unable(`log-unreadable`) for what is not this log's. */
  async #shown(depot: Depot): Promise<Head | null> {
    const bytes = await depot.read(CHECKPOINT_PATH, CHECKPOINT_MAX);
    if (bytes === null) return null;
    try {
      const { size, root } = openCheckpoint(bytes, this.#parts.project.log);
      return { size, root, note: bytes.toString() };
    } catch (cause) {
      const text = `the depot's ${CHECKPOINT_PATH}: ${cause instanceof Error ? cause.message : 'unreadable'}`;
      throw unable('log-unreadable', text, 'move log/ away there: the signer sends all of it again', cause);
    }
  }

  /** Throws refused: `log-behind` if others have more of the log, `log-fork` if they have another. */
  #requireOurs({ size, root }: Head, where: string): void {
    const { journal } = this.#parts.state;
    if (size > journal.size) throw behind(`${where} has ${size} entries of this log`, journal.size);
    if (root.equals(journal.root(size))) return;
    throw refused(
      'log-fork',
      `${where} has other entries in this log: two signers have worked with one state`,
      'stop one of them; to go on with what the depot has: see docs/how-to/recover.md',
    );
  }

  #missing({ note }: Head): number {
    const { witnesses, quorum } = this.#parts.project.log;
    return Math.max(0, quorum - cosignaturesOf(note, witnesses).length);
  }

  /** What it answers; null, and a note, if it does not. */
  async #asking<T>(
    witness: Project['witnesses'][number],
    ask: (client: WitnessClient) => Promise<T>,
  ): Promise<T | null> {
    const client = new WitnessClient(witness, this.#parts.project.log);
    try {
      return await ask(client);
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'witness') throw error;
      this.#silent.add(witness.key.text);
      this.#parts.note(error.message);
      return null;
    } finally {
      client.close();
    }
  }
}
