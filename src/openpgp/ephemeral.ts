/**
 * A build's own key: made for one build, signs one statement, and is destroyed (protocol §6).
 *
 * Its certificate has one fixed shape: an Ed25519 key (algorithm 22), one user id, one self-signature that
 * says "for signing", no subkeys and no expiration (gpgv would call a good signature of an expired key
 * expired for ever). Whatever has another shape is refused, so that nothing can hide in one.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { refused } from '../failure.ts';
import type { Fingerprint } from '../records/names.ts';
import type { Certificate } from './certificate.ts';
import { MAY_SIGN } from './key-status.ts';
import { Reader, TAG, encodeMpi, encodePacket, leftPad, parsePackets } from './packet.ts';
import type { Fail } from './packet.ts';
import { SignaturePass } from './pass.ts';
import { ALGORITHM_ID, parsePublicKey } from './public-key.ts';
import type { PublicKey } from './public-key.ts';
import { SIGNATURE_TYPE, userIdMaterial } from './self-signature.ts';
import { parseSignaturePacket } from './signature-packet.ts';
import { buildHashedPart, encodeSignature, hashedPart } from './signature.ts';
import { SUBPACKET, encodeSubpacket, uint32 } from './subpacket.ts';

export const MAX_EPHEMERAL_BYTES = 1024;

/** Version, creation time, algorithm, curve and point. */
const PUBLIC_BODY_BYTES = 51;
const ED25519_OID = Buffer.from('092b06010401da470f01', 'hex');
/** A PKCS #8 Ed25519 key up to its 32 octets (RFC 8410 §7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
/** Printable and one line: it is shown to people, by gpg too. */
const USER_ID = /^[\x20-\x7e]{1,255}$/;

export interface Ephemeral {
  /** The binary certificate. */
  certificate: Buffer;
  /** The same with the private half, not encrypted: a transferable secret key. */
  secretKey: Buffer;
}

/** The private half, ready to sign its one statement. */
export interface EphemeralSecret {
  fingerprint: Fingerprint;
  certificate: Buffer;
  /** A binary detached signature over SHA-256 of `data`, dated `created` (unix seconds). */
  sign(data: Buffer, created: number): Buffer;
  /** Plain Ed25519 over `data`, for a DSSE envelope. */
  signRaw(data: Buffer): Buffer;
}

const unusable: Fail = (text) => refused('key-unusable', `the ephemeral key is not acceptable: ${text}`);

/** A fresh key pair, dated `created` (unix seconds); `userId` is one printable line. */
export function makeEphemeral(about: { userId: string; created: number }): Ephemeral {
  if (!USER_ID.test(about.userId)) throw unusable('its user id is not one printable line');
  const { privateKey } = generateKeyPairSync('ed25519');
  const publicBody = encodePublicBody(about.created, privateKey);
  const userId = Buffer.from(about.userId);
  const key = parsePublicKey(publicBody, unusable);
  const material = userIdMaterial(key, userId);
  const selfSignature = signWith(privateKey, key, material, selfHashedPart(key));
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8_PREFIX.length);
  const secretBody = encodeSecretBody(publicBody, seed);
  return {
    certificate: assemble(encodePacket(TAG.publicKey, publicBody), userId, selfSignature),
    secretKey: assemble(encodePacket(TAG.secretKey, secretBody), userId, selfSignature),
  };
}

/**
 * Reads the certificate of an ephemeral key, in exactly the bytes that `makeEphemeral` would have written.
 *
 * @throws refused `key-unusable`, for any other shape and for a key of low order
 */
export function parseEphemeralCertificate(bytes: Buffer): Certificate {
  if (bytes.length > MAX_EPHEMERAL_BYTES) throw unusable(`it is larger than ${MAX_EPHEMERAL_BYTES} bytes`);
  const packets = parsePackets(bytes, unusable);
  const [keyPacket, userIdPacket, signaturePacket] = packets;
  if (!keyPacket || !userIdPacket || !signaturePacket || packets.length !== 3) {
    throw unusable('it is not one key, one user id and one self-signature');
  }
  const key = parsePublicKey(keyPacket.body, unusable);
  if (key.curve !== 'Ed25519') throw unusable('it is not an Ed25519 key (algorithm 22) of full order');
  const userId = userIdPacket.body;
  if (!USER_ID.test(userId.toString('latin1'))) throw unusable('its user id is not one printable line');

  const { mpis } = parseSignaturePacket(signaturePacket.body, unusable);
  const pass = new SignaturePass(key, 'sha256', selfHashedPart(key));
  pass.update(userIdMaterial(key, userId));
  const { signatureDigest, check } = pass.finish();
  if (!check(mpis)) throw unusable('its self-signature does not verify or is not of the one shape');
  const selfSignature = encodeSignature(selfHashedPart(key), signatureDigest, mpis);
  if (!assemble(encodePacket(TAG.publicKey, key.body), userId, selfSignature).equals(bytes)) {
    throw unusable('it has not the one shape of such keys');
  }
  const statement = {
    created: key.created,
    ends: null,
    keyLifetime: null,
    flags: MAY_SIGN,
    backSigned: false,
  };
  return {
    bytes,
    primary: key,
    userIds: [userId.toString()],
    keys: [{ key, isPrimary: true, revoked: false, groups: [[{ ...statement, revokers: [] }]] }],
  };
}

