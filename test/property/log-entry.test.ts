/** The fast reader of log entries says what the strict one says, or nothing. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Failure } from '../../src/failure.ts';
import { BUILD_ENTRY_TYPES, encodeLogEntry, parseLogEntry } from '../../src/records/log-entry.ts';
import type { LogEntry } from '../../src/records/log-entry.ts';
import { scanLogEntry } from '../../src/records/log-entry-scan.ts';
import { entries, entry } from '../harness/made-log.ts';
import {
  buildFile,
  buildId,
  fingerprint,
  project,
  recordOf,
  sha256,
  timestamp,
  version,
} from './arbitrary.ts';

const buildEntry = fc.record({
  type: fc.constantFrom(...BUILD_ENTRY_TYPES),
  time: timestamp,
  build: buildId,
  project,
  version,
  records: recordOf(buildFile, sha256, 20),
  keys: fc.array(fingerprint, { maxLength: 64 }),
});

const strict = (bytes: Buffer): LogEntry | null => {
  try {
    return parseLogEntry(bytes);
  } catch (error) {
    if (error instanceof Failure) return null;
    throw error;
  }
};

test('it takes every entry of a build, and reads it as the strict one does', () => {
  fc.assert(
    fc.property(buildEntry, (any) => {
      const bytes = encodeLogEntry(any);
      expect(scanLogEntry(bytes)).toEqual(parseLogEntry(bytes));
    }),
    { numRuns: 300 },
  );
});

test('what it takes of spoilt entries, the strict one takes too', () => {
  const further = (['enrolment', 'revocation', 'conflict'] as const).map((type) => entry(type, 1, 5));
  const made = [...entries(37), ...further].map(encodeLogEntry);
  // what a canonical text may be spoilt with: its own characters, and those that mean something
  const pieces = [
    '"',
    ',',
    ':',
    '{',
    '}',
    '[',
    ']',
    '\\',
    '\\u0041',
    ' ',
    '\n',
    '\0',
    '\u00e9',
    '0',
    'a',
    'Z',
    '-',
    '.json',
    'x',
  ];
  let taken = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...made),
      fc.nat(400),
      fc.constantFrom(0, 1, 1, 1, 1, 2, 12),
      fc.oneof(
        fc.constantFrom(...pieces),
        fc.constantFrom(...made).map((each) => each.toString().slice(100, 180)),
      ),
      (whole, at, cut, put) => {
        const bytes = Buffer.concat([whole.subarray(0, at), Buffer.from(put), whole.subarray(at + cut)]);
        const scanned = scanLogEntry(bytes);
        if (scanned === null) return;
        taken += 1;
        expect(scanned).toEqual(strict(bytes));
      },
    ),
    { numRuns: 20_000 },
  );
  expect(taken).toBeGreaterThan(100);
});

test.each([
  ['records out of order', /("records":\{)("[^"]+":"[^"]+"),("[^"]+":"[^"]+")/, '$1$3,$2'],
  ['a record twice', /("records":\{)("[^"]+":"[^"]+")/, '$1$2,$2'],
  ['no record', /"records":\{[^}]*\}/, '"records":{}'],
  ['a record that no build has', /"approval\.json"/, '"approval.jsom"'],
  ['the 30th of February', /2026-01-01T/, '2026-02-30T'],
  ['25 o’clock', /T00:00/, 'T25:00'],
  ['a leap second', /:00Z/, ':60Z'],
  ['a key in lower case', /"F{4}/, '"ffff'],
  ['too long a version', /"version":"[^"]+"/, `"version":"${'1'.repeat(65)}"`],
  ['no type of ours', /"type":"[^"]+"/, '"type":"approved"'],
  ['a line after it', /$/, '\n'],
])('neither takes %s', (_, wrong, instead) => {
  const [entry] = entries(1);
  const good = entry ? encodeLogEntry(entry).toString() : '';
  // the day before was right
  expect(scanLogEntry(Buffer.from(good))).not.toBeNull();
  const bytes = Buffer.from(good.replace(wrong, instead));
  expect(bytes.toString()).not.toBe(good);
  expect(scanLogEntry(bytes)).toBeNull();
  expect(strict(bytes)).toBeNull();
});

test('601 records and 65 keys are too many for both, and a long entry', () => {
  const [entry] = entries(1);
  if (!entry || entry.type === 'heartbeat') throw new Error('not made');
  const many = (count: number) =>
    Object.fromEntries(
      Array.from({ length: count }, (_, at) => [`signatures/${at}.asc`, entry.records['approval.json']]),
    );
  const key = entry.keys[0];
  for (const [change, good] of [
    [{ records: many(600) }, true],
    [{ records: many(601) }, false],
    [{ keys: Array(64).fill(key) }, true],
    [{ keys: Array(65).fill(key) }, false],
    [
      {
        records: Object.fromEntries(
          Object.entries(many(600)).map(([path, digest]) => [
            path.replace('.asc', `${'x'.repeat(60)}.asc`),
            digest,
          ]),
        ),
      },
      false,
    ],
  ] as const) {
    const bytes = encodeLogEntry({ ...entry, ...change } as LogEntry);
    expect(scanLogEntry(bytes) !== null).toBe(good);
    expect(strict(bytes) !== null).toBe(good);
  }
});
