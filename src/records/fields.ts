/**
 * Readers for closed schemas: each takes an untrusted value and where it stands, returns it typed, and
 * throws refused(`record-malformed`) naming the place. Values are never quoted: tickets come through here.
 */
import { refused } from '../failure.ts';
import type { Failure } from '../failure.ts';

/** The failure for a field that is not what its schema says. */
export const malformed = (where: string, problem: string): Failure =>
  refused('record-malformed', `${where}: ${problem}`);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** An object with exactly these keys. */
export function closedObject<Key extends string>(
  value: unknown,
  where: string,
  keys: readonly Key[],
): Record<Key, unknown> {
  if (!isObject(value)) throw malformed(where, 'not an object');
  for (const key of keys) if (!Object.hasOwn(value, key)) throw malformed(where, `field ${key} is missing`);
  const names: readonly string[] = keys;
  if (Object.keys(value).length !== keys.length) {
    const unknown = Object.keys(value).find((key) => !names.includes(key)) ?? '';
    throw malformed(where, `unknown field '${unknown.slice(0, 64)}'`);
  }
  return value;
}

/**
 * An object whose keys are data: between `min` and `max` of them, each read by `toKey`, its value by
 * `toValue`. The result has no prototype, so that looking up a key like `constructor` finds nothing.
 */
export function recordOf<Key extends string, Value>(
  value: unknown,
  where: string,
  bounds: { min: number; max: number },
  toKey: (key: string, where: string) => Key,
  toValue: (value: unknown, where: string) => Value,
): Record<Key, Value> {
  if (!isObject(value)) throw malformed(where, 'not an object');
  const entries = Object.entries(value);
  if (entries.length < bounds.min || entries.length > bounds.max)
    throw malformed(where, `not ${bounds.min} to ${bounds.max} fields`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an empty object is one of any such type
  const result = Object.create(null) as Record<Key, Value>;
  for (const [key, item] of entries) {
    const name = toKey(key, `${where}: a field name`);
    result[name] = toValue(item, `${where}.${name}`);
  }
  return result;
}

/** An array of `min` to `max` items, each read by `toItem`. */
export function listOf<Item>(
  value: unknown,
  where: string,
  bounds: { min: number; max: number },
  toItem: (value: unknown, where: string) => Item,
): Item[] {
  if (!Array.isArray(value)) throw malformed(where, 'not an array');
  if (value.length < bounds.min || value.length > bounds.max)
    throw malformed(where, `not ${bounds.min} to ${bounds.max} items`);
  return value.map((item: unknown, index) => toItem(item, `${where}[${index}]`));
}

/** Any text of at most `maxBytes` bytes of UTF-8, not empty. */
export function text(value: unknown, where: string, maxBytes: number): string {
  if (typeof value !== 'string') throw malformed(where, 'not a string');
  if (value === '') throw malformed(where, 'empty');
  if (value.length > maxBytes || Buffer.byteLength(value) > maxBytes)
    throw malformed(where, `longer than ${maxBytes} bytes`);
  return value;
}

/** A URI: a scheme, then printable ASCII without spaces, at most 2,048 characters. */
export function uri(value: unknown, where: string): string {
  const candidate = text(value, where, 2048);
  if (!/^[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+$/.test(candidate)) throw malformed(where, 'not a URI');
  return candidate;
}

/** An integer from `min` to `max`, both below 2^53. */
export function integer(
  value: unknown,
  where: string,
  { min = 0, max = Number.MAX_SAFE_INTEGER }: { min?: number; max?: number } = {},
): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value))
    throw malformed(where, 'not an integer below 2^53');
  if (value < min || value > max) throw malformed(where, `not from ${min} to ${max}`);
  return value;
}

/** One of these words. */
export function oneOf<Word extends string>(value: unknown, where: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === value);
  if (found === undefined) throw malformed(where, `not ${words.join(' or ')}`);
  return found;
}

export function boolean(value: unknown, where: string): boolean {
  if (typeof value !== 'boolean') throw malformed(where, 'not true or false');
  return value;
}

/** What `read` makes of the value, or null for null. */
export const nullOr = <T>(
  value: unknown,
  where: string,
  read: (value: unknown, where: string) => T,
): T | null => (value === null ? null : read(value, where));
