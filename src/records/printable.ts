/** Foreign text that leaves us: on a terminal, in an answer, in a record that somebody will print. */

// Controls (a newline among them: one message is one line), invisible and direction-changing characters, halves of pairs.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** `text` with everything that could move a cursor, hide or reorder text, or forge a line shown as `\xNN` or `\u{N}`. */
export const printable = (text: string): string =>
  text.replace(UNSAFE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
