/** Hash states as a builder makes them, in a few lines that share nothing with the program's own. */
import { toHashState } from '../../src/records/subject.ts';
import type { HashState } from '../../src/records/subject.ts';

const frac = (root: number): number => Math.floor((root - Math.floor(root)) * 2 ** 32);
const primes = Array.from({ length: 310 }, (_, n) => n + 2).filter((n) => {
  for (let by = 2; by * by <= n; by += 1) if (n % by === 0) return false;
  return true;
});
// FIPS 180-4 defines the constants by these roots
const INITIAL = primes.slice(0, 8).map((prime) => frac(Math.sqrt(prime)));
const K = primes.slice(0, 64).map((prime) => frac(Math.cbrt(prime)));

const right = (x: number, by: number): number => (x >>> by) | (x << (32 - by));
const sum = (...all: number[]): number => all.reduce((a, b) => (a + b) >>> 0, 0);

function block(before: readonly number[], bytes: Buffer): number[] {
  const w: number[] = [];
  for (let t = 0; t < 64; t += 1) {
    const [a = 0, b = 0] = [w[t - 15], w[t - 2]];
    const s0 = right(a, 7) ^ right(a, 18) ^ (a >>> 3);
    const s1 = right(b, 17) ^ right(b, 19) ^ (b >>> 10);
    w.push(t < 16 ? bytes.readUInt32BE(4 * t) : sum(w[t - 16] ?? 0, s0, w[t - 7] ?? 0, s1));
  }
  let now = [...before];
  for (let t = 0; t < 64; t += 1) {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = now;
    const one = sum(h, right(e, 6) ^ right(e, 11) ^ right(e, 25), (e & f) ^ (~e & g), K[t] ?? 0, w[t] ?? 0);
    const two = sum(right(a, 2) ^ right(a, 13) ^ right(a, 22), (a & b) ^ (a & c) ^ (b & c));
    now = [sum(one, two), a, b, c, sum(d, one), e, f, g];
  }
  return before.map((word, at) => sum(word, now[at] ?? 0));
}

/** The state of these bytes, as hex of words and tail. */
export function stateText(bytes: Buffer): string {
  const whole = bytes.length - (bytes.length % 64);
  let words = INITIAL;
  for (let at = 0; at < whole; at += 64) words = block(words, bytes.subarray(at, at + 64));
  const hex = words.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  return hex + bytes.subarray(whole).toString('hex');
}

/** The same, as a record has it. */
export const hashStateOf = (bytes: Buffer): HashState => toHashState(stateText(bytes), 'test', bytes.length);
