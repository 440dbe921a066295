/** Closed schemas: every place of every record, with its field gone, with one too many, with another kind of value. */
import { describe, expect, test } from 'vitest';
import { encodeCanonical } from '../../src/records/canonical.ts';
import type { Json } from '../../src/records/canonical.ts';
import { Failure } from '../../src/failure.ts';
import { refusalOf } from '../harness/failure.ts';
import { isObject, readJson } from '../harness/json.ts';
import { records } from './samples.ts';

type Path = readonly (string | number)[];

/** Every place of a value, from its members down; the value itself is not one. */
function places(value: Json, path: Path = []): Path[] {
  const members = isObject(value) ? Object.entries(value) : [];
  const items = Array.isArray(value) ? value.map((item: Json, index) => [index, item] as const) : [];
  return [...members, ...items].flatMap(([key, member]) => [
    [...path, key],
    ...places(member, [...path, key]),
  ]);
}

const itemsOf = (item: Json | undefined): Json[] => (item === undefined ? [] : [item]);

const valueAt = (value: Json, path: Path): Json => {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  const found = (isObject(value) ? Object.entries(value) : Object.entries(value ?? {})).find(
    ([name]) => name === String(key),
  );
  return found === undefined ? null : valueAt(found[1], rest);
};

/** The value with what `change` makes of the one at the path; undefined takes it out. */
function changed(value: Json, path: Path, change: (value: Json) => Json | undefined): Json {
  const [key, ...rest] = path;
  const inside = (member: Json) => (rest.length === 0 ? change(member) : changed(member, rest, change));
  if (Array.isArray(value))
    return value.flatMap((item: Json, index) => (index === key ? itemsOf(inside(item)) : [item]));
  if (!isObject(value)) throw new TypeError('no such place');
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, member]) => {
      const result = name === key ? inside(member) : member;
      return result === undefined ? [] : [[name, result]];
    }),
  );
}

/** Items of lists and of maps, which have more than one in the examples or may be none; and what only one mode has. */
const MAY_BE_FEWER =
  /^(?:log entry records\.|statement for digest mode subject\.0\.annotations\.sha256State|(?:statement subject|manifest subjects|release approvers|log entry keys|(?:approval|ticket)[a-z ]* artifacts\.patterns)\.\d+$)/;
const OTHER_KINDS: readonly Json[] = [null, true, 0, -1, 0.5, '', 'x', ' ', '\n', [], {}, [[]], { x: 1 }];

describe.each(records)('$name', ({ name, bytes, parse, again }) => {
  const good = readJson(bytes.toString());
  const where = places(good).map((path) => ({ path, at: path.join('.') }));
  const objects = [{ path: [], at: 'the top' }, ...where].filter(({ path }) => isObject(valueAt(good, path)));

  test.each(where)('without $at', ({ path, at }) => {
    const hostile = encodeCanonical(changed(good, path, () => undefined));
    if (MAY_BE_FEWER.test(`${name} ${at}`)) expect(again(hostile)).toEqual(hostile);
    else refusalOf(() => parse(hostile));
  });

  test.each(objects)('an unknown field in $at', ({ path }) => {
    const more = (value: Json): Json => (isObject(value) ? { ...value, zzz: null } : value);
    const hostile = path.length === 0 ? more(good) : changed(good, path, more);
    refusalOf(() => parse(encodeCanonical(hostile)));
  });

  test.each(where)('another kind of value in $at', ({ path }) => {
    for (const other of OTHER_KINDS) {
      const input = encodeCanonical(changed(good, path, () => other));
      try {
        // Some are legal there; but then they are kept, as they are.
        expect(again(input)).toEqual(input);
      } catch (error) {
        expect(error).toBeInstanceOf(Failure);
      }
    }
  });
});
