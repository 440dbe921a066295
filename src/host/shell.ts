/** Commands that are shown for people to copy. */

/** A word of a shell command, quoted where it must be: what a hint names may be any path. */
export const word = (text: string): string =>
  /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
