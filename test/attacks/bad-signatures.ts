/** Signature files that whoever has the key can make, and that gpgv by itself often takes: none of them is one signature. */
import { encodeArmor } from '../../src/openpgp/armor.ts';
import { encodePacket } from '../../src/openpgp/packet.ts';
import { encodeSubpacket, SUBPACKET, uint32 } from '../../src/openpgp/subpacket.ts';
import {
  armored,
  clearsigned,
  compressed,
  craftKey,
  craftSignature,
  craftSignatureBody,
  critical,
  inlineMessage,
  notation,
  nowSeconds,
} from '../harness/craft.ts';
import type { CraftKey, CraftOptions } from '../harness/craft.ts';

const DAY = 24 * 3600;

/** By what is wrong with them. */
export function badSignatures(key: CraftKey, data: Buffer): Map<string, Buffer> {
  const crafted = (options: CraftOptions): Buffer => craftSignature(key, data, options);
  const good = crafted({});
  const bad = craftSignature(key, Buffer.concat([data, Buffer.from(' ')]));
  const stranger = craftKey('ed25519', nowSeconds() - DAY);
  const armor = encodeArmor('PGP SIGNATURE', good);
  const now = nowSeconds();
  const all: [what: string, bytes: Buffer | string][] = [
    ['SHA-1', crafted({ hash: 'sha1' })],
    ['version 3', crafted({ version: 3 })],
    ['in text mode', crafted({ type: 1 })],
    ['a certification', crafted({ type: 0x10 })],
    ['a timestamp', crafted({ type: 0x40 })],
    ['dated in the future', crafted({ created: now + DAY })],
    ['older than its key', crafted({ created: key.created - 1 })],
    ['made to expire, long ago', crafted({ created: now - 60, expiresAfter: 1 })],
    ['made to expire, some day', crafted({ expiresAfter: 365 * DAY })],
    ['over other bytes', bad],
    ['by a stranger', craftSignature(stranger, data)],
    ['by a stranger, under the key’s name', craftSignature({ ...stranger, fingerprint: key.fingerprint, keyId: key.keyId }, data)], // prettier-ignore
    ['two, both good', Buffer.concat([good, crafted({ created: now - 1 })])],
    ['good, then bad', Buffer.concat([good, bad])],
    ['bad, then good', Buffer.concat([bad, good])],
    ['good, then a stranger’s', Buffer.concat([good, craftSignature(stranger, data)])],
    ['20,000 in one file', Buffer.concat(Array<Buffer>(20_000).fill(good))],
    ['trailing bytes', Buffer.concat([good, Buffer.from('garbage')])],
    ['trailing zeros', Buffer.concat([good, Buffer.alloc(16)])],
    ['a marker packet behind', Buffer.concat([good, encodePacket(10, Buffer.from('PGP'))])],
    ['in compressed packets', compressed(good, 30)],
    ['an inline message', inlineMessage(key, data)],
    ['clearsigned', clearsigned(key, data.toString())],
    ['nothing', ''],
    ['armor with text around it', `before\n${armor}after\n`],
    ['armor twice', armor + armor],
    ['armor with another label', armored('PGP MESSAGE', good)],
    ['armor with a wrong checksum', armor.replace(/^=..../m, '=AAAA')],
    [
      'an unknown critical notation',
      crafted({ hashed: [critical(SUBPACKET.notation, notation('a@example.org', 'b'))] }),
    ],
    ['an unknown critical subpacket', crafted({ hashed: [critical(100, Buffer.from('x'))] })],
    ['two creation times', crafted({ hashed: [encodeSubpacket(SUBPACKET.created, uint32(now - 60))] })],
    [
      'a creation time that nobody signed',
      crafted({ unhashed: [encodeSubpacket(SUBPACKET.created, uint32(now))] }),
    ],
    ['two issuers', crafted({ unhashed: [encodeSubpacket(SUBPACKET.issuerKeyId, Buffer.alloc(8, 1))] })],
    ['no issuer', crafted({ issuerKeyId: false, issuerFingerprint: false })],
    ['numbers of zero', crafted({ numbers: () => [Buffer.alloc(0), Buffer.alloc(0)] })],
    ['cut short', good.subarray(0, -1)],
    ['larger than 4 KiB', crafted({ unhashed: [encodeSubpacket(100, Buffer.alloc(4096))] })],
  ];
  return new Map(all.map(([what, bytes]) => [what, Buffer.from(bytes)]));
}

/** Odd, and legal: one signature each, which gpgv takes too. */
export function oddSignatures(key: CraftKey, data: Buffer): Map<string, Buffer> {
  const crafted = (options: CraftOptions): Buffer => craftSignature(key, data, options);
  const body = craftSignatureBody(key, data);
  const armor = encodeArmor('PGP SIGNATURE', crafted({}));
  return new Map([
    ['SHA-512', crafted({ hash: 'sha512' })],
    ['SHA-384', crafted({ hash: 'sha384' })],
    ['armored', Buffer.from(armor)],
    ['armored, with a comment and CR LF', Buffer.from(armor.replace('\n', '\nComment: hello\n').replaceAll('\n', '\r\n'))], // prettier-ignore
    ['armored, without a checksum', Buffer.from(armored('PGP SIGNATURE', crafted({})))],
    ['without its key’s fingerprint', crafted({ issuerFingerprint: false })],
    ['without its key’s id', crafted({ issuerKeyId: false })],
    ['with a notation', crafted({ hashed: [encodeSubpacket(SUBPACKET.notation, notation('a@example.org', 'b'))] })], // prettier-ignore
    ['with a packet header of the old format', Buffer.concat([Buffer.from([0x88, body.length]), body])],
    ['with unprotected bytes', crafted({ unhashed: [encodeSubpacket(100, Buffer.from('nobody signed this'))] })], // prettier-ignore
    ['a minute ahead', crafted({ created: nowSeconds() + 60 })],
  ]);
}
