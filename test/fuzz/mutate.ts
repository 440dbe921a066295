/** Inputs that are nearly right: real ones, changed by a seeded dice. The same seed makes the same inputs. */
const MAX_BYTES = 64 * 1024;
const BYTES = [0x00, 0x01, 0x0a, 0x20, 0x22, 0x2f, 0x30, 0x39, 0x7f, 0x80, 0xbf, 0xc0, 0xfe, 0xff];
/** What parsers trip over, whatever they read. */
const WORDS = ['', '\n', '\r\n', '\0', '  ', '../', '__proto__', '\u2028', '\ufeff', '\ud800', '-1', '1e400']
  .concat(['9007199254740993', '4294967296', '[[[[[[[[', '{"a":', '\\u0000', '[GNUPG:] GOODSIG '])
  .map((word) => Buffer.from(word));

/** A dice with a seed (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 to `below` - 1. */
  roll(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.roll(items.length)];
    if (item === undefined) throw new RangeError('nothing to pick from');
    return item;
  }
}

/** One of `pool`, changed in one to five places. `words` are what means something to its reader. */
export function mutate(dice: Dice, pool: readonly Buffer[], words: readonly Buffer[]): Buffer {
  let bytes: Buffer = Buffer.from(dice.pick(pool));
  for (let changes = 1 + dice.roll(5); changes > 0; changes -= 1) bytes = change(dice, bytes, pool, words);
  return bytes.length > MAX_BYTES ? Buffer.from(bytes.subarray(0, MAX_BYTES)) : bytes;
}

function change(dice: Dice, bytes: Buffer, pool: readonly Buffer[], words: readonly Buffer[]): Buffer {
  const at = dice.roll(bytes.length + 1);
  const length = dice.roll(dice.pick([2, 8, 64, bytes.length + 1]));
  const range = bytes.subarray(at, at + length);
  const put = (inserted: Buffer, removed = 0): Buffer =>
    Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + removed)]);
  switch (dice.roll(9)) {
    case 0:
      return put(Buffer.from([(bytes[at] ?? 0) ^ (1 << dice.roll(8))]), 1);
    case 1:
      return put(Buffer.from([dice.pick(BYTES)]), dice.roll(2));
    case 2: // lengths are next to what they count: one more, one fewer
      return put(Buffer.from([(bytes[at] ?? 0) + dice.pick([1, 255])]), 1);
    case 3:
      return put(dice.pick(words.length > 0 && dice.roll(3) > 0 ? words : WORDS), dice.roll(2) * length);
    case 4:
      return put(Buffer.alloc(0), length);
    case 5: // the same again, some times many
      return put(Buffer.concat(Array.from({ length: dice.pick([2, 3, 64]) }, () => range)), length);
    case 6: // a part of another input
      return put(part(dice, dice.pick(pool)), dice.roll(2) * length);
    case 7: // what was before is behind
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length), range]);
    default:
      return bytes.subarray(0, at);
  }
}

function part(dice: Dice, bytes: Buffer): Buffer {
  const start = dice.roll(bytes.length + 1);
  return bytes.subarray(start, start + dice.roll(bytes.length - start + 1));
}
