import { createHash } from 'node:crypto';
import { toSha256 } from './names.ts';
import type { Sha256 } from './names.ts';

/** The SHA-256 of the bytes (or of the text as UTF-8), as every record writes it: 64 lower-case hex digits. */
export const sha256Hex = (bytes: Uint8Array | string): Sha256 =>
  toSha256(createHash('sha256').update(bytes).digest('hex'), 'sha256');
