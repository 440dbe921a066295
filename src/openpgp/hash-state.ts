/**
 * SHA-256, gone on with from where somebody else stopped (FIPS 180-4 §6.2; protocol §5.5): Node hashes faster, and
 * takes no state from outside. A few blocks an artifact, so it is written to be read.
 */
import type { HashState } from '../records/subject.ts';

/** Octets of a block, of the chaining words, and of the message's length in bits at the end of the padding. */
const [BLOCK, WORDS, LENGTH] = [64, 32, 8];

/** The chaining words before the first block (§5.3.3). */
const INITIAL = '6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19';

/** Whether it can be the state of so many octets, for all that can be seen of it: words change with the first whole block. */
export const mayBeStateOf = (state: HashState, size: number): boolean =>
  size >= BLOCK || state.startsWith(INITIAL);

/**
 * SHA-256 of a message whose first `size` octets left this state, and that ends with `more`. Throws RangeError for a
 * state that is not one of `size` octets.
 */
export function sha256From(state: HashState, size: number, more: Uint8Array): Buffer {
  const bytes = Buffer.from(state, 'hex');
  if (bytes.length !== WORDS + (size % BLOCK)) throw new RangeError('not the state of so many octets');
  const words = Uint32Array.from({ length: 8 }, (_, at) => bytes.readUInt32BE(4 * at));

  // What is left of the message, 0x80, zeros up to a whole block less eight octets, the message's length in bits.
  const rest = Buffer.concat([bytes.subarray(WORDS), more]);
  const padded = Buffer.alloc(Math.ceil((rest.length + 1 + LENGTH) / BLOCK) * BLOCK);
  rest.copy(padded);
  padded.writeUInt8(0x80, rest.length);
  padded.writeBigUInt64BE(8n * (BigInt(size) + BigInt(more.length)), padded.length - LENGTH);

  for (let start = 0; start < padded.length; start += BLOCK) compress(words, padded.subarray(start));
  const digest = Buffer.alloc(WORDS);
  for (const [at, word] of words.entries()) digest.writeUInt32BE(word, 4 * at);
  return digest;
}

const rotate = (x: number, by: number): number => (x >>> by) | (x << (32 - by));

/** One block into the chaining words (§6.2.2). Numbers wrap where they are stored, as 32 bits. */
function compress(words: Uint32Array, block: Buffer): void {
  const schedule = new Uint32Array(64);
  const w = (t: number): number => schedule[t] ?? 0;
  for (let t = 0; t < 16; t += 1) schedule[t] = block.readUInt32BE(4 * t);
  for (let t = 16; t < 64; t += 1) {
    const [x, y] = [w(t - 15), w(t - 2)];
    const sigma0 = rotate(x, 7) ^ rotate(x, 18) ^ (x >>> 3);
    const sigma1 = rotate(y, 17) ^ rotate(y, 19) ^ (y >>> 10);
    schedule[t] = sigma1 + w(t - 7) + sigma0 + w(t - 16);
  }
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = words;
  for (const [t, constant] of K.entries()) {
    const sum1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const sum0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const t1 = h + sum1 + ((e & f) ^ (~e & g)) + constant + w(t);
    const t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
  }
  for (const [at, word] of [a, b, c, d, e, f, g, h].entries()) words[at] = (words[at] ?? 0) + word;
}

/** The first 32 bits of the fractional parts of the cube roots of the first 64 primes (§4.2.2). */
// prettier-ignore
const K = Uint32Array.of(
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
);
