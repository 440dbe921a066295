/**
 * Detached signatures over a document: the one strict form that is read, and the one that is written
 * (protocol §6).
 *
 * What is read here is what gpgv is later shown, re-written: everything that makes gpgv's answer ambiguous
 * (several packets, compression, text mode, odd armor) has been refused by then.
 */
import { refused } from '../failure.ts';
import { toFingerprint } from '../records/names.ts';
import type { Fingerprint } from '../records/names.ts';
import { decodeArmor } from './armor.ts';
import { isCanonicalScalar } from './ed25519.ts';
import { TAG, encodeMpi, encodePacket, leftPad, parsePackets } from './packet.ts';
import type { Fail } from './packet.ts';
import { BINARY_DOCUMENT, HASH_ID, parseSignaturePacket, trailerOf } from './signature-packet.ts';
import type { HashName, SignaturePacket } from './signature-packet.ts';
import type { Algorithm } from './public-key.ts';
import { SUBPACKET, dataOf, encodeSubpacket, onlyUint32, parseSubpackets, uint32 } from './subpacket.ts';
import type { Subpacket } from './subpacket.ts';

export { HASH_ID, trailerOf };
export type { HashName };

/** A larger file is no signature: gpgv takes minutes over 20,000 of them in one. */
export const MAX_SIGNATURE_BYTES = 4096;

/** What may be marked critical in a signature over a document: all that we read or can safely pass over. */
const UNDERSTOOD: ReadonlySet<number> = new Set([
  SUBPACKET.created,
  SUBPACKET.expires,
  SUBPACKET.issuerKeyId,
  SUBPACKET.policyUri,
  SUBPACKET.signerUserId,
  SUBPACKET.issuerFingerprint,
]);

export interface DetachedSignature {
  algorithm: Algorithm;
  algorithmId: number;
  hash: HashName;
  /** Unix seconds. */
  created: number;
  issuerFingerprint: Fingerprint | null;
  issuerKeyId: string;
  /** What the digest covers after the data: this, then `trailer`. */
  hashedPart: Buffer;
  trailer: Buffer;
  digestPrefix: Buffer;
  mpis: Buffer[];
  /** The same signature as one canonical binary packet with nothing unhashed but the issuer's key id. */
  rewritten: Buffer;
}

const malformed: Fail = (text) => refused('signature-malformed', `the signature is not acceptable: ${text}`);

/**
 * Reads a signature file: one packet, binary or in one strict armor block, at most 4 KiB.
 *
 * Takes v4, type 0x00, SHA-256/384/512 with RSA, ECDSA or EdDSA, one hashed creation time, an issuer, no
 * end of validity and nothing critical that is not understood.
 *
 * @throws refused `signature-malformed`, saying what is wrong
 */
export function parseSignature(file: Buffer): DetachedSignature {
  if (file.length === 0) throw malformed('the file is empty');
  if (file.length > MAX_SIGNATURE_BYTES) throw malformed(`it is larger than ${MAX_SIGNATURE_BYTES} bytes`);
  const armored = ((file[0] ?? 0) & 0x80) === 0;
  const binary = armored ? decodeArmor(file, 'PGP SIGNATURE', malformed) : file;
  const [packet, ...more] = parsePackets(binary, malformed);
  if (packet === undefined) throw malformed('it holds no packet');
  if (packet.tag !== TAG.signature) throw malformed(`it holds packet ${packet.tag}, not a signature`);
  if (more.length > 0) throw malformed(`it holds ${more.length + 1} packets, not one`);

  const signature = parseSignaturePacket(packet.body, malformed);
  const { type, hash, algorithm, algorithmId, hashedPart, digestPrefix, mpis } = signature;
  if (type !== BINARY_DOCUMENT) throw malformed(`its class is ${type}, not 0 (a binary document)`);
  if (hash === null) throw malformed('its digest is not SHA-256, SHA-384 or SHA-512');
  if (algorithm === null) throw malformed(`its algorithm ${algorithmId} is not RSA, ECDSA or EdDSA`);
  checkNumbers(algorithm, mpis);

  const all = [...signature.hashed, ...signature.unhashed];
  const unknown = all.find((subpacket) => subpacket.critical && !UNDERSTOOD.has(subpacket.type));
  if (unknown !== undefined) throw malformed(`subpacket ${unknown.type} is critical and not understood`);
  const created = readCreated(signature);
  // Whoever checks a release in ten years must get today's answer.
  if (all.some(({ type, data }) => type === SUBPACKET.expires && !data.equals(uint32(0)))) {
    throw malformed('it is made to expire');
  }
  const { issuerFingerprint, issuerKeyId } = readIssuer(all);
  return {
    algorithm,
    algorithmId,
    hash,
    created,
    issuerFingerprint,
    issuerKeyId,
    hashedPart,
    trailer: trailerOf(hashedPart),
    digestPrefix,
    mpis,
    rewritten: assemble(hashedPart, issuerKeyId, digestPrefix, mpis),
  };
}