/**
 * Reads the private half that `makeEphemeral` wrote; messages never quote it.
 *
 * @throws refused `key-unusable`
 */
export function parseEphemeralSecret(bytes: Buffer): EphemeralSecret {
  const [secret, userId, selfSignature] = parsePackets(bytes, unusable);
  if (!secret || !userId || !selfSignature) throw unusable('it is not one secret key with its user id');
  const publicBody = secret.body.subarray(0, PUBLIC_BODY_BYTES);
  const seed = leftPad(secretNumber(secret.body.subarray(PUBLIC_BODY_BYTES)), 32);
  if (seed === null) throw unusable('its secret number is too large');
  const privateKey = createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, seed]),
    format: 'der',
    type: 'pkcs8',
  });

  const rest = Buffer.concat([
    encodePacket(TAG.userId, userId.body),
    encodePacket(TAG.signature, selfSignature.body),
  ]);
  const certificate = Buffer.concat([encodePacket(TAG.publicKey, publicBody), rest]);
  const { primary } = parseEphemeralCertificate(certificate);
  const secretBody = encodeSecretBody(encodePublicBody(primary.created, privateKey), seed);
  if (!Buffer.concat([encodePacket(TAG.secretKey, secretBody), rest]).equals(bytes)) {
    throw unusable('its two halves are not of one key');
  }
  return {
    fingerprint: primary.fingerprint,
    certificate,
    sign: (data, created) => {
      const about = {
        algorithmId: ALGORITHM_ID.eddsa,
        hash: 'sha256',
        created,
        issuer: primary.fingerprint,
      } as const;
      return signWith(privateKey, primary, data, hashedPart(about));
    },
    signRaw: (data) => sign(null, data, privateKey),
  };
}

/** The one self-signature's protected part: made with the key, for signing, no end. */
function selfHashedPart(key: PublicKey): Buffer {
  const subpackets = [
    encodeSubpacket(SUBPACKET.created, uint32(key.created)),
    encodeSubpacket(SUBPACKET.keyFlags, Buffer.from([MAY_SIGN])),
    encodeSubpacket(SUBPACKET.issuerFingerprint, Buffer.from(`04${key.fingerprint}`, 'hex')),
  ];
  const type = SIGNATURE_TYPE.positiveCertification;
  return buildHashedPart(type, ALGORITHM_ID.eddsa, 'sha256', Buffer.concat(subpackets));
}

function signWith(privateKey: KeyObject, key: PublicKey, data: Buffer, hashed: Buffer): Buffer {
  const pass = new SignaturePass(key, 'sha256', hashed);
  pass.update(data);
  const { signatureDigest } = pass.finish();
  const signature = sign(null, signatureDigest, privateKey);
  return encodeSignature(hashed, signatureDigest, [signature.subarray(0, 32), signature.subarray(32)]);
}

function assemble(keyPacket: Buffer, userId: Buffer, selfSignature: Buffer): Buffer {
  return Buffer.concat([keyPacket, encodePacket(TAG.userId, userId), selfSignature]);
}

function encodePublicBody(created: number, privateKey: KeyObject): Buffer {
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  const point = encodeMpi(Buffer.concat([Buffer.from([0x40]), spki.subarray(-32)]));
  return Buffer.concat([
    Buffer.from([4]),
    uint32(created),
    Buffer.from([ALGORITHM_ID.eddsa]),
    ED25519_OID,
    point,
  ]);
}

/** A secret key packet without encryption (RFC 4880 §5.5.3): usage 0, the number, the sum of its octets. */
function encodeSecretBody(publicBody: Buffer, seed: Buffer): Buffer {
  const number = encodeMpi(seed);
  const sum = number.reduce((total, octet) => total + octet, 0) & 0xffff;
  return Buffer.concat([publicBody, Buffer.from([0]), number, Buffer.from([sum >>> 8, sum & 0xff])]);
}

function secretNumber(secretPart: Buffer): Buffer {
  const reader = new Reader(secretPart, unusable);
  if (reader.uint8() !== 0) throw unusable('it is encrypted');
  return reader.mpi();
}
