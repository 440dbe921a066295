import { describe, expect, test } from 'vitest';
import { decodeToken, matchesDigest } from '../../src/policy/token.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { refusalOf } from '../harness/failure.ts';

describe('tokens', () => {
  const token = Buffer.alloc(32, 0xfb);

  test('32 bytes in base64url, in the one way to write them', () => {
    expect(decodeToken(token.toString('base64url'))).toEqual(token);
  });
  test.each([
    ['empty', ''],
    ['too short', Buffer.alloc(31).toString('base64url')],
    ['too long', Buffer.alloc(33).toString('base64url')],
    ['padded', `${token.toString('base64url')}=`],
    ['in the other alphabet', token.toString('base64')],
    ['with stray bits', `${token.toString('base64url').slice(0, -1)}t`],
    ['with a newline', `${token.toString('base64url')}\n`],
    ['in hex', token.toString('hex')],
  ])('%s', (_, text) => {
    const refusal = refusalOf(() => decodeToken(text));
    expect(refusal.code).toBe('token-malformed');
    if (text !== '') expect(refusal.message).not.toContain(text.trim());
  });
  test('match the digest of themselves and no other', () => {
    expect(matchesDigest(token, sha256Hex(token))).toBe(true);
    expect(matchesDigest(token, sha256Hex('another'))).toBe(false);
    expect(matchesDigest(null, sha256Hex(''))).toBe(false);
    expect(matchesDigest(Buffer.alloc(0), sha256Hex(''))).toBe(false);
    expect(matchesDigest(token, undefined)).toBe(false);
  });
});
