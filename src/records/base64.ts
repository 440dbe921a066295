/** Base64 that has one text for each sequence of bytes: `Buffer.from` alone skips junk and truncates. */
import { refused } from '../failure.ts';

const decode = (value: unknown, encoding: 'base64' | 'base64url', where: string): Buffer => {
  const bytes = typeof value === 'string' ? Buffer.from(value, encoding) : Buffer.alloc(0);
  // The message never quotes the value: tokens and secret keys come through here.
  if (bytes.toString(encoding) !== value)
    throw refused('record-malformed', `${where}: not canonical ${encoding}`);
  return bytes;
};

/** RFC 4648 §4 with padding and nothing else; throws refused(`record-malformed`) naming `where`. */
export const decodeBase64Strict = (value: unknown, where: string): Buffer => decode(value, 'base64', where);

/** RFC 4648 §5 without padding; throws refused(`record-malformed`) naming `where`. */
export const decodeBase64Url = (value: unknown, where: string): Buffer => decode(value, 'base64url', where);
