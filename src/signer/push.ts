/**
 * The log on its way out (protocol §5.8): to the depot, then to the witnesses, before anything that rests on it; and
 * what others have of it, which must never be more than the signer has.
 */
import { Failure, unable } from '../failure.ts';
import { openCheckpoint } from '../tlog/checkpoint.ts';
import { cosignaturesOf, mergeCosignatures } from '../tlog/cosignature.ts';
import { LOG_BATCH } from '../tree/tree.ts';
import type { Depot } from '../tree/tree.ts';
import type { Project, Witness } from '../policy/project.ts';
import type { Head } from './journal.ts';
import { Lost } from './lost.ts';
import type { SignerState } from './state.ts';
import { WitnessClient } from './witnesses.ts';

const CHECKPOINT_PATH = 'log/checkpoint';
const CHECKPOINT_MAX = 64 * 1024;

/** What is remembered of the log from round to round, and may be forgotten. */
export interface LogMemory {
  /** The witnesses, by their keys, that have shown what they have of it. */
  readonly compared: Set<string>;
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
   * Compares the log with what the depot shows of it and, until each has answered once, what the witnesses have.
   * Throws refused: `log-behind`, `log-fork`; unable: `log-unreadable`, network.
   */
  async compare(): Promise<void> {
    const { memory, project } = this.#parts;
    this.#found = await this.#shown();
    if (this.#found !== null) this.#requireOurs(this.#found, 'the depot');
    await Promise.all(
      project.witnesses
        .filter(({ key }) => !memory.compared.has(key.text))
        .map((witness) => this.#asking(witness, (client) => this.#compareWith(client, witness))),
    );
  }

  /**
   * A checkpoint that holds the entry at `index`, which the depot has, and, if it is to be `witnessed`, as many
   * witnesses as the project asks for have cosigned. Throws as `compare`, unable(`witnesses-missing` and others).
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
    // First the depot: a witness must never have cosigned what nobody else could show.
    await this.#send(head);
    const cosigned = await this.#cosigned(head);
    await this.#send(cosigned);
    this.#pushed = cosigned;
    return cosigned;
  }

  /** What the witness shows proves something, whatever it says: it has our own signature. */
  async #compareWith(client: WitnessClient, { key }: Witness): Promise<void> {
    const latest = await client.latest();
    if (latest) this.#requireOurs(latest, `witness ${client.name}`);
    this.#parts.memory.compared.add(key.text);
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
            if (cosigned !== null) return cosigned;
            await this.#compareWith(client, witness);
            const text = `witness ${client.name} says that it has cosigned another log, and shows none`;
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
    const { depot, state } = this.#parts;
    const shown = await this.#shown();
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
    const taken = await this.#shown();
    if (taken === null || taken.size < head.size)
      throw unable(
        'log-not-shown',
        'the depot took the log and does not show it',
        'look at log/checkpoint there',
      );
  }

  /** What the depot shows everybody of the log; null if nothing. Throws unable(`log-unreadable`) for what is not this log's. */
  async #shown(): Promise<Head | null> {
    try {
      const bytes = await this.#parts.publicDepot.read(CHECKPOINT_PATH, CHECKPOINT_MAX);
      if (bytes === null) return null;
      const { size, root } = openCheckpoint(bytes, this.#parts.project.log);
      return { size, root, note: bytes.toString() };
    } catch (cause) {
      // The network's fault, or the disk's. What the depot says no with is its own word, whatever code it names.
      if (!(cause instanceof Failure) || cause.kind !== 'refused') throw cause;
      const text = `the depot's ${CHECKPOINT_PATH}: ${cause.message}`;
      throw unable('log-unreadable', text, 'move log/ away there: the signer sends all of it again', cause);
    }
  }

  /** Throws refused: `log-behind` if others have more of the log, `log-fork` if they have another. */
  #requireOurs({ size, root }: Head, where: string): void {
    const { journal } = this.#parts.state;
    if (size > journal.size) throw Lost.behind(`${where} has ${size} entries of this log`, journal.size);
    if (root.equals(journal.root(size))) return;
    throw Lost.forked(`${where} has other entries in this log`);
  }

  #missing({ note }: Head): number {
    const { witnesses, quorum } = this.#parts.project.log;
    return Math.max(0, quorum - cosignaturesOf(note, witnesses).length);
  }

  /** What it answers; null, and a note, if it does not. */
  async #asking<T>(witness: Witness, ask: (client: WitnessClient) => Promise<T>): Promise<T | null> {
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
