/**
 * A public key packet, version 4 (RFC 4880 §5.5.2): what it is, and the same key for node:crypto.
 *
 * Supported are RSA from 2048 bits, ECDSA over the NIST curves and EdDSA over Ed25519 (algorithm 22), what
 * release tools verify everywhere. Any other v4 key is read as far as its fingerprint: certificates carry
 * encryption subkeys.
 */
import { createHash, createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { toFingerprint } from '../records/names.ts';
import type { Fingerprint } from '../records/names.ts';
import { isSoundPoint } from './ed25519.ts';
import { Reader } from './packet.ts';
import type { Fail } from './packet.ts';

export const ALGORITHM_ID = { rsa: 1, ecdsa: 19, eddsa: 22 } as const;

export type Algorithm = keyof typeof ALGORITHM_ID;
export type Curve = 'P-256' | 'P-384' | 'P-521' | 'Ed25519';

export interface PublicKey {
  fingerprint: Fingerprint;
  /** The last 16 digits of the fingerprint. */
  keyId: string;
  /** Unix seconds. */
  created: number;
  algorithm: Algorithm | 'unsupported';
  algorithmId: number;
  curve: Curve | null;
  /** Octets of the RSA modulus or of one coordinate; 0 where the algorithm is unsupported. */
  size: number;
  /** RSA's modulus: a signature must be below it. Null for other keys. */
  modulus: Buffer | null;
  /** The packet's body, as hashed into fingerprints and certifications. */
  body: Buffer;
  /** The key for node:crypto; null where the algorithm is unsupported. */
  keyObject: KeyObject | null;
}

const CURVES: ReadonlyMap<string, { curve: Curve; algorithm: Algorithm; size: number }> = new Map([
  ['2a8648ce3d030107', { curve: 'P-256', algorithm: 'ecdsa', size: 32 }],
  ['2b81040022', { curve: 'P-384', algorithm: 'ecdsa', size: 48 }],
  ['2b81040023', { curve: 'P-521', algorithm: 'ecdsa', size: 66 }],
  ['2b06010401da470f01', { curve: 'Ed25519', algorithm: 'eddsa', size: 32 }],
]);

const MIN_RSA_OCTETS = 256;
const MAX_RSA_OCTETS = 2048;

interface Material {
  algorithm: Algorithm;
  curve: Curve | null;
  size: number;
  modulus: Buffer | null;
  keyObject: KeyObject;
}

/**
 * Reads the body of a public key or public subkey packet.
 *
 * @throws what `fail` makes, for another version, or numbers that are cut short or too many.
 */
export function parsePublicKey(body: Buffer, fail: Fail): PublicKey {
  if (body.length > 0xffff) throw fail('a key in it is larger than a fingerprint can cover');
  const reader = new Reader(body, fail);
  const version = reader.uint8();
  if (version !== 4) throw fail(`a key in it has version ${version}; only version 4 keys are supported`);
  const created = reader.uint32();
  const algorithmId = reader.uint8();
  const material = readMaterial(reader, algorithmId);
  const fingerprint = fingerprintOf(body);
  return {
    fingerprint,
    keyId: fingerprint.slice(-16),
    created,
    algorithm: material?.algorithm ?? 'unsupported',
    algorithmId,
    curve: material?.curve ?? null,
    size: material?.size ?? 0,
    modulus: material?.modulus ?? null,
    body,
    keyObject: material?.keyObject ?? null,
  };
}

/** SHA-1 over the framed packet (RFC 4880 §12.2): an identifier here, never a proof. */
function fingerprintOf(body: Buffer): Fingerprint {
  const digest = createHash('sha1').update(framed(body)).digest('hex');
  return toFingerprint(digest.toUpperCase(), 'a public key');
}

/** A key as it is hashed into fingerprints, certifications and bindings: 0x99, a two-octet length, the body. */
export function framed(body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x99, body.length >>> 8, body.length & 0xff]), body]);
}

/** The key's numbers, or null where this is no key that we verify with. */
function readMaterial(reader: Reader, algorithmId: number): Material | null {
  if (algorithmId === ALGORITHM_ID.rsa) return readRsa(reader);
  if (algorithmId !== ALGORITHM_ID.ecdsa && algorithmId !== ALGORITHM_ID.eddsa) return null;
  return readCurve(reader, algorithmId);
}

function readRsa(reader: Reader): Material | null {
  const n = reader.mpi();
  const e = reader.mpi();
  reader.end();
  if (n.length < MIN_RSA_OCTETS || n.length > MAX_RSA_OCTETS) return null;
  // With exponent 1 the padded digest is its own signature; an even one is no RSA.
  if (e.length > 8 || ((e.at(-1) ?? 0) & 1) === 0 || e.equals(Buffer.from([1]))) return null;
  const keyObject = importKey({ kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') });
  return keyObject && { algorithm: 'rsa', curve: null, size: n.length, modulus: n, keyObject };
}

function readCurve(reader: Reader, algorithmId: number): Material | null {
  const known = CURVES.get(reader.take(reader.uint8()).toString('hex'));
  const point = reader.mpi();
  reader.end();
  if (known === undefined || ALGORITHM_ID[known.algorithm] !== algorithmId) return null;
  const { algorithm, curve, size } = known;

  // An Ed25519 point is 0x40 and 32 octets, a NIST point 0x04 and both coordinates.
  const x = point.subarray(1, 1 + size);
  const y = point.subarray(1 + size);
  const sound =
    algorithm === 'eddsa'
      ? point.length === 1 + size && point[0] === 0x40 && isSoundPoint(x)
      : point.length === 1 + 2 * size && point[0] === 0x04;
  if (!sound) return null;
  const keyObject = importKey({
    kty: algorithm === 'eddsa' ? 'OKP' : 'EC',
    crv: curve,
    x: x.toString('base64url'),
    ...(algorithm === 'eddsa' ? {} : { y: y.toString('base64url') }),
  });
  return keyObject && { ...known, modulus: null, keyObject };
}

/** Null for what OpenSSL calls no key, such as a point beside its curve. */
function importKey(jwk: Record<string, string>): KeyObject | null {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch {
    return null;
  }
}
