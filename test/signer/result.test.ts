import { expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { toBuildId } from '../../src/records/names.ts';
import { exitStatus } from '../../src/signer/result.ts';
import type { Outcome, RoundResult } from '../../src/signer/result.ts';

const build = toBuildId('01jd9v7q3m4n5p6r7s8t9vwxyz', 'test');
const other = toBuildId('01jd9v7q3m4n5p6r7s8t9vwxz0', 'test');

const after = (...outcomes: Outcome[]): RoundResult => ({
  results: outcomes.map((outcome) => ({
    ...{ build, outcome, state: 'built', code: null, text: '', hint: '' },
    ...{ artifacts: 0, bytes: 0, signSeconds: 0, publishSeconds: 0 },
  })),
  log: null,
});

test('a log that could not be sent is 3, unless there was a verdict', () => {
  const log = unable('network', 'the depot is away');
  expect(exitStatus({ ...after('published'), log })).toBe(3);
  expect(exitStatus({ ...after(), log })).toBe(3);
  expect(exitStatus({ ...after('refused'), log })).toBe(1);
});

test.each<[exit: number, outcomes: Outcome[]]>([
  [0, []],
  [0, ['published', 'sent', 'waiting', 'void', 'decided']],
  [1, ['published', 'declined']],
  [1, ['published', 'refused']],
  [1, ['bad', 'published']],
  [3, ['published', 'unfinished']],
  [1, ['unfinished', 'refused']],
])('exit %i after %j', (exit, outcomes) => {
  expect(exitStatus(after(...outcomes))).toBe(exit);
});

test('a named build that is not published because of a verdict is 1, whenever the verdict was', () => {
  expect(exitStatus(after('decided'), [build])).toBe(1);
  expect(exitStatus(after('declined'), [build])).toBe(1);
  expect(exitStatus(after('void'), [build])).toBe(1);
  expect(exitStatus(after('decided', 'void'), [other])).toBe(0);
  expect(exitStatus(after('waiting'), [build])).toBe(0);
});
