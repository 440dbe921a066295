/** Text for a terminal: foreign text made harmless, styles kept apart from it, columns. Pure. */
import { printable } from '../records/printable.ts';

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow';

/** Text with a style. The terminal adds the codes after it has escaped the text, so text cannot bring its own. */
export interface Styled {
  readonly text: string;
  readonly style: Style;
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
      if (typeof part === 'string') return escapeText(part);
      const text = escapeText(part.text);
      return colour ? `\u001b[${CODES[part.style]}m${text}\u001b[0m` : text;
    })
    .join('');
}

/** JSON on one line, ASCII only: what a terminal makes of it cannot differ from what a program reads. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value)
    .replace(SECRETS, '$1…')
    .replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Rows of columns as lines of parts, each column as wide as its widest cell, two spaces between. */
export function alignColumns(rows: readonly (readonly Part[])[]): Part[][] {
  const width = (cell: Part): number => escapeText(typeof cell === 'string' ? cell : cell.text).length;
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, width(cell))));
  return rows.map((row) =>
    row.flatMap((cell, i) =>
      i === row.length - 1 ? [cell] : [cell, ' '.repeat((widths[i] ?? 0) - width(cell) + 2)],
    ),
  );
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `1.5 GiB`, for people; records and JSON have the plain number. */
export function formatSize(bytes: number): string {
  const power = Math.min(UNITS.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 || Number.isInteger(value) ? value : value.toFixed(1)} ${UNITS[power]}`;
}

/** `1 artifact`, `2 artifacts`. */
export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** A fingerprint in groups of four, as gpg shows it and people read it aloud. */
export const spaced = (fingerprint: string): string => fingerprint.replace(/(.{4})(?=.)/g, '$1 ');
