/** The fast way to read a list of subjects takes nothing that the slow one does not, and finds the same in it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalize, parseCanonical } from '../../src/records/canonical.ts';
import { scanSubjects } from '../../src/records/subject-scan.ts';
import { checkedList, statedSubjectsJson, toStatedSubjects } from '../../src/records/subject.ts';
import * as arbitrary from './arbitrary.ts';

const lists = fc.oneof(arbitrary.subjects, arbitrary.statedSubjects);
const record = (list: string): Buffer => Buffer.from(`{"a":"x","subjects":${list},"type":"y"}`);
const outcome = (read: () => unknown): unknown => {
  try {
    return read();
  } catch (error) {
    return String(error);
  }
};

test('it takes every list that is written here, and leaves the rest of the record', () => {
  fc.assert(
    fc.property(lists, (subjects) => {
      const scanned = scanSubjects(record(canonicalize(statedSubjectsJson(subjects))), 'subjects');
      expect(scanned).toEqual({ subjects, rest: record('[]') });
    }),
  );
});

test('of a list with other bytes in it, it says what the slow one says, or nothing', () => {
  // what is most likely to look right: pieces of such a list, and digits
  const piece = fc.constantFrom('0', '9', 'a', 'A', '.', '/', '"', '\\', ',', '{', '}', ']', ' ', 'é', '');
  fc.assert(
    fc.property(lists, fc.nat(), fc.nat({ max: 2 }), piece, (subjects, place, length, other) => {
      const good = canonicalize(statedSubjectsJson(subjects));
      const at = place % good.length;
      const bytes = record(good.slice(0, at) + other + good.slice(at + length));
      const scanned = scanSubjects(bytes, 'subjects');
      if (scanned === null || !scanned.rest.equals(record('[]'))) return;
      const limits = { maxBytes: bytes.length, what: 'test' };
      const whole = parseCanonical(bytes, limits) as { readonly subjects: unknown };
      expect(outcome(() => checkedList(scanned.subjects, 'test'))).toEqual(
        outcome(() => toStatedSubjects(whole.subjects, 'test')),
      );
    }),
    { numRuns: 5_000 },
  );
});

test('a size that no number holds exactly is for the slow one to refuse', () => {
  const one = (size: string): Buffer =>
    record(`[{"annotations":{"size":${size}},"digest":{"sha256":"${'0'.repeat(64)}"},"name":"a"}]`);
  const most = String(Number.MAX_SAFE_INTEGER);
  expect(scanSubjects(one(most), 'subjects')?.subjects).toMatchObject([{ size: Number.MAX_SAFE_INTEGER }]);
  expect(scanSubjects(one(`${most.slice(0, -1)}2`), 'subjects')).toBeNull();
});
