/**
 * Canonical JSON (RFC 8785, JCS), the one form a record's bytes may have (protocol §2).
 *
 * A record is accepted only if its bytes are what `canonicalize` makes of their own parse. That one rule
 * throws out duplicate keys, escapes that hide them, numbers that a double does not hold, white space, byte
 * order marks and second documents.
 */
import { refused } from '../failure.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Most records. */
export const RECORD_MAX = 64 * 1024;
/** Statement, manifest and signatures.list. */
export const LARGE_RECORD_MAX = 64 * 1024 * 1024;
export const MAX_SUBJECTS = 100_000;
const MAX_DEPTH = 32;
/** Brackets and commas: six a subject. 64 MiB of `{},{},…` would take gigabytes once they are objects. */
const MAX_VALUES = 1_000_000;

/**
 * The canonical text of a value: keys in order of UTF-16 code units, ECMAScript's numbers and strings.
 * Throws RangeError for what has none: a number that is not finite, a lone surrogate.
 */
export const canonicalize = (value: Json): string => write(value);

function write(value: unknown): string {
  if (typeof value === 'string') return writeString(value);
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value);
  if (value === null || typeof value === 'boolean') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`;
  if (!isObject(value)) throw new RangeError('canonical JSON has no such value');
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${writeString(key)}:${write(value[key])}`).join(',')}}`;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** Printable ASCII but quote and backslash: no escapes. Most strings are that, and statements are large. */
const PLAIN = /^[ !#-[\]-~]*$/;

function writeString(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  // RFC 8785 §3.2.2.2: a lone surrogate is an error; JSON.stringify would write it as an escape.
  if (/\p{Surrogate}/u.test(text)) throw new RangeError('canonical JSON has no lone surrogates');
  return JSON.stringify(text);
}

/** The canonical bytes of a value; throws as `canonicalize` does. */
export const encodeCanonical = (value: Json): Buffer => Buffer.from(canonicalize(value));

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;

/** Why the bytes would cost more than any record: one scan, before anything recursive sees them; or null. */
function tooMuch(bytes: Uint8Array): string | null {
  let depth = 0;
  let values = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      for (at++; at < bytes.length && bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
    } else if (byte === 0x7b || byte === 0x5b) {
      values++;
      if (++depth > MAX_DEPTH) return `nested deeper than ${MAX_DEPTH} levels`;
    } else if (byte === 0x7d || byte === 0x5d) depth--;
    else if (byte === COMMA) values++;
    if (values > MAX_VALUES) return `more than ${MAX_VALUES} values`;
  }
  return null;
}

/**
 * The value of canonical JSON bytes.
 *
 * Takes the bytes, the most that are looked at, and what to call them in an error. Throws refused:
 * `record-too-large`, or `record-malformed` for anything that is not exactly the canonical form. No
 * message and no cause quotes the bytes, as a ticket holds secrets.
 */
export function parseCanonical(bytes: Uint8Array, limits: { maxBytes: number; what: string }): Json {
  const { maxBytes, what } = limits;
  const malformed = (problem: string) => refused('record-malformed', `${what}: ${problem}`);
  if (bytes.length > maxBytes) throw refused('record-too-large', `${what}: more than ${maxBytes} bytes`);
  const excess = tooMuch(bytes);
  if (excess !== null) throw malformed(excess);
  let text: string;
  try {
    // ignoreBOM keeps a byte order mark in the text, where it is an error like any other stray character.
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw malformed('not UTF-8');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed('not JSON');
  }
  if (!isCanonical(value, text)) throw malformed('not in canonical form (RFC 8785)');
  return value;
}

/** Whether this is the text that the value must have; that it can be written at all makes it JSON. */
function isCanonical(value: unknown, text: string): value is Json {
  try {
    return write(value) === text;
  } catch {
    return false;
  }
}
