/** Signature subpackets (RFC 4880 §5.2.3.1): the typed facts inside a signature. */
import { Reader, encodeLength } from './packet.ts';
import type { Fail } from './packet.ts';

export interface Subpacket {
  type: number;
  /** Whoever does not know this type must refuse the signature. */
  critical: boolean;
  data: Buffer;
}

export const SUBPACKET = {
  created: 2,
  expires: 3,
  revocable: 7,
  keyExpires: 9,
  preferredCiphers: 11,
  revocationKey: 12,
  issuerKeyId: 16,
  notation: 20,
  preferredHashes: 21,
  preferredCompression: 22,
  keyServerPreferences: 23,
  preferredKeyServer: 24,
  primaryUserId: 25,
  policyUri: 26,
  keyFlags: 27,
  signerUserId: 28,
  revocationReason: 29,
  features: 30,
  embeddedSignature: 32,
  issuerFingerprint: 33,
  preferredAead: 34,
} as const;

/** All subpackets of one area, in order. */
export function parseSubpackets(area: Buffer, fail: Fail): Subpacket[] {
  const subpackets: Subpacket[] = [];
  const reader = new Reader(area, fail);
  while (reader.left > 0) {
    const first = reader.uint8();
    let length = first;
    if (first === 255) length = reader.uint32();
    else if (first >= 192) length = ((first - 192) << 8) + reader.uint8() + 192;
    if (length === 0) throw fail('it has an empty subpacket');
    const type = reader.uint8();
    subpackets.push({ type: type & 0x7f, critical: (type & 0x80) !== 0, data: reader.take(length - 1) });
  }
  return subpackets;
}

/** One subpacket, not critical. */
export function encodeSubpacket(type: number, data: Buffer): Buffer {
  return Buffer.concat([encodeLength(data.length + 1), Buffer.from([type]), data]);
}

/** The data of every subpacket of this type, in order. */
export function dataOf(subpackets: readonly Subpacket[], type: number): Buffer[] {
  return subpackets.filter((subpacket) => subpacket.type === type).map((subpacket) => subpacket.data);
}

/**
 * The one four-octet number of this type, or null where there is none.
 *
 * @throws what `fail` makes, where there are two, or it has another length: which one counts would be a
 * matter of taste.
 */
export function onlyUint32(subpackets: readonly Subpacket[], type: number, fail: Fail): number | null {
  const found = dataOf(subpackets, type);
  if (found.length === 0) return null;
  const [data] = found;
  if (found.length > 1 || data?.length !== 4) throw fail(`its subpacket ${type} is malformed or there twice`);
  return data.readUInt32BE();
}

/** Unix seconds or a duration as subpacket data. */
export function uint32(value: number): Buffer {
  const data = Buffer.alloc(4);
  data.writeUInt32BE(value);
  return data;
}
