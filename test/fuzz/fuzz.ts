/**
 * A small fuzzer, without coverage: it changes real inputs at random, and keeps those that their reader answers in a
 * new way, to change them further. What a reader may do with any bytes: return, or throw a `Failure`, soon, in a
 * line. Anything else is a finding.
 */
import { createHash } from 'node:crypto';
import { Failure } from '../../src/failure.ts';
import { Dice, mutate } from './mutate.ts';

/** Something that reads foreign bytes. */
export interface Target {
  readonly name: string;
  /** Real inputs. */
  readonly seeds: readonly Buffer[];
  /** What means something to the reader. */
  readonly words?: readonly string[];
  /** An input costs a process, a socket or a disk: a hundredth of the inputs will do. */
  readonly slow?: true;
  /**
   * Reads the input as the product does, and throws anything but a `Failure` if what comes out is wrong: not the
   * same when written again, or accepted where nobody can have made it.
   */
  readonly read: (input: Buffer) => unknown;
}

export interface Finding {
  readonly target: string;
  readonly input: Buffer;
  /** Why it is one. */
  readonly problem: string;
}

/** A message names a part of the input at most. */
const MESSAGE_MAX = 2000;
/** How many inputs are kept to be changed further, and up to which size. */
const POOL_MAX = 300;
const KEPT_BYTES = 16 * 1024;

/** Why reading this input is a finding; null if all is well. `answered` is told how it was answered. */
export async function problemWith(
  target: Target,
  input: Buffer,
  answered: (how: string) => void = () => {},
): Promise<string | null> {
  try {
    await target.read(input);
    answered(`accepted, of ${32 - Math.clz32(input.length)} bits of length`);
    return null;
  } catch (error) {
    if (!(error instanceof Failure)) return error instanceof Error ? (error.stack ?? '') : String(error);
    answered(`${error.code} ${error.message.replace(/[^a-z ]+/g, '')}`);
    const length = error.message.length + error.hint.length;
    return length > MESSAGE_MAX ? `a message of ${length} characters` : null;
  }
}

/** The run of one target: the n-th input depends on the seed, the target and what its reader said before, alone. */
export class Run {
  readonly target: Target;
  readonly #dice: Dice;
  readonly #pool: Buffer[];
  readonly #words: readonly Buffer[];
  readonly #answers = new Set<string>();
  /** How many inputs there were. */
  inputs = 0;

  constructor(target: Target, seed: number) {
    this.target = target;
    const digest = createHash('sha256').update(`${seed} ${target.name}`).digest();
    this.#dice = new Dice(digest.readUInt32BE());
    this.#pool = [...target.seeds];
    this.#words = (target.words ?? []).map((word) => Buffer.from(word));
  }

  /** How many different answers the reader has given. */
  get answers(): number {
    return this.#answers.size;
  }

  /** The next input; `show` sees it before it is read. Returns a finding, or null. */
  async next(show: (input: Buffer) => void = () => {}): Promise<Finding | null> {
    const input = mutate(this.#dice, this.#pool, this.#words);
    this.inputs += 1;
    show(input);
    const problem = await problemWith(this.target, input, (how) => {
      if (this.#answers.size >= POOL_MAX || this.#answers.has(how)) return;
      this.#answers.add(how);
      if (input.length <= KEPT_BYTES) this.#pool.push(input);
    });
    return problem === null ? null : { target: this.target.name, input, problem };
  }
}
