/**
 * What a key says about itself and its subkeys: certifications, direct-key and binding signatures,
 * revocations (RFC 4880 §5.2.1). A signature counts only once its cryptography has been checked.
 */
import type { Fail } from './packet.ts';
import { SignaturePass } from './pass.ts';
import { framed } from './public-key.ts';
import type { PublicKey } from './public-key.ts';
import { parseSignaturePacket } from './signature-packet.ts';
import type { SignaturePacket } from './signature-packet.ts';
import { SUBPACKET, dataOf, onlyUint32 } from './subpacket.ts';

export const SIGNATURE_TYPE = {
  genericCertification: 0x10,
  positiveCertification: 0x13,
  subkeyBinding: 0x18,
  backSignature: 0x19,
  directKey: 0x1f,
  keyRevocation: 0x20,
  subkeyRevocation: 0x28,
  certificationRevocation: 0x30,
} as const;

/** A verified signature of a key about itself, a user id of its own or a subkey. */
export interface SelfSignature {
  /** Unix seconds. */
  created: number;
  /** Unix seconds from which on the signature itself no longer counts; null for never. */
  ends: number | null;
  /** Seconds after the key's creation at which the key expires; null for never. */
  keyLifetime: number | null;
  /** First octet of the key flags; null where the signature has none. */
  flags: number | null;
  /** A subkey that signs must sign its binding too, or anybody's could be grafted on. */
  backSigned: boolean;
  /** Key ids of those who may revoke in the key's place. */
  revokers: string[];
}

/** What may be marked critical: a notation may not, nor anything that narrows what a signature means. */
const UNDERSTOOD: ReadonlySet<number> = new Set([
  SUBPACKET.created,
  SUBPACKET.expires,
  SUBPACKET.revocable,
  SUBPACKET.keyExpires,
  SUBPACKET.preferredCiphers,
  SUBPACKET.revocationKey,
  SUBPACKET.issuerKeyId,
  SUBPACKET.preferredHashes,
  SUBPACKET.preferredCompression,
  SUBPACKET.keyServerPreferences,
  SUBPACKET.preferredKeyServer,
  SUBPACKET.primaryUserId,
  SUBPACKET.policyUri,
  SUBPACKET.keyFlags,
  SUBPACKET.signerUserId,
  SUBPACKET.revocationReason,
  SUBPACKET.features,
  SUBPACKET.embeddedSignature,
  SUBPACKET.issuerFingerprint,
  SUBPACKET.preferredAead,
]);

/** Key ids of whom a signature names as its issuer, in either area: a hint of whose key to try. */
export function issuerIds({ hashed, unhashed }: SignaturePacket): string[] {
  const all = [...hashed, ...unhashed];
  const ids = [...dataOf(all, SUBPACKET.issuerKeyId), ...dataOf(all, SUBPACKET.issuerFingerprint)];
  return ids.map((id) => id.subarray(-8).toString('hex').toUpperCase());
}

/** Whether `signer` made this signature over `material`. */
export function verifies(packet: SignaturePacket, signer: PublicKey, material: Buffer): boolean {
  if (packet.hash === null || packet.algorithm === null || packet.algorithm !== signer.algorithm)
    return false;
  const pass = new SignaturePass(signer, packet.hash, packet.hashedPart);
  pass.update(material);
  return pass.finish().check(packet.mpis);
}

/**
 * What `signer` says in this signature over `material`; null where it is another's, does not verify, uses
 * an old digest, or holds something critical that is not understood. `subkey`: the key that a binding
 * signature binds.
 *
 * @throws what `fail` makes, where a subpacket is malformed or there twice
 */
export function readSelfSignature(
  packet: SignaturePacket,
  signer: PublicKey,
  material: Buffer,
  subkey: PublicKey | null,
  fail: Fail,
): SelfSignature | null {
  const { hashed, unhashed } = packet;
  if (!issuerIds(packet).includes(signer.keyId)) return null;
  if ([...hashed, ...unhashed].some(({ critical, type }) => critical && !UNDERSTOOD.has(type))) return null;
  if (!verifies(packet, signer, material)) return null;

  const created = onlyUint32(hashed, SUBPACKET.created, fail);
  if (created === null) return null;
  const lifetime = onlyUint32(hashed, SUBPACKET.expires, fail) ?? 0;
  const keyLifetime = onlyUint32(hashed, SUBPACKET.keyExpires, fail) ?? 0;
  const [flags, ...moreFlags] = dataOf(hashed, SUBPACKET.keyFlags);
  if (moreFlags.length > 0) throw fail('a signature in it has key flags twice');
  return {
    created,
    ends: lifetime === 0 ? null : created + lifetime,
    keyLifetime: keyLifetime === 0 ? null : keyLifetime,
    flags: flags === undefined ? null : (flags[0] ?? 0),
    backSigned: subkey !== null && isBackSigned(packet, subkey, material, fail),
    revokers: dataOf(hashed, SUBPACKET.revocationKey).map((data) =>
      data.subarray(-8).toString('hex').toUpperCase(),
    ),
  };
}

/** Whether the binding carries a signature of the subkey over the same two keys (type 0x19). */
function isBackSigned(binding: SignaturePacket, subkey: PublicKey, material: Buffer, fail: Fail): boolean {
  const embedded = dataOf([...binding.hashed, ...binding.unhashed], SUBPACKET.embeddedSignature);
  return embedded.some((body) => {
    const packet = parseSignaturePacket(body, fail);
    return packet.type === SIGNATURE_TYPE.backSignature && verifies(packet, subkey, material);
  });
}

/**
 * Whether this signature of a revoking type takes the key out of use. What cannot be checked here, by an
 * old digest or by a third key that may revoke, is believed: a key less is the safe mistake.
 */
export function isRevocation(
  packet: SignaturePacket,
  signer: PublicKey,
  material: Buffer,
  revokers: readonly string[],
): boolean {
  const issuers = issuerIds(packet);
  if (issuers.some((id) => revokers.includes(id))) return true;
  if (!issuers.includes(signer.keyId)) return false;
  return packet.hash === null || packet.algorithm === null || verifies(packet, signer, material);
}

/** What a signature over a user id (or, with 0xd1, a user attribute) is made over. */
export function userIdMaterial(primary: PublicKey, body: Buffer, tagOctet = 0xb4): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([framed(primary.body), Buffer.from([tagOctet]), length, body]);
}

/** What a binding or revocation of a subkey is made over. */
export function subkeyMaterial(primary: PublicKey, subkey: PublicKey): Buffer {
  return Buffer.concat([framed(primary.body), framed(subkey.body)]);
}
