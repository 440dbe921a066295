/** Text for a terminal: foreign text made harmless, styles kept apart from it, columns. Pure. */
import { printable } from '../records/printable.ts';

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow';

/** Text with a style. The terminal adds the codes after it has escaped the text, so text cannot bring its own. */
export interface Styled {
  readonly text: string;
  readonly style: Style | null;
  /** Escaped and no more, as `whole` says. */
  readonly whole?: true;
}

export type Part = string | Styled;

const styled =
  (style: Style) =>
  (text: string): Styled => ({ text, style });
export const bold = styled('bold');
export const dim = styled('dim');
export const red = styled('red');
export const green = styled('green');
export const yellow = styled('yellow');

/** Of what somebody is about to sign nothing is cut or left out, whatever it looks like: what is shown is what is signed. */
export const whole = (part: Part): Styled => ({
  ...(typeof part === 'string' ? { text: part, style: null } : part),
  whole: true,
});

const CODES: Record<Style, number> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 };

/** More of one line than this is not read by anybody; the rest is cut and said to be. */
const LONGEST = 4_000;

/** What must be on no screen and in no log, whoever put it into a message: a ticket, a log key's private half. */
const SECRETS = /(countersign-ticket-v1\.|PRIVATE\+KEY\+)[^\s'"]+/g;

/** `text` printable, without secrets, and no longer than somebody reads. */
export function escapeText(text: string): string {
  const known = text.replace(SECRETS, '$1…');
  const short = known.length > LONGEST ? `${known.slice(0, LONGEST)}… (cut)` : known;
  return printable(short);
}

/** One line out of parts: each escaped, then styled if `colour`. */
export function renderLine(parts: readonly Part[], colour: boolean): string {
  return parts
    .map((part) => {
      const text = shownOf(part);
      return colour && typeof part !== 'string' && part.style !== null
        ? `\u001b[${CODES[part.style]}m${text}\u001b[0m`
        : text;
    })
    .join('');
}

/** JSON on one line, ASCII only: what a terminal makes of it cannot differ from what a program reads. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value)
    .replace(SECRETS, '$1…')
    .replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Columns of every terminal: text of several lines keeps within them. */
export const WIDTH = 80;

const textOf = (part: Part): string => (typeof part === 'string' ? part : part.text);
const shownOf = (part: Part): string =>
  typeof part !== 'string' && part.whole === true ? printable(part.text) : escapeText(textOf(part));
const widthOf = (part: Part): number => shownOf(part).length;

/**
 * Parts as lines of at most `width`, broken at spaces, those after the first indented; a word that is longer is left
 * whole, and a number stays with what it counts.
 */
export function wrapParts(parts: readonly Part[], width: number, indent = ''): Part[][] {
  const lines: Part[][] = [[]];
  let [column, mayBreak] = [0, false];
  for (const part of parts) {
    let piece = '';
    const endPiece = (): void => {
      if (piece !== '') lines.at(-1)?.push(typeof part === 'string' ? piece : { ...part, text: piece });
      piece = '';
    };
    for (const word of shownOf(part).match(/(?:\d+ (?=[^ ]))?[^ ]+ *| +/g) ?? []) {
      if (mayBreak && column + word.trimEnd().length > width) {
        endPiece();
        lines.push(indent === '' ? [] : [indent]);
        column = indent.length;
      }
      piece += word;
      column += word.length;
      mayBreak = word.endsWith(' ');
    }
    endPiece();
  }
  return lines;
}

/** Text as lines of at most `WIDTH` columns, those after the first indented. */
export const wrapText = (text: string, indent = ''): string[] =>
  wrapParts([text], WIDTH - indent.length).map(
    (parts, line) => (line === 0 ? '' : indent) + parts.map(textOf).join('').trimEnd(),
  );

/**
 * Rows of columns as lines of parts, each column as wide as its widest cell, two spaces between. The last cell
 * of a row goes on below itself where a line indented by two would be too long.
 */
export function alignColumns(rows: readonly (readonly Part[])[]): Part[][] {
  const widths: number[] = [];
  for (const row of rows)
    row.slice(0, -1).forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, widthOf(cell))));
  return rows.flatMap((row) => {
    const left = row
      .slice(0, -1)
      .flatMap((cell, i) => [cell, ' '.repeat((widths[i] ?? 0) - widthOf(cell) + 2)]);
    const indent = left.reduce((sum, part) => sum + widthOf(part), 0);
    const lines = wrapParts(row.slice(-1), WIDTH - 2 - indent);
    return lines.map((line, i) => [...(i === 0 ? left : [' '.repeat(indent)]), ...line]);
  });
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `1.5 GiB`, for people; records and JSON have the plain number. */
export function formatSize(bytes: number): string {
  const power = Math.min(UNITS.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${Number(value.toFixed(1))} ${UNITS[power]}`;
}

/** `1 artifact`, `2 artifacts`. */
export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** A fingerprint in groups of four, as gpg shows it and people read it aloud. */
export const spaced = (fingerprint: string): string => fingerprint.replace(/(.{4})(?=.)/g, '$1 ');
