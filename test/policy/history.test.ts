/** What may follow what in the log, and what decisions read out of it. */
import { expect, test } from 'vitest';
import { heartbeat } from '../../src/records/log-entry.ts';
import type { BuildEntry, BuildEntryType } from '../../src/records/log-entry.ts';
import {
  toBuildId,
  toFingerprint,
  toProjectName,
  toSlot,
  toTimestamp,
  toVersion,
} from '../../src/records/names.ts';
import type { BuildId } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { History } from '../../src/policy/history.ts';

const build = toBuildId('01jd9v7q3m4n5p6r7s8t9vwxyz', 'test');
const next = toBuildId('01jd9v7q3m4n5p6r7s8t9vwxz0', 'test');
const project = toProjectName('hello', 'test');
const version = toVersion('1.0', 'test');
const key = toFingerprint('A'.repeat(40), 'test');

const RECORDS: Record<BuildEntryType, readonly string[]> = {
  approval: ['approval.json', `approval.json.${key}.sig`],
  statement: ['statements/b1.json', 'statements/b1.json.sig'],
  conflict: ['statements/b1.2.json'],
  intent: ['manifest.json', `approval.json.${key}.sig`],
  release: ['release.json', 'manifest.json'],
  refusal: ['refusal.json'],
  enrolment: ['enrolments/b1.json', 'enrolments/b1.json.mac', 'enrolments/b1.json.sig'],
  revocation: [`revocations/${key}.json`, `revocations/${key}.json.sig`],
};

const entry = (type: BuildEntryType, of: BuildId = build): BuildEntry => ({
  type,
  time: toTimestamp('2026-11-22T12:00:00Z', 'test'),
  ...{ build: of, project, version },
  records: Object.fromEntries(RECORDS[type].map((path) => [path, sha256Hex(path)])),
  keys: type === 'approval' ? [key] : [],
});

function historyOf(...types: BuildEntryType[]): History {
  const history = new History();
  types.forEach((type, index) => history.add(entry(type), index));
  return history;
}

test.each<BuildEntryType[]>([
  ['approval', 'approval'],
  ['approval', 'statement', 'statement'],
  ['approval', 'intent'],
  ['statement'],
  ['intent'],
  ['approval', 'statement', 'intent', 'intent'],
  ['approval', 'statement', 'intent', 'statement'],
  ['approval', 'statement', 'intent', 'refusal'],
  ['approval', 'statement', 'conflict'],
  ['approval', 'statement', 'intent', 'conflict', 'conflict'],
  ['approval', 'statement', 'release'],
  ['approval', 'statement', 'intent', 'release', 'release'],
  ['refusal', 'approval'],
  ['approval', 'refusal', 'statement'],
  ['approval', 'refusal', 'refusal'],
])('no log goes %s, %s …', (...types) => {
  const before = historyOf(...types.slice(0, -1));
  const known = before.build(build);
  expect(() => before.add(entry(types.at(-1) ?? 'approval'), 9)).toThrow(RangeError);
  expect(before.build(build)).toBe(known);
});

test('a build from its approval to its release', () => {
  const { approval, statements, intent, release, refusal, conflicts } =
    historyOf('approval', 'statement', 'intent', 'release', 'conflict').build(build) ?? {};
  expect(approval).toMatchObject({ index: 0, sha256: sha256Hex('approval.json') });
  expect(statements?.get(toSlot('b1', 'test'))).toMatchObject({ index: 1, time: '2026-11-22T12:00:00Z' });
  expect(intent).toMatchObject({ index: 2, approvers: [key] });
  expect(release).toMatchObject({ index: 3, sha256: sha256Hex('release.json') });
  expect(refusal).toBeNull();
  expect(conflicts).toEqual(
    new Map([
      [
        'statements/b1.2.json',
        { index: 4, time: '2026-11-22T12:00:00Z', sha256: sha256Hex('statements/b1.2.json') },
      ],
    ]),
  );
});

test('a conflict is a further statement, and each is one once', () => {
  const history = historyOf('approval', 'statement', 'intent');
  const conflict = (records: Record<string, string>): BuildEntry => ({
    ...entry('conflict'),
    records: Object.fromEntries(Object.entries(records).map(([path, text]) => [path, sha256Hex(text)])),
  });
  history.add(conflict({ 'statements/b1.3.json': 'dissent' }), 3);
  for (const records of [
    { 'statements/b1.json': 'more dissent' },
    { 'statements/b1.2.json.sig': 'a signature' },
    { 'statements/b1.3.json': 'more dissent' },
    { 'statements/b1.2.json': 'dissent' },
    { 'statements/b1.2.json': 'statements/b1.json' },
  ] satisfies Record<string, string>[])
    expect(() => history.check(conflict(records)), JSON.stringify(records)).toThrow(RangeError);
  history.add(conflict({ 'statements/b1.2.json': 'more dissent' }), 4);
  expect([...(history.build(build)?.conflicts.keys() ?? [])]).toEqual([
    'statements/b1.3.json',
    'statements/b1.2.json',
  ]);
});

test('a version is bound to its build until that is refused', () => {
  const history = historyOf('approval');
  expect(history.holder(project, version)?.build).toBe(build);
  expect(history.keys).toEqual(new Set([key]));
  history.add(entry('refusal'), 1);
  expect(history.holder(project, version)).toBeNull();
  history.add(entry('approval', next), 2);
  expect(history.holder(project, version)?.build).toBe(next);
});

test('a refused approval never held the version', () => {
  const history = historyOf('approval', 'statement', 'intent');
  history.add(entry('refusal', next), 3);
  expect(history.holder(project, version)?.build).toBe(build);
});

test('a version is for ever the build’s with its intent, whatever is approved before or after', () => {
  const history = historyOf('approval', 'statement');
  history.add(entry('approval', next), 2);
  expect(history.holder(project, version)?.build).toBe(next);
  history.add(entry('refusal', next), 3);
  history.add(entry('intent'), 4);
  expect(history.holder(project, version)?.build).toBe(build);
  history.add(entry('approval', toBuildId('01jd9v7q3m4n5p6r7s8t9vwxz1', 'test')), 5);
  expect(history.holder(project, version)?.build).toBe(build);
});

test('entries of one build agree on what it is', () => {
  const history = historyOf('approval');
  expect(() => history.check({ ...entry('statement'), version: toVersion('2.0', 'test') })).toThrow(
    RangeError,
  );
});

test('a heartbeat changes nothing, wherever it comes, but how old the log is', () => {
  const history = new History();
  expect(history.newest).toBeNull();
  const alive = (hour: number) => heartbeat(project, toTimestamp(`2026-11-23T0${hour}:00:00Z`, 'test'));
  history.add(alive(0), 0);
  expect(history.newest).toBe('2026-11-23T00:00:00Z');
  expect(history.builds()).toEqual([]);
  history.add(entry('approval'), 1);
  expect(history.newest).toBe('2026-11-22T12:00:00Z');
  const known = history.build(build);
  history.add(alive(1), 2);
  history.add(alive(2), 3);
  expect(history.newest).toBe('2026-11-23T02:00:00Z');
  expect(history.build(build)).toBe(known);
  history.add(entry('statement'), 4);
  expect(history.build(build)?.statements.get(toSlot('b1', 'test'))).toMatchObject({ index: 4 });
});
