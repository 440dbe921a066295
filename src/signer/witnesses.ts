/** Witnesses, asked by the signer to cosign its log (C2SP tlog-witness). */
import { Failure, unable } from '../failure.ts';
import { HttpClient, bytesBody } from '../host/http.ts';
import type { HttpTiming } from '../host/http.ts';
import type { Witness } from '../policy/project.ts';
import { openCheckpoint, parseDecimal, witnessedPath } from '../tlog/checkpoint.ts';
import type { LogKey } from '../tlog/checkpoint.ts';
import { mergeCosignatures } from '../tlog/cosignature.ts';
import { parseSignatureLines, signaturesBy, splitNote } from '../tlog/note.ts';
import type { Head, Journal } from './journal.ts';

const ANSWER_MAX = 64 * 1024;
const TEXT = 'text/plain; charset=utf-8';
/** A release waits for them, and so does every round: one that is away must not hold it up for long. */
const TIMING: Partial<HttpTiming> = { connectMs: 5_000, answerMs: 10_000, idleMs: 10_000, backOffMs: [500] };

/** One witness, for as long as a round takes. */
export class WitnessClient {
  readonly name: string;
  readonly #witness: Witness;
  readonly #log: LogKey;
  readonly #http: HttpClient;

  constructor(witness: Witness, log: LogKey) {
    this.name = witness.key.name;
    this.#witness = witness;
    this.#log = log;
    this.#http = new HttpClient(witness.url, { insecureHttp: true, timing: TIMING });
  }

  /**
   * The head with the witness's cosignature added; null if it says that it has cosigned more, or another log. `known` is
   * the size that it cosigned last, as far as anybody here remembers; it says when it is another one. Throws
   * unable(`witness`).
   */
  async cosign(head: Head, journal: Journal, known: number): Promise<Head | null> {
    return this.#speaking(async () => {
      let answer = await this.#add(head, journal, Math.min(known, head.size));
      if (answer.status === 409) {
        const size = parseDecimal(answer.bytes.toString('latin1').trimEnd());
        if (size === null) throw this.#problem('answers 409 without a size');
        if (size > head.size) return null;
        answer = await this.#add(head, journal, size);
      }
      const { status, bytes } = answer;
      if (status === 422) return null;
      if (status !== 200) throw this.#problem(`does not cosign: status ${status}`);
      const { text } = splitNote(head.note);
      // Read on its own: glued to our text, what it answers could move where the text ends.
      const lines = signaturesBy(parseSignatureLines(bytes.toString()), this.#witness.key);
      const cosigned = `${text}\n${lines.map(({ line }) => line).join('')}`;
      if (lines.length === 0) throw this.#problem('answers without a cosignature by its key');
      const note = mergeCosignatures([head.note, cosigned], this.#log.key, [this.#witness.key]);
      return { ...head, note };
    });
  }

  /** The checkpoint that it cosigned last, by the log's own signature; null if it shows none. Throws unable(`witness`). */
  async latest(): Promise<Head | null> {
    return this.#speaking(async () => {
      const { status, bytes } = await this.#http.read(
        { method: 'GET', path: witnessedPath(this.#log.origin), accept: TEXT },
        ANSWER_MAX,
      );
      if (status !== 200) return null;
      const { size, root } = openCheckpoint(bytes, this.#log);
      return { size, root, note: bytes.toString() };
    });
  }

  close(): void {
    this.#http.close();
  }

  #add(head: Head, journal: Journal, old: number): Promise<{ status: number; bytes: Buffer }> {
    const proof = journal.consistencyProof(old, head.size).map((hash) => `${hash.toString('base64')}\n`);
    const body = Buffer.from(`old ${old}\n${proof.join('')}\n${head.note}`);
    return this.#http.read(
      { method: 'POST', path: 'add-checkpoint', accept: TEXT, body: bytesBody(TEXT, body) },
      ANSWER_MAX,
    );
  }

  /** Whatever goes wrong is the witness's, and one of several. */
  async #speaking<T>(talk: () => Promise<T>): Promise<T> {
    try {
      return await talk();
    } catch (error) {
      if (!(error instanceof Failure) || error.code === 'witness') throw error;
      throw this.#problem(error.message, error);
    }
  }

  #problem(text: string, cause?: unknown): Failure {
    return unable(
      'witness',
      `witness ${this.name}: ${text}`,
      'is it up? is its key the one in the project file?',
      cause,
    );
  }
}
