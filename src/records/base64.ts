/** Base64 that has one text for each sequence of bytes: `Buffer.from` alone skips junk and truncates. */
import { refused } from '../failure.ts';

const decode = (text: string, encoding: 'base64' | 'base64url'): Buffer | null => {
  const bytes = Buffer.from(text, encoding);
  return bytes.toString(encoding) === text ? bytes : null;
};

const strict = (value: unknown, encoding: 'base64' | 'base64url', where: string): Buffer => {
  const bytes = typeof value === 'string' ? decode(value, encoding) : null;
  // The message never quotes the value: tokens and secret keys come through here.
  if (bytes === null) throw refused('record-malformed', `${where}: not canonical ${encoding}`);
  return bytes;
};

/** The bytes of RFC 4648 §4, with padding and nothing else; null for any other text. */
export const decodeBase64 = (text: string): Buffer | null => decode(text, 'base64');

/** As `decodeBase64`; throws refused(`record-malformed`) naming `where`. */
export const decodeBase64Strict = (value: unknown, where: string): Buffer => strict(value, 'base64', where);

/** The bytes of RFC 4648 §5, without padding; throws refused(`record-malformed`) naming `where`. */
export const decodeBase64Url = (value: unknown, where: string): Buffer => strict(value, 'base64url', where);
