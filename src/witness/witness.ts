/** A witness: cosigns what continues what it cosigned of the same log before, and remembers that (C2SP tlog-witness). */
import { sha256Hex } from '../records/sha256.ts';
import type { LogKey } from '../tlog/checkpoint.ts';
import { cosign } from '../tlog/cosignature.ts';
import type { CosignatureSigner } from '../tlog/cosignature.ts';
import type { VerifierKey } from '../tlog/note.ts';
import { contradict, judge } from './judge.ts';
import type { Verdict } from './judge.ts';
import type { Records } from './record.ts';
import { parseSubmission } from './submission.ts';
import type { Submission } from './submission.ts';

/** What is answered to add-checkpoint. */
export type Answer =
  | { readonly status: 200; readonly cosignature: string }
  | Exclude<Verdict, { readonly status: 200 }>
  | { readonly status: 404; readonly problem: string };

export interface WitnessParts {
  readonly signer: CosignatureSigner;
  /** The logs that it serves; one may have several keys. */
  readonly logs: readonly LogKey[];
  readonly records: Records;
  readonly now: () => Date;
  /** One line for the operator. */
  readonly log: (line: string) => void;
}

export class Witness {
  readonly #parts: WitnessParts;
  readonly #keys = new Map<string, VerifierKey[]>();
  /** Of each log, by the hash that stands for it in URLs. */
  readonly #origins = new Map<string, string>();
  /** Logs of which it was told that they are forked. */
  readonly #forked = new Set<string>();

  constructor(parts: WitnessParts) {
    this.#parts = parts;
    for (const { origin, key } of parts.logs) {
      this.#keys.set(origin, [...(this.#keys.get(origin) ?? []), key]);
      this.#origins.set(sha256Hex(origin), origin);
    }
  }

  /**
   * Judges the body of add-checkpoint and cosigns. The new checkpoint is on the disk when this returns; one log's are
   * judged one after the other. Throws refused(`submission-malformed`), unable(`disk`): nothing is cosigned then.
   */
  async addCheckpoint(body: Uint8Array): Promise<Answer> {
    const submission = parseSubmission(body);
    const { origin } = submission.checkpoint;
    const keys = this.#keys.get(origin);
    if (keys === undefined) return { status: 404, problem: 'this witness does not know the log' };
    return this.#parts.records.alone(origin, async () => {
      const verdict = judge(submission, keys, this.#parts.records.latest(origin)?.checkpoint ?? null);
      if (verdict.status === 200)
        return { status: 200, cosignature: await this.#cosign(submission, verdict.lines) };
      if (verdict.status !== 403) this.#watchForFork(submission);
      return verdict;
    });
  }

  /** The latest cosigned checkpoint of the log whose origin has this hash; null if there is none. */
  checkpoint(originHash: string): string | null {
    const origin = this.#origins.get(originHash);
    return (origin === undefined ? null : this.#parts.records.latest(origin)?.note) ?? null;
  }

  async #cosign({ text, checkpoint }: Submission, lines: readonly string[]): Promise<string> {
    const { records, signer, now } = this.#parts;
    const latest = records.latest(checkpoint.origin);
    // A clock that was set back doesn't take back what was said: the time stays where it was until the clock is there.
    const time = Math.max(Math.floor(now().getTime() / 1000), latest?.time ?? 1);
    // Anybody can repeat a public checkpoint: within a second it costs no write, for the line would be the same.
    if (latest !== null && latest.text === text && latest.time === time) return latest.cosignature;
    const note = `${text}\n${lines.join('')}${cosign(text, signer, time)}`;
    return (await records.keep(note)).cosignature;
  }

  /** Tells the operator, with the evidence; once, for more of it proves no more. */
  #watchForFork({ text, signatures, checkpoint }: Submission): void {
    const { origin } = checkpoint;
    const latest = this.#parts.records.latest(origin);
    if (latest === null || !contradict(latest.checkpoint, checkpoint) || this.#forked.has(origin)) return;
    this.#forked.add(origin);
    const note = `${text}\n${signatures.map(({ line }) => line).join('')}`;
    this.#parts.log(
      `${origin} is forked: its key signed two trees of size ${checkpoint.size}, one that was cosigned and this one: ${JSON.stringify(note)}`,
    );
  }
}
