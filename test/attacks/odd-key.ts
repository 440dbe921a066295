/**
 * Certificates in the one shape of ephemeral keys, of keys that are none: points of low order, which anybody can sign
 * for, points that are written in a second way, and keys that belong to somebody else.
 */
import { createHash, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { Agent } from '../../src/openpgp/agent.ts';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import { encodePacket } from '../../src/openpgp/packet.ts';
import { ALGORITHM_ID, parsePublicKey } from '../../src/openpgp/public-key.ts';
import type { PublicKey } from '../../src/openpgp/public-key.ts';
import { SIGNATURE_TYPE, userIdMaterial } from '../../src/openpgp/self-signature.ts';
import { buildHashedPart, encodeSignature, trailerOf } from '../../src/openpgp/signature.ts';
import { SUBPACKET, encodeSubpacket, uint32 } from '../../src/openpgp/subpacket.ts';
import { refused } from '../../src/failure.ts';
import type { Fingerprint } from '../../src/records/names.ts';
import { curveNumbers } from '../harness/craft.ts';
import type { GnupgHome } from '../harness/gnupg.ts';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');
/** 32 octets with the same one in the middle. */
const octets = (first: string, middle: string, last: string): Buffer => hex(first + middle.repeat(30) + last);

/** All eight points of the small subgroup, as RFC 8032 writes them. */
export const LOW_ORDER: ReadonlyMap<string, Buffer> = new Map([
  ['order 1', octets('01', '00', '00')],
  ['order 2', octets('ec', 'ff', '7f')],
  ['order 4', octets('00', '00', '00')],
  ['order 4, the other', octets('00', '00', '80')],
  ['order 8', hex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')],
  ['order 8, the second', hex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85')],
  ['order 8, the third', hex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a')],
  ['order 8, the fourth', hex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa')],
]);

/** Points that some decoders take for one that has another name: y not below the prime, or the sign of zero. */
export const NON_CANONICAL: ReadonlyMap<string, Buffer> = new Map([
  ['order 1, minus zero', octets('01', '00', '80')],
  ['order 1, plus the prime', octets('ee', 'ff', '7f')],
  ['order 1, plus the prime, minus zero', octets('ee', 'ff', 'ff')],
  ['order 2, minus zero', octets('ec', 'ff', 'ff')],
  ['order 4, plus the prime', octets('ed', 'ff', '7f')],
  ['order 4, plus the prime, the other', octets('ed', 'ff', 'ff')],
  ['full order, plus the prime', octets('f0', 'ff', '7f')],
]);

/** Of the base point (RFC 8032 §5.1). */
const GROUP_ORDER = (1n << 252n) + 27742317777372353535851937790883648493n;

const USER_ID = Buffer.from('whose key is this');

/**
 * The certificate of this point. Where node:crypto takes a signature that needs no secret, it has one, and `signs` is
 * true: whoever leaves the check to node:crypto believes it.
 */
export function certificateOf(point: Buffer, created: number): { certificate: Buffer; signs: boolean } {
  const numbers = curveNumbers('2b06010401da470f01', Buffer.concat([Buffer.from([0x40]), point]));
  const key = keyOf(
    Buffer.concat([Buffer.from([4]), uint32(created), Buffer.from([ALGORITHM_ID.eddsa]), numbers]),
  );
  const digest = selfDigest(key);
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url') };
  const nodeKey = createPublicKey({ key: jwk, format: 'jwk' });
  // A signature fits if its challenge is a multiple of the point's order, which is 8 at most.
  for (let attempt = 0; attempt < 200; attempt++) {
    const numbers = commitment();
    if (verify(null, digest, nodeKey, Buffer.concat(numbers)))
      return { certificate: assemble(key, digest, numbers), signs: true };
  }
  return { certificate: assemble(key, digest, commitment()), signs: false };
}

/** R and S with R = S·B: a signature by the neutral element, over anything. */
function commitment(): [r: Buffer, s: Buffer] {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32);
  const scalar = createHash('sha512').update(seed).digest().subarray(0, 32);
  scalar.writeUInt8(scalar.readUInt8(0) & 0xf8, 0);
  scalar.writeUInt8((scalar.readUInt8(31) & 0x7f) | 0x40, 31);
  const s = BigInt(`0x${Buffer.from(scalar).reverse().toString('hex')}`) % GROUP_ORDER;
  const littleEndian = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse();
  return [publicKey.export({ format: 'der', type: 'spki' }).subarray(-32), littleEndian];
}

/** The one shape around a key that somebody has in gpg already: they sign what the shape needs. */
export async function certificateOfOwner(
  home: GnupgHome,
  owner: Fingerprint,
): Promise<{ certificate: Buffer; created: number }> {
  const { primary } = parseCertificate(home.export(owner));
  const digest = selfDigest(primary);
  const agent = await Agent.connect(home.env);
  const numbers = await agent.sign(home.keygrip(owner), 'sha256', digest, 'hello 1.0');
  agent.close();
  return { certificate: assemble(primary, digest, numbers), created: primary.created };
}

const keyOf = (body: Buffer): PublicKey => parsePublicKey(body, (text) => refused('odd-key', text));

function selfPart(key: PublicKey): Buffer {
  const subpackets = [
    encodeSubpacket(SUBPACKET.created, uint32(key.created)),
    encodeSubpacket(SUBPACKET.keyFlags, Buffer.from([0x02])),
    encodeSubpacket(SUBPACKET.issuerFingerprint, Buffer.from(`04${key.fingerprint}`, 'hex')),
  ];
  return buildHashedPart(
    SIGNATURE_TYPE.positiveCertification,
    key.algorithmId,
    'sha256',
    Buffer.concat(subpackets),
  );
}

function selfDigest(key: PublicKey): Buffer {
  const part = selfPart(key);
  return createHash('sha256')
    .update(userIdMaterial(key, USER_ID))
    .update(part)
    .update(trailerOf(part))
    .digest();
}

const assemble = (key: PublicKey, digest: Buffer, numbers: readonly Buffer[]): Buffer =>
  Buffer.concat([
    encodePacket(6, key.body),
    encodePacket(13, USER_ID),
    encodeSignature(selfPart(key), digest, numbers),
  ]);
