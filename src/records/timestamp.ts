/** Times as records write them: RFC 3339, UTC, whole seconds, `2026-11-22T12:00:00Z` (protocol §2). */
import { refused } from '../failure.ts';

declare const brand: unique symbol;
export type Timestamp = string & { readonly [brand]: 'Timestamp' };

/** A time in that one form, on a day that the calendar has. Timestamps compare as strings. */
export function isTimestamp(text: string): text is Timestamp {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text)) return false;
  // Date rolls 2026-02-30 over into March and takes 24:00:00: only what comes back unchanged is real.
  const date = new Date(text);
  return !Number.isNaN(date.getTime()) && `${date.toISOString().slice(0, 19)}Z` === text;
}

/** The value as a timestamp; throws refused(`record-malformed`) naming `where`. */
export function toTimestamp(value: unknown, where: string): Timestamp {
  if (typeof value !== 'string' || !isTimestamp(value))
    throw refused('record-malformed', `${where}: not a time like 2026-11-22T12:00:00Z`);
  return value;
}

/** The moment, cut to the second. Throws RangeError for a date without a four-digit year. */
export function timestamp(date: Date): Timestamp {
  const text = `${date.toISOString().slice(0, 19)}Z`;
  if (!isTimestamp(text)) throw new RangeError('a time outside the years 0000 to 9999');
  return text;
}

/** The moment that a timestamp names. */
export const timestampDate = (time: Timestamp): Date => new Date(time);
