/** How much a record may hold: at the limit it is taken, in good time; beyond it is refused before it costs. */
import { describe, expect, test } from 'vitest';
import { parseApproval } from '../../src/records/approval.ts';
import { encodeCanonical, LARGE_RECORD_MAX, MAX_SUBJECTS, RECORD_MAX } from '../../src/records/canonical.ts';
import { encodeLogEntry, LOG_ENTRY_MAX, parseLogEntry } from '../../src/records/log-entry.ts';
import { toArtifactName } from '../../src/records/names.ts';
import { encodeRefusal, parseRefusal, refusalOf as makeRefusal } from '../../src/records/refusal.ts';
import { encodeRelease, parseRelease } from '../../src/records/release.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import {
  CHECKSUMS_FILE,
  formatChecksums,
  formatSignaturesList,
  parseSignaturesList,
} from '../../src/records/signatures-list.ts';
import { encodeRevocation, parseRevocation, REASON_MAX } from '../../src/records/revocation.ts';
import { encodeStatement, parseStatement, sortSubjects } from '../../src/records/statement.ts';
import type { Subject } from '../../src/records/statement.ts';
import { refusalOf } from '../harness/failure.ts';
import { logEntry, refusal, release, revocation, statement } from './samples.ts';

/** So many subjects with names of 231 characters: some 35 MB of statement for 100,000. */
function subjects(count: number): Subject[] {
  const sha256 = sha256Hex('same');
  return Array.from({ length: count }, (_, index) => ({
    name: toArtifactName(`dist/${'a'.repeat(210)}/${String(index).padStart(6, '0')}.tar.gz`, 'test'),
    sha256,
    size: index,
  }));
}

