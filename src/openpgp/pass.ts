/**
 * One pass over a document: its SHA-256 and size, and the digest under a signature of it.
 *
 * The digest that is compared with a statement and the digest that is signed or verified come from the
 * same bytes, read once, or from one state of their hash: nothing can be swapped in between (protocol §5.5).
 */
import { constants, createHash, createVerify, publicDecrypt, verify } from 'node:crypto';
import type { Hash, KeyObject, Verify } from 'node:crypto';
import { toSha256 } from '../records/names.ts';
import type { Sha256 } from '../records/names.ts';
import type { HashState } from '../records/subject.ts';
import { sha256From } from './hash-state.ts';
import { leftPad } from './packet.ts';
import type { PublicKey } from './public-key.ts';
import { BINARY_DOCUMENT, HASH_ID, trailerOf } from './signature-packet.ts';
import type { HashName } from './signature-packet.ts';

export interface Passed {
  sha256: Sha256;
  size: number;
  /** What a signature over these bytes signs. */
  signatureDigest: SignedDigest;
  /** Whether these numbers are the key's signature over that digest. With an ECDSA key it can be asked once. */
  check: (mpis: readonly Buffer[]) => boolean;
}

/**
 * A digest over data, hashed part and trailer, the last two put there by us. Made in this file and nowhere else, and
 * what the release key signs is of this type: a final digest that came from somebody else would be an oracle for
 * certifications and subkey bindings.
 */
export type SignedDigest = Buffer & { readonly [ours]: true };
declare const ours: unique symbol;
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one place where there are such digests
const signedDigest = (digest: Buffer): SignedDigest => digest as SignedDigest;

/** DigestInfo (RFC 8017 §9.2) up to the digest itself. */
const DIGEST_INFO: Readonly<Record<HashName, Buffer>> = {
  sha256: Buffer.from('3031300d060960864801650304020105000420', 'hex'),
  sha384: Buffer.from('3041300d060960864801650304020205000430', 'hex'),
  sha512: Buffer.from('3051300d060960864801650304020305000440', 'hex'),
};

/**
 * Whether gpg lets this key sign such a digest: with ECDSA it must be as long as the curve's numbers (with
 * P-521, 64 octets). SHA-256 under a P-384 key is refused by gpgv, so nothing may be signed that way.
 */
export function isLongEnough(hash: HashName, key: PublicKey): boolean {
  return key.algorithm !== 'ecdsa' || DIGEST_OCTETS[hash] >= Math.min(key.size, 64);
}

const DIGEST_OCTETS: Readonly<Record<HashName, number>> = { sha256: 32, sha384: 48, sha512: 64 };

export class SignaturePass {
  readonly #key: PublicKey;
  readonly #hash: HashName;
  readonly #hashedPart: Buffer;
  readonly #sha256 = createHash('sha256');
  /** Only where the signature's digest is not SHA-256 too: one hash does for both otherwise. */
  readonly #other: Hash | null;
  /** Node cannot verify ECDSA over a digest, so OpenSSL hashes along. */
  readonly #ecdsa: Verify | null;
  #size = 0;

  /** `key`: whose signature it is to be; `hashedPart`: of the signature that is checked or about to be made. */
  constructor(key: PublicKey, hash: HashName, hashedPart: Buffer) {
    this.#key = key;
    this.#hash = hash;
    this.#hashedPart = hashedPart;
    this.#other = hash === 'sha256' ? null : createHash(hash);
    this.#ecdsa = key.algorithm === 'ecdsa' ? createVerify(hash) : null;
  }

  update(chunk: Uint8Array): void {
    this.#size += chunk.length;
    this.#sha256.update(chunk);
    this.#other?.update(chunk);
    this.#ecdsa?.update(chunk);
  }

