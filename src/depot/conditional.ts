/**
 * Conditional requests (RFC 9110 §13) for GET and HEAD: whether who asks has it already, or asks for what is not here any
 * more. Pure. What is malformed is passed over: it is as though its condition let the answer through, whole.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { sha256Hex } from '../records/sha256.ts';
import type { FileStatus } from '../tree/tree.ts';

/** What tells one state of a file or a list from another (§8.8). */
export interface Validators {
  /** An entity tag in its quotes, strong: other bytes have another one. */
  readonly tag: string;
  /** To the second; null where nobody keeps it. */
  readonly modified: Date | null;
}

/** `fresh`: they have it, 304. `failed`: it is not what they mean, 412. `stale`: answered as without conditions. */
export type Condition = 'fresh' | 'failed' | 'stale';

/**
 * Of a write-once file: its time and size, as nginx writes them, so that it may answer from the same directory, or another
 * host from a copy that kept the times.
 */
export function fileValidators({ size, modified }: FileStatus): Validators {
  const seconds = Math.floor(modified.getTime() / 1000);
  return { tag: `"${seconds.toString(16)}-${size.toString(16)}"`, modified: new Date(seconds * 1000) };
}

/** Of what changes: by its bytes, for it may do so twice in a second. */
export const bodyValidators = (body: Buffer | string): Validators => ({
  tag: `"${sha256Hex(body).slice(0, 32)}"`,
  modified: null,
});

/** §13.2.2, in its order. Of what would be answered with 200, and of nothing else (§13.2.1). */
export function judgeConditions(headers: IncomingHttpHeaders, validators: Validators): Condition {
  const { tag, modified } = validators;
  // 1. If-Match (§13.1.1), by strong comparison.
  const match = headers['if-match'];
  if (match !== undefined) {
    const tags = parseTags(match);
    if (tags !== null && tags !== '*' && !tags.includes(tag)) return 'failed';
  } else {
    // 2. Without it If-Unmodified-Since (§13.1.4).
    const since = parseDate(headers['if-unmodified-since']);
    if (since !== null && modified !== null && modified > since) return 'failed';
  }
  // 3. If-None-Match (§13.1.2), by weak comparison.
  const noneMatch = headers['if-none-match'];
  if (noneMatch !== undefined) {
    const tags = parseTags(noneMatch);
    return tags === '*' || tags?.some((each) => each.replace(/^W\//, '') === tag) ? 'fresh' : 'stale';
  }
  // 4. Without it If-Modified-Since (§13.1.3).
  const since = parseDate(headers['if-modified-since']);
  return since !== null && modified !== null && modified <= since ? 'fresh' : 'stale';
}

/**
 * 5. If-Range (§13.1.5): whether a Range is heard. A tag by strong comparison, a date only if it is the very one: which
 * is a strong validator of a file that is written once (§8.8.2.2).
 */
export function judgeIfRange(headers: IncomingHttpHeaders, { tag, modified }: Validators): boolean {
  const condition = headers['if-range'];
  if (typeof condition !== 'string' || condition === tag) return condition === undefined || condition === tag;
  const date = parseDate(condition);
  return date !== null && date.getTime() === modified?.getTime();
}

/** A list's next element, which may be empty (§5.6.1), and a tag (§8.8.3): each character is looked at once. */
const ELEMENT = /[ \t]*((?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")?[ \t]*(?:,|$)/y;

/** The entity tags of a list; null if it is none. */
function parseTags(list: string): readonly string[] | '*' | null {
  if (list === '*') return '*';
  const tags: string[] = [];
  for (ELEMENT.lastIndex = 0; ELEMENT.lastIndex < list.length;) {
    const element = ELEMENT.exec(list);
    if (element === null) return null;
    if (element[1] !== undefined) tags.push(element[1]);
  }
  return tags.length === 0 ? null : tags;
}

const MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec';
const MONTH = `(?<month>${MONTHS.match(/.{3}/g)?.join('|')})`;
const TIME = String.raw`(?<time>\d\d:\d\d:\d\d)`;
/** §5.6.7: what is sent today, and two forms of old that are still understood. */
const DATES = [
  String.raw`(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?<day>\d\d) ${MONTH} (?<year>\d{4}) ${TIME} GMT`,
  String.raw`(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?<day>\d\d)-${MONTH}-(?<year>\d\d) ${TIME} GMT`,
  String.raw`(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ${MONTH} (?<day>[ \d]\d) ${TIME} (?<year>\d{4})`,
].map((pattern) => new RegExp(`^${pattern}$`));

/** An HTTP-date (§5.6.7); null if it is none. */
function parseDate(text: string | undefined): Date | null {
  const parts = DATES.map((pattern) => pattern.exec(text ?? '')?.groups).find(
    (groups) => groups !== undefined,
  );
  if (parts === undefined) return null;
  const { day = '', month = '', year = '', time = '' } = parts;
  // two digits are a year of the last century from 70 on, as servers usually read them
  const century = year.length === 4 ? '' : Number(year) < 70 ? '20' : '19';
  const number = String(MONTHS.indexOf(month) / 3 + 1).padStart(2, '0');
  const written = `${century}${year}-${number}-${day.replace(' ', '0')}T${time}.000Z`;
  const date = new Date(written);
  // a thirtieth of February is read as another day
  return !Number.isNaN(date.getTime()) && date.toISOString() === written ? date : null;
}
