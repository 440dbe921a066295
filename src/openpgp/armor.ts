/**
 * ASCII armor (RFC 4880 §6.2), strictly: one block and nothing around it.
 *
 * gpgv reads armor with text before and after it, under any label and twice; all of that is refused here
 * and gpgv never sees armor at all.
 */
import { refused } from '../failure.ts';
import type { Fail } from './packet.ts';

export type ArmorLabel = 'PGP SIGNATURE' | 'PGP PUBLIC KEY BLOCK';

const CHARACTERS_A_LINE = 64;
const HEADER = /^(?:Version|Comment|Charset|Hash): [\x20-\x7e]*$/;
const BASE64_LINE = /^[A-Za-z0-9+/]{1,76}={0,2}$/;
const CHECKSUM_LINE = /^=[A-Za-z0-9+/]{4}$/;

const malformed: Fail = (text) => refused('armor-malformed', `the armored block is malformed: ${text}`);
const keyMalformed: Fail = (text) => refused('certificate-malformed', `the key file is malformed: ${text}`);

/** `bytes` as one block with its checksum, as gpg writes it. */
export function encodeArmor(label: ArmorLabel, bytes: Buffer): string {
  const base64 = bytes.toString('base64');
  const lines = [`-----BEGIN ${label}-----`, ''];
  for (let start = 0; start < base64.length; start += CHARACTERS_A_LINE) {
    lines.push(base64.slice(start, start + CHARACTERS_A_LINE));
  }
  lines.push(`=${checksum(bytes)}`, `-----END ${label}-----`, '');
  return lines.join('\n');
}

/**
 * The bytes of the one block that `text` is. Header lines that tools write (`Version`, `Comment`) are
 * taken, a checksum is compared where there is one.
 *
 * @throws what `fail` makes (refused `armor-malformed`), for anything before, after, inside or instead of that block.
 */
export function decodeArmor(text: Buffer, label: ArmorLabel, fail: Fail = malformed): Buffer {
  const lines = text.toString('latin1').replaceAll('\r\n', '\n').split('\n');
  if (lines.at(-1) === '') lines.pop();
  if (lines[0] !== `-----BEGIN ${label}-----`) throw fail(`it does not start with an armored ${label}`);
  if (lines.at(-1) !== `-----END ${label}-----`) throw fail(`it does not end where its ${label} should`);

  let position = 1;
  while (HEADER.test(lines[position] ?? '')) position += 1;
  if (lines[position] !== '') throw fail('its armor has something other than a header above the empty line');
  const content = lines.slice(position + 1, -1);
  const expected = CHECKSUM_LINE.test(content.at(-1) ?? '') ? content.pop() : undefined;

  if (content.length === 0 || !content.every((line) => BASE64_LINE.test(line))) {
    throw fail('its armor holds something other than one block of base64');
  }
  const base64 = content.join('');
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.toString('base64') !== base64) throw fail('its armor is not strict base64');
  if (expected !== undefined && expected !== `=${checksum(bytes)}`) throw fail('its armor checksum is wrong');
  return bytes;
}

/**
 * A key file as people have it: binary as it is, or one armored public key block with blank space around.
 *
 * @throws refused `certificate-malformed`
 */
export function dearmorKey(file: Buffer): Buffer {
  if (((file[0] ?? 0) & 0x80) !== 0) return file;
  return decodeArmor(
    Buffer.from(file.toString('latin1').trim(), 'latin1'),
    'PGP PUBLIC KEY BLOCK',
    keyMalformed,
  );
}

/** CRC-24 of RFC 4880 §6.1, in base64. */
function checksum(bytes: Buffer): string {
  let crc = 0xb704ce;
  for (const octet of bytes) {
    crc ^= octet << 16;
    for (let bit = 0; bit < 8; bit += 1) {
      crc <<= 1;
      if ((crc & 0x1000000) !== 0) crc ^= 0x1864cfb;
    }
  }
  return Buffer.from([(crc >>> 16) & 0xff, (crc >>> 8) & 0xff, crc & 0xff]).toString('base64');
}
