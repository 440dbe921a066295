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

const isArray = (value: readonly Json[] | { readonly [key: string]: Json }): value is readonly Json[] =>
  Array.isArray(value);

function canonicalString(text: string): string {
  // RFC 8785 §3.2.2.2: a lone surrogate is an error; JSON.stringify would write it as an escape.
  if (/\p{Surrogate}/u.test(text)) throw new RangeError('canonical JSON has no lone surrogates');
  return JSON.stringify(text);
}

/**
 * The canonical text of a value: keys in order of UTF-16 code units, ECMAScript's numbers and strings.
 * Throws RangeError for what has none: a number that is not finite, a lone surrogate.
 */
export function canonicalize(value: Json): string {
  if (typeof value === 'string') return canonicalString(value);
  if (typeof value === 'number' && !Number.isFinite(value))
    throw new RangeError('canonical JSON has finite numbers only');
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  let text = '';
  if (isArray(value)) {
    for (const item of value) text += `${text === '' ? '' : ','}${canonicalize(item)}`;
    return `[${text}]`;
  }
  for (const key of Object.keys(value).sort()) {
    const member = value[key];
    if (member === undefined) throw new TypeError(`no JSON value under ${key}`);
    text += `${text === '' ? '' : ','}${canonicalString(key)}:${canonicalize(member)}`;
  }
  return `{${text}}`;
}

/** The canonical bytes of a value; throws as `canonicalize` does. */
export const encodeCanonical = (value: Json): Buffer => Buffer.from(canonicalize(value));

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Whether brackets nest deeper than any record does: one scan, before anything recursive sees the bytes. */
function tooDeep(bytes: Uint8Array): boolean {
  let depth = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      for (at++; at < bytes.length && bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > MAX_DEPTH) return true;
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
  return false;
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
  if (tooDeep(bytes)) throw malformed(`nested deeper than ${MAX_DEPTH} levels`);
  let text: string;
  try {
    // ignoreBOM keeps a byte order mark in the text, where it is an error like any other stray character.
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw malformed('not UTF-8');
  }
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    throw malformed('not JSON');
  }
  if (!isCanonicalTextOf(text, value)) throw malformed('not in canonical form (RFC 8785)');
  return value;
}

function isCanonicalTextOf(text: string, value: Json): boolean {
  try {
    return canonicalize(value) === text;
  } catch {
    return false;
  }
}
