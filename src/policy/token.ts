/** Upload and signer tokens: 32 random bytes that their holder shows; records and project file hold the SHA-256. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { refused } from '../failure.ts';
import type { Sha256 } from '../records/names.ts';

export const TOKEN_BYTES = 32;

/** The token that its base64url text means. Throws refused(`token-malformed`), which never quotes it. */
export function decodeToken(text: string): Buffer {
  // What comes here is whatever stood in a header: only the one way to write 32 bytes passes.
  const token = Buffer.from(text.slice(0, 64), 'base64url');
  if (token.length !== TOKEN_BYTES || token.toString('base64url') !== text)
    throw refused('token-malformed', 'the token is not 32 bytes in base64url');
  return token;
}

/** Whether the token is the one with this digest; false when either is missing. */
export function matchesDigest(token: Buffer | null, digest: Sha256 | undefined): boolean {
  if (token === null || token.length !== TOKEN_BYTES || digest === undefined) return false;
  return timingSafeEqual(createHash('sha256').update(token).digest(), Buffer.from(digest, 'hex'));
}
