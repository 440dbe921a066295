/** Attack family "encoding": bytes that two parsers could read as two things, made of the text of any JSON record. */
import { canonicalize } from '../../src/records/canonical.ts';
import type { Json } from '../../src/records/canonical.ts';
import { membersOf } from './json.ts';

/** The first member of the object, as text: `"key":value`. */
function firstMember(text: string): { key: string; member: string } {
  const [key, value] = membersOf(text)[0] ?? [];
  if (key === undefined || value === undefined) throw new Error('no member');
  return { key, member: `"${key}":${canonicalize(value)}` };
}

const escaped = (text: string) => `\\u00${text.charCodeAt(0).toString(16)}${text.slice(1)}`;
const inFront = (text: string, member: string) => `{${member},${text.slice(1)}`;
const withField = (text: string, key: string, value: Json) => {
  return canonicalize(Object.fromEntries([...membersOf(text), [key, value]]));
};

/** Bytes instead of the text of a good record; null where the record has no such place. */
type Encoding = (text: string) => string | Buffer | null;

const ENCODINGS: Readonly<Record<string, Encoding>> = {
  nothing: () => '',
  'another kind of value': () => '[]',
  null: () => 'null',
  'an empty object': () => '{}',
  'duplicate key': (text) => inFront(text, firstMember(text).member),
  'duplicate key, other value first': (text) => inFront(text, `"${firstMember(text).key}":0`),
  'escaped duplicate': (text) => inFront(text, `"${escaped(firstMember(text).key)}":0`),
  'escaped key': (text) => text.replace(firstMember(text).key, escaped(firstMember(text).key)),
  __proto__: (text) => withField(text, '__proto__', {}),
  '__proto__ that holds a field': (text) => `{"__proto__":{${firstMember(text).member}},${text.slice(1)}`,
  'a field of every prototype': (text) => withField(text, 'constructor', null),
  'an unknown field': (text) => withField(text, 'zzz', null),
  'an unknown field without a name': (text) => withField(text, '', null),
  '2^53+1': (text) => (/:\d+[,}]/.test(text) ? text.replace(/:\d+([,}])/, ':9007199254740993$1') : null),
  '2^53': (text) => (/:\d+[,}]/.test(text) ? text.replace(/:\d+([,}])/, ':9007199254740992$1') : null),
  '1e400': (text) => (/:\d+[,}]/.test(text) ? text.replace(/:\d+([,}])/, ':1e400$1') : null),
  '-0': (text) => (/:\d+[,}]/.test(text) ? text.replace(/:\d+([,}])/, ':-0$1') : null),
  '-1': (text) => (/:\d+[,}]/.test(text) ? text.replace(/:\d+([,}])/, ':-1$1') : null),
  '1.5': (text) => (/:\d+[,}]/.test(text) ? text.replace(/:\d+([,}])/, ':1.5$1') : null),
  'a number as a string': (text) => (/:\d+[,}]/.test(text) ? text.replace(/:(\d+)([,}])/, ':"$1"$2') : null),
  '200,000 levels': () => `${'['.repeat(200_000)}${']'.repeat(200_000)}`,
  '30,000 levels in a field': (text) => withLevels(text, 15_000),
  '33 levels in a field': (text) => withLevels(text, 33),
  'objects without end': () => '{"a":'.repeat(12_000),
  'invalid UTF-8': (text) =>
    Buffer.concat([Buffer.from(text.slice(0, -2)), Buffer.from([0xff]), Buffer.from('"}')]),
  'overlong UTF-8': (text) => inBytes(text, [0xc0, 0xaf]),
  'a surrogate in UTF-8': (text) => inBytes(text, [0xed, 0xa0, 0x80]),
  'a lone surrogate, escaped': (text) => inFront(text, '"\\ud800":0'),
  'UTF-16': (text) => Buffer.from(text, 'utf16le'),
  'byte order mark': (text) => `\ufeff${text}`,
  'two documents': (text) => text + text,
  'two documents, a line each': (text) => `${text}\n${text}`,
  'a newline at the end': (text) => `${text}\n`,
  'a space in front': (text) => ` ${text}`,
  'NUL at the end': (text) => `${text}\0`,
  'pretty-printed': (text) => JSON.stringify(JSON.parse(text), null, 2),
  'keys turned round': (text) => JSON.stringify(Object.fromEntries(membersOf(text).toReversed())),
  'cut in the middle': (text) => text.slice(0, text.length / 2),
  '2026-02-30': (text) => otherTime(text, '2026-02-30T12:00:00Z'),
  'midnight as 24:00:00': (text) => otherTime(text, '2026-11-22T24:00:00Z'),
  'a leap second': (text) => otherTime(text, '2026-12-31T23:59:60Z'),
  'a time with a fraction': (text) => otherTime(text, '2026-11-22T12:00:00.5Z'),
  'a time of another zone': (text) => otherTime(text, '2026-11-22T12:00:00+01:00'),
  'a time in lower case': (text) => otherTime(text, '2026-11-22t12:00:00z'),
  'upper-case hex': (text) =>
    /"[0-9a-f]{64}"/.test(text) ? text.replace(/"[0-9a-f]{64}"/, (hex) => hex.toUpperCase()) : null,
  'a short digest': (text) => (/"[0-9a-f]{64}"/.test(text) ? text.replace(/[0-9a-f]"/, '"') : null),
};

const inBytes = (text: string, bytes: number[]) =>
  Buffer.concat([Buffer.from(`{"`), Buffer.from(bytes), Buffer.from(`":0,${text.slice(1)}`)]);
const withLevels = (text: string, levels: number) =>
  inFront(text, `"":${'['.repeat(levels)}${']'.repeat(levels)}`);
const TIME = /"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"/;
const otherTime = (text: string, time: string) => (TIME.test(text) ? text.replace(TIME, `"${time}"`) : null);

/** Every encoding of a record that has a place for it, by what is wrong with it. */
export const encodingsOf = (record: Buffer): Map<string, Buffer> =>
  new Map(
    Object.entries(ENCODINGS).flatMap(([what, encode]) => {
      const encoded = encode(record.toString());
      return encoded === null ? [] : [[what, Buffer.from(encoded)] as const];
    }),
  );

/** Base64 that Node would take for some bytes, and that is no base64; to be put into JSON. */
export const junkBase64 = (value: string, padding: '==' | '' = '=='): Map<string, string> =>
  new Map([
    ['nothing', ''],
    ['a newline', `${value.slice(0, 4)}\\n${value.slice(4)}`],
    ['a space', `${value} `],
    ['an exclamation mark', `${value.slice(0, 4)}!${value.slice(4)}`],
    ['both alphabets', `-_+/${value}`],
    ['more padding', `${value}=`],
    ['padding in the middle', `YQ==${value}`],
    ['a lone character', `A${padding}`],
    ['bits that say nothing', `QR${padding}`],
  ]);
