/** Certificates made by hand: every statement that a key makes about itself can be left out or bent. */
import { encodePacket } from '../../src/openpgp/packet.ts';
import { framed } from '../../src/openpgp/public-key.ts';
import { subkeyMaterial, userIdMaterial } from '../../src/openpgp/self-signature.ts';
import { SUBPACKET, encodeSubpacket, uint32 } from '../../src/openpgp/subpacket.ts';
import { craftSignature, craftSignatureBody } from './craft.ts';
import type { CraftHash, CraftKey } from './craft.ts';

export interface CraftStatement {
  /** First octet of the key flags, 0x03 by default (certify and sign); null leaves them out. */
  flags?: number | null;
  /** Seconds after the key's creation at which it expires. */
  keyLifetime?: number;
  /** When the statement is made, unix seconds; the key's creation by default. */
  created?: number;
  /** Seconds after its creation at which the statement itself expires. */
  expiresAfter?: number;
  hash?: CraftHash;
  /** More hashed subpackets, encoded. */
  hashed?: Buffer[];
  /** Who makes it instead of the primary key. */
  by?: CraftKey;
}

export interface CraftUserId extends CraftStatement {
  text: string;
  /** When it is revoked, unix seconds. */
  revokedAt?: number;
}

export interface CraftSubkey extends CraftStatement {
  key: CraftKey;
  backSigned?: boolean;
  revoked?: boolean;
}

export interface CraftParts {
  userIds?: CraftUserId[];
  directKey?: CraftStatement;
  subkeys?: CraftSubkey[];
  revoked?: boolean;
  /** With what the revocation is hashed. */
  revocationHash?: CraftHash;
  /** Who makes it instead of the primary key. */
  revokedBy?: CraftKey;
}

/** The binary certificate of `primary`: one user id and nothing else unless told. */
export function craftCertificate(primary: CraftKey, parts: CraftParts = {}): Buffer {
  const { userIds = [{ text: 'Crafted <crafted@example.org>' }], subkeys = [] } = parts;
  const packets = [encodePacket(6, primary.body)];
  if (parts.revoked === true) {
    const { revocationHash: hash = 'sha256', revokedBy = primary } = parts;
    packets.push(craftSignature(revokedBy, framed(primary.body), { type: 0x20, hash }));
  }
  if (parts.directKey !== undefined) {
    packets.push(statement(primary, parts.directKey, 0x1f, framed(primary.body), primary.created));
  }
  for (const userId of userIds) {
    const material = userIdMaterial(primary.public, Buffer.from(userId.text));
    packets.push(encodePacket(13, Buffer.from(userId.text)));
    packets.push(statement(primary, userId, 0x13, material, primary.created));
    if (userId.revokedAt !== undefined) {
      packets.push(craftSignature(primary, material, { type: 0x30, created: userId.revokedAt }));
    }
  }
  for (const subkey of subkeys) packets.push(...subkeyPackets(primary, subkey));
  return Buffer.concat(packets);
}

function subkeyPackets(primary: CraftKey, subkey: CraftSubkey): Buffer[] {
  const material = subkeyMaterial(primary.public, subkey.key.public);
  const { flags = 0x02, backSigned = true, hashed = [] } = subkey;
  const back = craftSignatureBody(subkey.key, material, { type: 0x19, created: subkey.key.created });
  const embedded = backSigned ? [encodeSubpacket(SUBPACKET.embeddedSignature, back)] : [];
  const binding = { ...subkey, flags, hashed: [...hashed, ...embedded] };
  const packets = [
    encodePacket(14, subkey.key.body),
    statement(primary, binding, 0x18, material, subkey.key.created),
  ];
  if (subkey.revoked === true) packets.push(craftSignature(primary, material, { type: 0x28 }));
  return packets;
}

function statement(
  primary: CraftKey,
  about: CraftStatement,
  type: number,
  material: Buffer,
  created: number,
): Buffer {
  const { flags = 0x03, keyLifetime, by = primary, hash = 'sha256', expiresAfter } = about;
  const hashed = [...(about.hashed ?? [])];
  if (flags !== null) hashed.push(encodeSubpacket(SUBPACKET.keyFlags, Buffer.from([flags])));
  if (keyLifetime !== undefined) hashed.push(encodeSubpacket(SUBPACKET.keyExpires, uint32(keyLifetime)));
  return craftSignature(by, material, {
    type,
    hash,
    created: about.created ?? created,
    hashed,
    ...(expiresAfter === undefined ? {} : { expiresAfter }),
  });
}