  finish(): Passed {
    const trailer = trailerOf(this.#hashedPart);
    const signed = this.#other ?? this.#sha256.copy();
    const signatureDigest = signedDigest(signed.update(this.#hashedPart).update(trailer).digest());
    this.#ecdsa?.update(this.#hashedPart).update(trailer);
    const claim = { key: this.#key, hash: this.#hash, digest: signatureDigest, ecdsa: this.#ecdsa };
    return {
      sha256: toSha256(this.#sha256.digest('hex'), 'a document'),
      size: this.#size,
      signatureDigest,
      check: (mpis) => isSignature(claim, mpis),
    };
  }
}

/** What is left of a pass when it comes from another thread of this program. */
export type Digests = Pick<Passed, 'sha256' | 'size'> & { readonly signatureDigest: Uint8Array };

/**
 * A pass that another thread of this program made with this key, and put the end to: what its `finish` gave, as a copy.
 * Throws RangeError for an ECDSA key: what OpenSSL has hashed for its check stays in the thread.
 */
export function passElsewhere(
  key: PublicKey,
  hash: HashName,
  { sha256, size, signatureDigest }: Digests,
): Passed {
  if (key.algorithm === 'ecdsa') throw new RangeError('an ECDSA pass of another thread cannot be checked');
  const claim = { key, hash, digest: signedDigest(Buffer.from(signatureDigest)), ecdsa: null };
  return { sha256, size, signatureDigest: claim.digest, check: (mpis) => isSignature(claim, mpis) };
}

const NOTHING = Buffer.alloc(0);

/**
 * The same from the state of the document's SHA-256 after `size` bytes, by whoever has them (digest mode). `hashedPart`:
 * of the document signature that is about to be made with `key`. Throws RangeError for a key, a type or a hash with which
 * that cannot be done.
 */
export function passState(key: PublicKey, hashedPart: Buffer, state: HashState, size: number): Passed {
  // Node cannot verify ECDSA over a digest, and another type would make something else of the signature than its document's
  if (key.algorithm === 'ecdsa' || hashedPart[1] !== BINARY_DOCUMENT || hashedPart[3] !== HASH_ID.sha256)
    throw new RangeError('not a document signature with SHA-256 that can be checked');
  const own = Buffer.concat([hashedPart, trailerOf(hashedPart)]);
  const digest = signedDigest(sha256From(state, size, own));
  const claim = { key, hash: 'sha256', digest, ecdsa: null } as const;
  return {
    sha256: toSha256(sha256From(state, size, NOTHING).toString('hex'), 'a document'),
    size,
    signatureDigest: digest,
    check: (mpis) => isSignature(claim, mpis),
  };
}

interface Claim {
  readonly key: PublicKey;
  readonly hash: HashName;
  readonly digest: SignedDigest;
  /** For ECDSA: what OpenSSL has hashed. */
  readonly ecdsa: Verify | null;
}

/** Whether these numbers are the key's signature over the digest. */
function isSignature({ key, hash, digest, ecdsa }: Claim, mpis: readonly Buffer[]): boolean {
  const { algorithm, size, keyObject } = key;
  const numbers = mpis.map((mpi) => leftPad(mpi, size));
  if (keyObject === null || !isLongEnough(hash, key)) return false;
  const [first, second] = numbers;
  if (algorithm === 'rsa')
    return !!first && numbers.length === 1 && isRsaSignature(keyObject, hash, digest, first);
  if (!first || !second || numbers.length !== 2) return false;
  const pair = Buffer.concat([first, second]);
  if (algorithm === 'eddsa') return verify(null, digest, keyObject, pair);
  return ecdsa?.verify({ key: keyObject, dsaEncoding: 'ieee-p1363' }, pair) ?? false;
}

/** EMSA-PKCS1-v1_5 by comparison with the one right encoding, so that there is nothing to parse. */
function isRsaSignature(key: KeyObject, hash: HashName, digest: Buffer, number: Buffer): boolean {
  const info = DIGEST_INFO[hash];
  const padding = Buffer.alloc(number.length - info.length - digest.length - 3, 0xff);
  const expected = Buffer.concat([Buffer.from([0, 1]), padding, Buffer.from([0]), info, digest]);
  try {
    return publicDecrypt({ key, padding: constants.RSA_NO_PADDING }, number).equals(expected);
  } catch {
    // OpenSSL refuses a number above the modulus.
    return false;
  }
}
