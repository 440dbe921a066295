/** How much a record may hold: at the limit it is taken, in good time; beyond it is refused before it costs. */
import { describe, expect, test } from 'vitest';
import { encodeApproval, parseApproval, terms } from '../../src/records/approval.ts';
import type { Approval } from '../../src/records/approval.ts';
import { assuranceOf, toAssurance } from '../../src/records/assurance.ts';
import { encodeCanonical, LARGE_RECORD_MAX, MAX_SUBJECTS, RECORD_MAX } from '../../src/records/canonical.ts';
import { encodeLogEntry, LOG_ENTRY_MAX, parseLogEntry } from '../../src/records/log-entry.ts';
import { toArtifactName, toSlot, toTimestamp } from '../../src/records/names.ts';
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
import {
  approval,
  b1,
  b2,
  logEntry,
  nonceApproval,
  refusal,
  release,
  revocation,
  statement,
} from './samples.ts';

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

describe('an approval', () => {
  const builder = approval.builders[b1];
  if (builder === undefined) throw new Error('no builder');
  const withBuilders = (count: number) => ({
    ...approval,
    builders: Object.fromEntries(Array.from({ length: count }, (_, i) => [toSlot(`b${i}`, 'test'), builder])),
  });

  test('has at most 16 builders, and a quorum of them', () => {
    expect(parseApproval(encodeApproval(withBuilders(16))).quorum).toBe(1);
    refusalOf(() => parseApproval(encodeApproval(withBuilders(17))));
    refusalOf(() => parseApproval(encodeApproval(withBuilders(0))));
    expect(parseApproval(encodeApproval({ ...withBuilders(3), quorum: 3 })).quorum).toBe(3);
    refusalOf(() => parseApproval(encodeApproval({ ...withBuilders(3), quorum: 4 })));
    refusalOf(() => parseApproval(encodeApproval({ ...approval, quorum: 0 })));
  });

  test('ends after it begins', () => {
    refusalOf(() => parseApproval(encodeApproval({ ...approval, expires: approval.notBefore })));
  });

  test.each(['mac', 'enrol', 'password'])(
    'has no builder of scheme %s with the fields of a key pair',
    (scheme) => {
      const text = encodeApproval(approval).toString().replace('"scheme":"keypair"', `"scheme":"${scheme}"`);
      expect(refusalOf(() => parseApproval(Buffer.from(text))).message).toContain('approval.builders.b1');
    },
  );

  test.each(['', 'a b', 'a+b', 'a\n', 'caf\u00e9', 'a'.repeat(256)])('is for no signer %j', (signer) => {
    expect(refusalOf(() => parseApproval(encodeApproval({ ...approval, signer }))).message).toContain(
      'signer',
    );
  });

  test('for digest mode says so too', () => {
    const text = encodeApproval(approval).toString().replace('"mode":"fetch"', '"mode":"digest"');
    expect(refusalOf(() => parseApproval(Buffer.from(text))).code).toBe('mode-unsupported');
  });

  test('a builder is found by its slot and nothing else is', () => {
    const parsed = parseApproval(encodeApproval(approval));
    expect(parsed.builders[b1]?.scheme).toBe('keypair');
    expect(parsed.builders[toSlot('constructor', 'test')]).toBeUndefined();
    expect(Object.getPrototypeOf(parsed.builders)).toBeNull();
  });

  test('has the same terms with other nonces, and another time to enrol', () => {
    const sealed = { uploadTokenSha256: sha256Hex('b'), sealedNonce: 'Yg==', nonceSha256: sha256Hex('c') };
    const enrolBy = toTimestamp('2026-11-22T13:00:00Z', 'test');
    const again: Approval = {
      ...nonceApproval,
      builders: { [b1]: { scheme: 'enrol', ...sealed, enrolBy }, [b2]: { scheme: 'mac', ...sealed } },
    };
    expect(terms(again)).toBe(terms(nonceApproval));
    for (const builders of [
      { [b1]: { scheme: 'mac', ...sealed }, [b2]: { scheme: 'mac', ...sealed } },
      { [b1]: { scheme: 'mac', ...sealed }, [b2]: { scheme: 'enrol', ...sealed, enrolBy } },
      { [b1]: { scheme: 'enrol', ...sealed, enrolBy } },
      { [b1]: { scheme: 'enrol', ...sealed, enrolBy }, [toSlot('b3', 'test')]: { scheme: 'mac', ...sealed } },
    ] satisfies Approval['builders'][])
      expect(terms({ ...again, builders })).not.toBe(terms(again));
    expect(terms({ ...again, quorum: 1 })).not.toBe(terms(again));
  });

  test('has the same terms with other ids, times and keys, and other terms with anything else', () => {
    const same = {
      ...approval,
      build: statement.build,
      notBefore: toTimestamp('2026-11-23T00:00:00Z', 'test'),
      expires: toTimestamp('2026-11-24T00:00:00Z', 'test'),
      builders: { [b1]: { ...builder, certificate: 'YQ==', uploadTokenSha256: sha256Hex('other') } },
    };
    expect(terms(same)).toBe(terms(approval));
    for (const other of [
      { ...approval, source: null },
      { ...approval, quorum: 2 },
      { ...approval, signer: 'example.org/other' },
      { ...approval, artifacts: { ...approval.artifacts, maxCount: 11 } },
      withBuilders(2),
    ])
      expect(terms(other)).not.toBe(terms(approval));
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

describe('what a release is called', () => {
  const { [b1]: builder } = nonceApproval.builders;
  if (builder === undefined) throw new Error('no builder');
  const of = (quorum: number, count: number) =>
    assuranceOf({
      quorum,
      builders: Object.fromEntries(
        Array.from({ length: count }, (_, at) => [toSlot(`b${at}`, 'test'), builder]),
      ),
    });

  test('after how many had to agree, not how many there were', () => {
    expect(of(1, 1)).toBe('single-builder');
    expect(of(1, 16)).toBe('single-builder');
    expect(of(2, 2)).toBe('2-of-2');
    expect(of(2, 3)).toBe('2-of-3');
    expect(of(16, 16)).toBe('16-of-16');
    for (let count = 1; count <= 16; count++)
      for (let quorum = 1; quorum <= count; quorum++)
        expect(toAssurance(of(quorum, count), 'test')).toBe(of(quorum, count));
  });

  test.each([
    '',
    'single',
    '1-of-1',
    '1-of-3',
    '0-of-2',
    '3-of-2',
    '2-of-17',
    '02-of-3',
    '2-of-03',
    '2-of-3 ',
    ' 2-of-3',
    '2-OF-3',
    '2.0-of-3',
    '2-of-3\n',
    '2/3',
    '-2-of-3',
    '2-of-Infinity',
  ])('not %j', (word) => {
    refusalOf(() => toAssurance(word, 'test'));
    const bytes = encodeRelease(release).toString().replace('single-builder', word);
    refusalOf(() => parseRelease(Buffer.from(bytes)));
  });
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
