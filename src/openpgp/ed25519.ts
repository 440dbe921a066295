/**
 * Ed25519 at the edges that libraries disagree about (RFC 8032 §5.1).
 *
 * Node takes the key `01 00…00` with one constant signature over any message; libgcrypt takes an S above
 * the group order. Both are refused here before either is asked.
 */

/** The field prime 2^255 - 19. */
const P = (1n << 255n) - 19n;
/** The order of the base point. */
const L = (1n << 252n) + 27742317777372353535851937790883648493n;

/** y of the points whose order divides 8: of order 1, 2, 4 (twice) and 8 (four times, two y). */
const LOW_ORDER_Y: ReadonlySet<bigint> = new Set([
  1n,
  P - 1n,
  0n,
  0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n,
  P - 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n,
]);

const littleEndian = (bytes: Buffer): bigint => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);

/** Whether 32 octets are fit to be a public key: y below the prime, and not of low order. */
export function isSoundPoint(point: Buffer): boolean {
  if (point.length !== 32) return false;
  const y = littleEndian(point) & ((1n << 255n) - 1n);
  return y < P && !LOW_ORDER_Y.has(y);
}

/** Whether 32 octets are an S that RFC 8032 §5.1.7 allows: below the group order. */
export function isCanonicalScalar(scalar: Buffer): boolean {
  return scalar.length === 32 && littleEndian(scalar) < L;
}