/** Numbers that no key can have made, which verifiers treat differently. */
function checkNumbers(algorithm: Algorithm, mpis: readonly Buffer[]): void {
  if (algorithm !== 'eddsa') {
    if (mpis.some((mpi) => mpi.length === 0)) throw malformed('a number in it is zero');
    return;
  }
  const [r, s] = mpis.map((mpi) => leftPad(mpi, 32));
  if (!r || !s || !isCanonicalScalar(s)) throw malformed('its Ed25519 numbers are out of range');
}

function readCreated({ hashed, unhashed }: SignaturePacket): number {
  const created = onlyUint32(hashed, SUBPACKET.created, malformed);
  if (created === null || dataOf(unhashed, SUBPACKET.created).length > 0) {
    throw malformed('it has not one protected creation time');
  }
  return created;
}

/** Whose it says it is: by fingerprint, by key id, or by both if they agree. */
function readIssuer(all: readonly Subpacket[]) {
  const fingerprints = dataOf(all, SUBPACKET.issuerFingerprint);
  if (fingerprints.some((data) => data.length !== 21 || data[0] !== 4)) {
    throw malformed('its issuer fingerprint is not that of a version 4 key');
  }
  const ids = dataOf(all, SUBPACKET.issuerKeyId);
  if (ids.some((data) => data.length !== 8)) throw malformed('its issuer key id has not eight octets');

  const [fingerprint] = fingerprints;
  const id = fingerprint?.subarray(13) ?? ids[0];
  if (id === undefined) throw malformed('it does not say which key made it');
  if (
    fingerprints.some((other) => fingerprint?.equals(other) !== true) ||
    ids.some((other) => !id.equals(other))
  ) {
    throw malformed('it names two different keys as its issuer');
  }
  const hex = fingerprint?.toString('hex', 1).toUpperCase();
  return {
    issuerFingerprint: hex === undefined ? null : toFingerprint(hex, 'the issuer of a signature'),
    issuerKeyId: id.toString('hex').toUpperCase(),
  };
}

/**
 * The protected part of a signature that we are about to make: v4, type 0x00, creation time and issuer
 * fingerprint. `created` is in unix seconds.
 */
export function hashedPart(about: {
  algorithmId: number;
  hash: HashName;
  created: number;
  issuer: Fingerprint;
}): Buffer {
  const subpackets = Buffer.concat([
    encodeSubpacket(SUBPACKET.created, uint32(about.created)),
    encodeSubpacket(SUBPACKET.issuerFingerprint, Buffer.from(`04${about.issuer}`, 'hex')),
  ]);
  return buildHashedPart(BINARY_DOCUMENT, about.algorithmId, about.hash, subpackets);
}

/** Version, type, algorithms and hashed area, for any type of signature. */
export function buildHashedPart(
  type: number,
  algorithmId: number,
  hash: HashName,
  subpackets: Buffer,
): Buffer {
  const head = Buffer.from([
    4,
    type,
    algorithmId,
    HASH_ID[hash],
    subpackets.length >>> 8,
    subpackets.length & 0xff,
  ]);
  return Buffer.concat([head, subpackets]);
}

/**
 * The signature packet over what `hashedPart` and `digest` are of. `mpis` are the signature's numbers,
 * big-endian; the issuer's key id is added unprotected, for gpgv 2.2.
 */
export function encodeSignature(hashedPart: Buffer, digest: Buffer, mpis: readonly Buffer[]): Buffer {
  const { issuerKeyId } = readIssuer(parseSubpackets(hashedPart.subarray(6), malformed));
  return assemble(hashedPart, issuerKeyId, digest.subarray(0, 2), mpis);
}

function assemble(hashedPart: Buffer, issuerKeyId: string, prefix: Buffer, mpis: readonly Buffer[]): Buffer {
  const unhashed = encodeSubpacket(SUBPACKET.issuerKeyId, Buffer.from(issuerKeyId, 'hex'));
  const body = [hashedPart, Buffer.from([0, unhashed.length]), unhashed, prefix, ...mpis.map(encodeMpi)];
  return encodePacket(TAG.signature, Buffer.concat(body));
}
