/** The bytes of canonical base64 (RFC 4648 §4, with padding), null for anything else. */
export function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64');
  // Buffer.from skips junk and truncates: only what encodes to the same text is canonical.
  return bytes.toString('base64') === text ? bytes : null;
}
