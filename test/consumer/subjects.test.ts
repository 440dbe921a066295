/** Thousands of artifacts with the same bytes, or the same name but for its directory: each file is looked up at once. */
import { expect, test } from 'vitest';
import { Subjects } from '../../src/consumer/subjects.ts';
import { toArtifactName } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';

const COUNT = 10_000;
const same = sha256Hex('the same');
const subject = (name: string, sha256 = same, size = 8) => ({
  ...{ name: toArtifactName(name, 'test'), sha256, size, sha256State: null },
});

test('the one whose full name it is, else the first of the same last part, with these bytes alone', () => {
  const subjects = [
    ...['a/app', 'b/app', 'b/other'].map((name) => subject(name)),
    subject('c/app', sha256Hex('else'), 4),
  ];
  const found = new Subjects(subjects, new Map([['a/app.asc', sha256Hex('signature')]]));
  const content = { sha256: same, size: 8 };
  expect(found.matching('/x/b/app', content)?.name).toBe('b/app');
  expect(found.matching('/x/app', content)?.name).toBe('a/app');
  expect(found.matching('/x/c/app', content)?.name).toBe('a/app');
  expect(found.matching('/x/no', content)).toBeNull();
  expect(found.matching('/x/b/app', { sha256: same, size: 9 })).toBeNull();
  expect(found.withContent(content)?.name).toBe('a/app');
  expect(found.withLastPart('y/app')?.name).toBe('a/app');
  expect(found.isSignature('y/app.asc', sha256Hex('signature'))).toBe(true);
  expect(found.isSignature('y/other.asc', sha256Hex('signature'))).toBe(false);
});

test('no lookup goes over all of them', () => {
  let looks = 0;
  const counted = Array.from({ length: COUNT }, (_, at) => {
    const one = subject(`d${at}/f${at}`);
    return {
      ...one,
      get size(): number {
        looks += 1;
        return one.size;
      },
    };
  });
  const found = new Subjects(counted, new Map());
  looks = 0;
  for (let at = 0; at < COUNT; at++)
    expect(found.matching(`/x/f${at}`, { sha256: same, size: 8 })?.name).toBe(`d${at}/f${at}`);
  expect(looks).toBeLessThan(10 * COUNT);
});
