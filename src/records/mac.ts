/**
 * The MAC of a statement or an enrolment, keyed with the nonce of a ticket (protocol §2): HMAC-SHA-256 (RFC 2104),
 * its key by HKDF-SHA-256 (RFC 5869) with what it is for in `info`. It convinces who has the nonce, and only them:
 * they could have made it.
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { decodeBase64 } from './base64.ts';
import type { BuildId, Slot } from './names.ts';

/** What a MAC is of; one made for the one is none of the other. */
export type MacPurpose = 'statement' | 'enrolment';

export const NONCE_BYTES = 32;

/** What a MAC's file holds: 44 characters of base64 and a line feed. */
export const MAC_FILE_BYTES = 45;

interface MacKey {
  readonly purpose: MacPurpose;
  /** 32 bytes; secret. */
  readonly nonce: Buffer;
  readonly build: BuildId;
  readonly slot: Slot;
}

/** The MAC of `bytes` as its file holds it. Throws RangeError for a nonce that is not 32 bytes. */
export function macOf(key: MacKey, bytes: Buffer): Buffer {
  return Buffer.from(`${digest(key, bytes).toString('base64')}\n`);
}

/** Whether the file is just this MAC of `bytes`; compared in constant time. Throws as `macOf`. */
export function isMac(file: Buffer, key: MacKey, bytes: Buffer): boolean {
  const expected = macOf(key, bytes);
  return file.length === expected.length && timingSafeEqual(file, expected);
}

/** Whether the file has the form of a MAC: all that can be said of it without the nonce. */
export const isMacFile = (file: Buffer): boolean => {
  const text = file.toString('latin1');
  return text.endsWith('\n') && decodeBase64(text.slice(0, -1))?.length === 32;
};

function digest({ purpose, nonce, build, slot }: MacKey, bytes: Buffer): Buffer {
  if (nonce.length !== NONCE_BYTES) throw new RangeError(`a nonce of ${nonce.length} bytes`);
  const info = Buffer.concat([`countersign/${purpose}-mac/v1`, build, slot].flatMap(counted));
  const key = Buffer.from(hkdfSync('sha256', nonce, Buffer.alloc(0), info, 32));
  const mac = createHmac('sha256', key).update(bytes).digest();
  key.fill(0);
  return mac;
}

/** Its length in two bytes, big-endian, and itself. */
function counted(text: string): Buffer[] {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(Buffer.byteLength(text));
  return [length, Buffer.from(text)];
}
