/**
 * Makes OpenPGP signatures by hand, right and wrong, with keys that node:crypto generates: what gpg would
 * never write, an attacker writes in a minute.
 */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { refused } from '../../src/failure.ts';
import { encodeMpi, encodePacket } from '../../src/openpgp/packet.ts';
import { ALGORITHM_ID, parsePublicKey } from '../../src/openpgp/public-key.ts';
import type { PublicKey } from '../../src/openpgp/public-key.ts';
import { trailerOf } from '../../src/openpgp/signature-packet.ts';
import { SUBPACKET, encodeSubpacket, uint32 } from '../../src/openpgp/subpacket.ts';

export type CraftHash = 'sha1' | 'sha256' | 'sha384' | 'sha512';

const HASH_IDS: Readonly<Record<CraftHash, number>> = { sha1: 2, sha256: 8, sha384: 9, sha512: 10 };

export interface CraftKey extends Pick<
  PublicKey,
  'fingerprint' | 'keyId' | 'created' | 'algorithmId' | 'body'
> {
  public: PublicKey;
  privateKey: KeyObject;
}

export type CraftKind = 'ed25519' | 'rsa2048' | 'rsa1024' | 'p256' | 'p384';

/** A fresh key of this kind, dated `created` (unix seconds). */
export function craftKey(kind: CraftKind, created: number): CraftKey {
  const [algorithmId, numbers, privateKey] = generate(kind);
  const body = Buffer.concat([Buffer.from([4]), uint32(created), Buffer.from([algorithmId]), numbers]);
  return asCraftKey(body, privateKey);
}

/** A key packet of one's own making: wrong point, wrong curve. */
export function asCraftKey(body: Buffer, privateKey: KeyObject): CraftKey {
  const key = parsePublicKey(body, (text) => refused('crafted-key', text));
  const { fingerprint, keyId, created, algorithmId } = key;
  return { fingerprint, keyId, created, algorithmId, body, public: key, privateKey };
}

function generate(kind: CraftKind): [algorithmId: number, numbers: Buffer, privateKey: KeyObject] {
  if (kind === 'rsa2048' || kind === 'rsa1024') {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: Number(kind.slice(3)) });
    const { n, e } = publicKey.export({ format: 'jwk' });
    return [ALGORITHM_ID.rsa, Buffer.concat([encodeMpi(decode(n)), encodeMpi(decode(e))]), privateKey];
  }
  if (kind === 'ed25519') {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const point = Buffer.concat([Buffer.from([0x40]), decode(publicKey.export({ format: 'jwk' }).x)]);
    return [ALGORITHM_ID.eddsa, curveNumbers('2b06010401da470f01', point), privateKey];
  }
  const [namedCurve, oid] = kind === 'p256' ? ['P-256', '2a8648ce3d030107'] : ['P-384', '2b81040022'];
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: namedCurve ?? '' });
  const { x, y } = publicKey.export({ format: 'jwk' });
  const point = Buffer.concat([Buffer.from([0x04]), decode(x), decode(y)]);
  return [ALGORITHM_ID.ecdsa, curveNumbers(oid ?? '', point), privateKey];
}

const decode = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'base64url');

/** Curve and point as they stand in a key packet. */
export function curveNumbers(oid: string, point: Buffer): Buffer {
  const curve = Buffer.from(oid, 'hex');
  return Buffer.concat([Buffer.from([curve.length]), curve, encodeMpi(point)]);
}

export interface CraftOptions {
  version?: 3 | 4;
  /** 0x00 binary document (the default), 0x01 text: the caller gives the canonical text then. */
  type?: number;
  hash?: CraftHash;
  /** Unix seconds; now by default. */
  created?: number;
  /** Seconds after creation at which the signature expires. */
  expiresAfter?: number;
  issuerKeyId?: boolean;
  issuerFingerprint?: boolean;
  /** More subpackets, encoded. */
  hashed?: Buffer[];
  unhashed?: Buffer[];
  /** Changes the signature's numbers before they are written. */
  numbers?: (numbers: Buffer[]) => Buffer[];
}

/** A signature packet by `key` over `data`. */
export const craftSignature = (key: CraftKey, data: Buffer, options: CraftOptions = {}): Buffer =>
  encodePacket(2, craftSignatureBody(key, data, options));

