/** The body of a version 4 signature packet (RFC 4880 §5.2.3), whatever it signs. */
import { ALGORITHM_ID } from './public-key.ts';
import type { Algorithm } from './public-key.ts';
import { Reader } from './packet.ts';
import type { Fail } from './packet.ts';
import { parseSubpackets } from './subpacket.ts';
import type { Subpacket } from './subpacket.ts';

/** The digests that may stand under a signature. SHA-1 is read nowhere. */
export type HashName = 'sha256' | 'sha384' | 'sha512';

export const HASH_ID: Readonly<Record<HashName, number>> = { sha256: 8, sha384: 9, sha512: 10 };

/** Type 0x00: over a binary document, byte for byte. */
export const BINARY_DOCUMENT = 0x00;

export interface SignaturePacket {
  /** 0x00 is a signature over a binary document; the rest are certifications, bindings, revocations. */
  type: number;
  algorithm: Algorithm | null;
  algorithmId: number;
  hash: HashName | null;
  /** From the version to the last hashed subpacket: what the digest covers besides the data. */
  hashedPart: Buffer;
  hashed: Subpacket[];
  unhashed: Subpacket[];
  /** The first two octets of the digest. */
  digestPrefix: Buffer;
  /** One number for RSA, two for ECDSA and EdDSA; none where the algorithm is not one of these. */
  mpis: Buffer[];
}

const HASHES: ReadonlyMap<number, HashName> = new Map([
  [HASH_ID.sha256, 'sha256'],
  [HASH_ID.sha384, 'sha384'],
  [HASH_ID.sha512, 'sha512'],
]);

const ALGORITHMS: ReadonlyMap<number, Algorithm> = new Map([
  [ALGORITHM_ID.rsa, 'rsa'],
  [ALGORITHM_ID.ecdsa, 'ecdsa'],
  [ALGORITHM_ID.eddsa, 'eddsa'],
]);

/**
 * Reads one signature packet's body to its end.
 *
 * @throws what `fail` makes, for another version (v3 has no subpackets, v6 salts) or broken structure.
 */
export function parseSignaturePacket(body: Buffer, fail: Fail): SignaturePacket {
  const reader = new Reader(body, fail);
  const version = reader.uint8();
  if (version !== 4) throw fail(`it is a version ${version} signature; only version 4 is supported`);
  const type = reader.uint8();
  const algorithmId = reader.uint8();
  const hash = HASHES.get(reader.uint8()) ?? null;
  const hashed = parseSubpackets(reader.take(reader.uint16()), fail);
  const hashedPart = body.subarray(0, reader.offset);
  const unhashed = parseSubpackets(reader.take(reader.uint16()), fail);
  const digestPrefix = reader.take(2);
  const algorithm = ALGORITHMS.get(algorithmId) ?? null;
  const mpis: Buffer[] = [];
  if (algorithm !== null) {
    mpis.push(reader.mpi());
    if (algorithm !== 'rsa') mpis.push(reader.mpi());
    reader.end();
  }
  return { type, algorithm, algorithmId, hash, hashedPart, hashed, unhashed, digestPrefix, mpis };
}

/** What follows data and hashed part in the digest (RFC 4880 §5.2.4): the length of that part, framed. */
export function trailerOf(hashedPart: Buffer): Buffer {
  const trailer = Buffer.from([4, 0xff, 0, 0, 0, 0]);
  trailer.writeUInt32BE(hashedPart.length, 2);
  return trailer;
}
