import type { Json } from '../../src/records/canonical.ts';

type JsonObject = { readonly [key: string]: Json };

const isJson = (value: unknown): value is Json => value !== undefined;
export const isObject = (value: Json): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Any JSON, canonical or not. */
export function readJson(text: string): Json {
  const value: unknown = JSON.parse(text);
  if (!isJson(value)) throw new TypeError('not JSON');
  return value;
}

/** The members of a JSON object, in its order. */
export function membersOf(text: string): [string, Json][] {
  const value = readJson(text);
  if (!isObject(value)) throw new TypeError('not a JSON object');
  return Object.entries(value);
}

/** The member of a JSON object that is text. */
export function textOf(text: string, name: string): string {
  const value = Object.fromEntries(membersOf(text))[name];
  if (typeof value !== 'string') throw new TypeError(`no text under ${name}`);
  return value;
}