/** The body of such a packet: what a back-signature is embedded as. */
export function craftSignatureBody(key: CraftKey, data: Buffer, options: CraftOptions = {}): Buffer {
  const { type = 0, hash = 'sha256', created = nowSeconds() } = options;
  if (options.version === 3) return version3(key, data, type, hash, created, options.numbers);

  const hashed = [encodeSubpacket(SUBPACKET.created, uint32(created))];
  if (options.issuerFingerprint !== false) {
    hashed.push(encodeSubpacket(SUBPACKET.issuerFingerprint, Buffer.from(`04${key.fingerprint}`, 'hex')));
  }
  if (options.expiresAfter !== undefined) {
    hashed.push(encodeSubpacket(SUBPACKET.expires, uint32(options.expiresAfter)));
  }
  hashed.push(...(options.hashed ?? []));
  const unhashed = [...(options.unhashed ?? [])];
  if (options.issuerKeyId !== false) {
    unhashed.unshift(encodeSubpacket(SUBPACKET.issuerKeyId, Buffer.from(key.keyId, 'hex')));
  }
  const head = Buffer.from([4, type, key.algorithmId, HASH_IDS[hash]]);
  const hashedPart = Buffer.concat([head, area(hashed)]);
  const [prefix, numbers] = signBytes(key, hash, Buffer.concat([data, hashedPart, trailerOf(hashedPart)]));
  const written = (options.numbers?.(numbers) ?? numbers).map(encodeMpi);
  return Buffer.concat([hashedPart, area(unhashed), prefix, ...written]);
}

/** Version 3: creation time and key id without subpackets; only type and time are signed with the data. */
function version3(
  key: CraftKey,
  data: Buffer,
  type: number,
  hash: CraftHash,
  created: number,
  change: CraftOptions['numbers'],
): Buffer {
  const signed = Buffer.concat([Buffer.from([type]), uint32(created)]);
  const [prefix, numbers] = signBytes(key, hash, Buffer.concat([data, signed]));
  const ids = [Buffer.from(key.keyId, 'hex'), Buffer.from([key.algorithmId, HASH_IDS[hash]])];
  return Buffer.concat([
    Buffer.from([3, 5]),
    signed,
    ...ids,
    prefix,
    ...(change?.(numbers) ?? numbers).map(encodeMpi),
  ]);
}

function area(subpackets: Buffer[]): Buffer {
  const content = Buffer.concat(subpackets);
  return Buffer.concat([Buffer.from([content.length >>> 8, content.length & 0xff]), content]);
}

/** The first two octets of the digest, and the numbers of a signature over it. */
export function signBytes(
  key: CraftKey,
  hash: CraftHash,
  bytes: Buffer,
): [prefix: Buffer, numbers: Buffer[]] {
  const digest = createHash(hash).update(bytes).digest();
  const prefix = digest.subarray(0, 2);
  if (key.algorithmId === ALGORITHM_ID.rsa) return [prefix, [sign(hash, bytes, key.privateKey)]];
  const pair =
    key.privateKey.asymmetricKeyType === 'ed25519'
      ? sign(null, digest, key.privateKey)
      : sign(hash, bytes, { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  return [prefix, [pair.subarray(0, pair.length / 2), pair.subarray(pair.length / 2)]];
}

/** A subpacket that whoever does not understand it must refuse. */
export function critical(type: number, data: Buffer): Buffer {
  const subpacket = encodeSubpacket(type, data);
  subpacket.writeUInt8(type | 0x80, subpacket.length - data.length - 1);
  return subpacket;
}

/** The data of a notation subpacket (type 20), human-readable. */
export function notation(name: string, value: string): Buffer {
  const lengths = Buffer.alloc(8);
  lengths.writeUInt8(0x80);
  lengths.writeUInt16BE(Buffer.byteLength(name), 4);
  lengths.writeUInt16BE(Buffer.byteLength(value), 6);
  return Buffer.concat([lengths, Buffer.from(name), Buffer.from(value)]);
}

/** `bytes` in this many compressed packets, one in the other. */
export function compressed(bytes: Buffer, levels: number): Buffer {
  let packet = bytes;
  for (let level = 0; level < levels; level += 1) {
    packet = encodePacket(8, Buffer.concat([Buffer.from([1]), deflateRawSync(packet)]));
  }
  return packet;
}

/** A whole signed message: one-pass packet, the data, the signature. */
export function inlineMessage(key: CraftKey, data: Buffer): Buffer {
  const onePass = Buffer.from([3, 0, HASH_IDS.sha256, key.algorithmId, ...Buffer.from(key.keyId, 'hex'), 1]);
  const literal = Buffer.concat([Buffer.from('b\0'), uint32(0), data]);
  return Buffer.concat([encodePacket(4, onePass), encodePacket(11, literal), craftSignature(key, data)]);
}

/** A clearsigned document; `text` without a final line end and without lines that start with a dash. */
export function clearsigned(key: CraftKey, text: string): string {
  const signature = craftSignature(key, Buffer.from(text.replaceAll('\n', '\r\n')), { type: 1 });
  return `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n${text}\n${armored('PGP SIGNATURE', signature)}`;
}

/** Armor under any label, without a checksum. */
export function armored(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return `-----BEGIN ${label}-----\n\n${lines}\n-----END ${label}-----\n`;
}

export const nowSeconds = (): number => Math.floor(Date.now() / 1000);