describe('100,000 subjects', () => {
  const many = subjects(MAX_SUBJECTS);

  test('a statement of 35 MB is written and read in seconds', () => {
    const bytes = encodeStatement({ ...statement, subjects: many });
    expect(bytes.length).toBeGreaterThan(35_000_000);
    const started = performance.now();
    expect(parseStatement(bytes).subjects).toHaveLength(MAX_SUBJECTS);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  test('so are the lists of checksums and signatures', () => {
    const signatures = new Map(many.map(({ name, sha256 }) => [`${name}.asc`, sha256]));
    signatures.set(`${CHECKSUMS_FILE}.asc`, sha256Hex('sums'));
    const list = formatSignaturesList(signatures);
    expect(parseSignaturesList(list)).toEqual(signatures);
    expect(list.toString()).toMatch(/^[0-9a-f]{64} {2}SHA256SUMS\.asc\n/);
    expect(formatChecksums(many.toReversed()).toString().split('\n')).toHaveLength(MAX_SUBJECTS + 1);
  });

  test('one more is refused', () => {
    const extra = ['SHA256SUMS', 'a', ...many.map(({ name }) => name)].map((name) => `${name}.asc`);
    const list = formatSignaturesList(new Map(extra.map((name) => [name, sha256Hex('')])));
    expect(refusalOf(() => parseSignaturesList(list)).message).toBe(
      'signatures.list: more than 100001 lines',
    );
    const bytes = encodeStatement({ ...statement, subjects: subjects(MAX_SUBJECTS + 1) });
    expect(refusalOf(() => parseStatement(bytes)).message).toBe('statement.subject: not 1 to 100000 items');
  });

  test('none at all is refused', () => {
    refusalOf(() => parseStatement(encodeStatement({ ...statement, subjects: [] })));
  });
});

test('bytes beyond the limit are not looked at', () => {
  const started = performance.now();
  expect(refusalOf(() => parseStatement(Buffer.alloc(LARGE_RECORD_MAX + 1, '['))).code).toBe(
    'record-too-large',
  );
  expect(refusalOf(() => parseApproval(Buffer.alloc(RECORD_MAX + 1, '['))).code).toBe('record-too-large');
  expect(refusalOf(() => parseLogEntry(Buffer.alloc(LOG_ENTRY_MAX + 1, '['))).code).toBe('record-too-large');
  expect(refusalOf(() => parseSignaturesList(Buffer.alloc(LARGE_RECORD_MAX + 1, '\n'))).code).toBe(
    'record-too-large',
  );
  expect(performance.now() - started).toBeLessThan(1000);
});

test('hostile megabytes within the limit are refused in good time', () => {
  const size = LARGE_RECORD_MAX;
  const started = performance.now();
  for (const text of ['[', '"', '\\"', '{"a":', '0'])
    refusalOf(() => parseStatement(Buffer.alloc(size, text)));
  // As objects these would take three gigabytes.
  for (const item of ['[]', '{}', '0', '""', '{"a":0}']) {
    const bytes = Buffer.alloc(50_000_000 - (50_000_000 % (item.length + 1)) + 1, `,${item}`);
    bytes.write('[');
    bytes.write(']', bytes.length - 1);
    expect(refusalOf(() => parseStatement(bytes)).message).toBe('statement: more than 1000000 values');
  }
  refusalOf(() => parseSignaturesList(Buffer.alloc(size, '\n')));
  expect(performance.now() - started).toBeLessThan(20_000);
});

describe('subjects', () => {
  test('are sorted by bytes, whatever came', () => {
    const names = ['b', 'a/b', 'a-b', 'B', 'a.b', '_'].map((name) => toArtifactName(name, 'test'));
    const sorted = sortSubjects(names.map((name) => ({ name, sha256: sha256Hex(name), size: 0 })));
    expect(sorted.map(({ name }) => name)).toEqual(['B', '_', 'a-b', 'a.b', 'a/b', 'b']);
  });
});

describe('a refusal', () => {
  const reason = (text: string) => ({ code: 'too-large' as const, where: 'dist/a', text });
  const of = (...texts: string[]) => makeRefusal({ ...refusal, reasons: texts.map(reason) });
  const fits = (value: ReturnType<typeof of>) => {
    const bytes = encodeRefusal(value);
    expect(bytes.length).toBeLessThanOrEqual(RECORD_MAX);
    expect(parseRefusal(bytes)).toEqual(value);
  };

  test('lists what 64 KiB hold and counts the rest', () => {
    for (const length of [1, 50, 200, 1000]) {
      const value = of(...Array.from({ length: 5000 }, () => 'é'.repeat(length)));
      fits(value);
      expect(value.reasons.length).toBeGreaterThan(10);
      expect(value.reasons.length + value.more).toBe(5000);
    }
    expect(of('one').more).toBe(0);
  });

  test('lists at most 1,000', () => {
    const value = makeRefusal({
      ...refusal,
      reasons: Array.from({ length: 1001 }, () => ({ code: 'signer' as const, where: 'a', text: 'b' })),
    });
    fits(value);
    expect(value.reasons.length).toBe(1000);
    expect(value.more).toBe(1);
  });

  test('keeps foreign text, escaped, cut, and whole in its characters', () => {
    const value = of('\x1b[2J\n"\\\ud800', '', '😀'.repeat(1000));
    fits(value);
    expect(value.reasons[0]?.text).toBe('\\x1b[2J\\x0a"\\\\u{d800}');
    expect(value.reasons[1]?.text).toBe('-');
    expect(value.reasons[2]?.text).toMatch(/^(?:😀)+…$/u);
  });

  test('has a reason', () => {
    expect(() => of()).toThrow(RangeError);
  });
});

test('a release names each approver once, ascending, and at least two signatures', () => {
  const [first = '', second = ''] = release.approvers;
  const refuses = (change: object) =>
    refusalOf(() => parseRelease(encodeRelease({ ...release, ...change }))).message;
  expect(first < second).toBe(true);
  for (const approvers of [[second, first], [first, first], []])
    expect(refuses({ approvers })).toContain('release.approvers');
  // An artifact and SHA256SUMS.
  expect(refuses({ signatures: { ...release.signatures, count: 1 } })).toContain('count');
  expect(parseRelease(encodeRelease(release))).toEqual(release);
});

test('a reason to take a build back is some text, and not much of it', () => {
  const of = (reason: string) => parseRevocation(encodeRevocation({ ...revocation, reason })).reason;
  for (const reason of ['x', 'é'.repeat(REASON_MAX / 2), '😀'.repeat(REASON_MAX / 4)]) {
    expect(of(reason)).toBe(reason);
    expect(refusalOf(() => of(`${reason}${'é'.repeat(REASON_MAX / 2)}`)).message).toContain('reason');
  }
  refusalOf(() => of(''));
});

test('a log entry names files of its build, and stays under 64 KiB', () => {
  const records = Object.fromEntries(
    Array.from({ length: 600 }, (_, i) => [`blobs/${sha256Hex(String(i))}`, sha256Hex(String(i))]),
  );
  expect(refusalOf(() => parseLogEntry(encodeLogEntry({ ...logEntry, records }))).code).toBe(
    'record-too-large',
  );
  for (const path of ['../x', 'countersign.toml', 'builds/x', ''])
    refusalOf(() => parseLogEntry(encodeLogEntry({ ...logEntry, records: { [path]: sha256Hex('') } })));
});

test('a heartbeat is of no build, and an entry of a build is of one', () => {
  const { time, project, version, build, records, keys } = logEntry;
  const bare = { type: 'heartbeat', time, project, build: null, version: null, records: {}, keys: [] };
  expect(parseLogEntry(encodeCanonical(bare))).toEqual(bare);
  for (const change of [{ build }, { version }, { records }, { keys: [...keys] }, { type: 'intent' }])
    expect(refusalOf(() => parseLogEntry(encodeCanonical({ ...bare, ...change }))).code).toMatch(
      /-malformed$/,
    );
});
