/** Enrolments and revocations in a log: shown, found by who they are of, and told apart by when they came. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { conditionsOf } from '../../src/audit/filter.ts';
import type { Filter } from '../../src/audit/filter.ts';
import { look } from '../../src/audit/monitor.ts';
import type { Pass, Watch } from '../../src/audit/monitor.ts';
import { formatMemory, parseMemory } from '../../src/audit/monitor/memory.ts';
import { Courses } from '../../src/audit/releases.ts';
import { verifyLog } from '../../src/audit/verify.ts';
import type { BuildEntryType, LogEntry } from '../../src/records/log-entry.ts';
import { toSlot } from '../../src/records/names.ts';
import { LogReader, openLog } from '../../src/tree/log/reader.ts';
import {
  ADA,
  MadeLog,
  PROJECT,
  buildId,
  entries,
  entry,
  fingerprint,
  leaves,
  timeOf,
} from '../harness/made-log.ts';

let scratch: string;
let log: MadeLog;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'cs-revocations-'));
  log = new MadeLog(join(scratch, 'log'));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

const KEY = fingerprint(0xe401);
const told = (...types: BuildEntryType[]): LogEntry[] =>
  types.map((type, index) => ({ ...entry(type, 0, index), ...(type === 'enrolment' && { keys: [KEY] }) }));
const ENROLLED = told('approval', 'enrolment', 'statement', 'intent', 'release');

const nothing: Filter = {
  ...{ build: null, project: null, version: null, key: null, approver: null, builder: null },
  ...{ type: null, since: null, until: null },
};
const found = (all: readonly LogEntry[], filter: Partial<Filter>): string[] =>
  all
    .filter((each) => conditionsOf({ ...nothing, ...filter }).every((holds) => holds(each)))
    .map(({ type }) => type);
const courses = (all: readonly LogEntry[], filter: Partial<Filter> = {}) => {
  const seen = new Courses(conditionsOf({ ...nothing, ...filter }));
  all.forEach((each, index) => seen.take(each, index));
  return [...seen.met()];
};

test('an enrolment is found by its builder and the key that it brings; a revocation by who made it', () => {
  const all = [...ENROLLED, entry('revocation', 0, 5)];
  expect(found(all, { key: KEY.slice(-16) })).toEqual(['enrolment']);
  expect(found(all, { builder: toSlot('b1', 'test') })).toEqual(['enrolment', 'statement']);
  expect(found(all, { approver: ADA })).toEqual(['approval', 'intent', 'revocation']);
});

describe('what became of a build', () => {
  test('released, and withdrawn after that: both are said, and where it was released', () => {
    const all = [...ENROLLED, entry('revocation', 0, 9)];
    expect(courses(all)).toMatchObject([
      { outcome: 'released', index: 4, time: timeOf(4), withdrawn: timeOf(9) },
    ]);
    expect(courses(ENROLLED)).toMatchObject([{ outcome: 'released', withdrawn: null }]);
  });

  test('which releases rest on a key that was stolen: also that of an enrolment', () => {
    const all = [...ENROLLED, ...[5, 6, 7, 8].map((index) => entry('approval', index, index))];
    expect(courses(all, { key: KEY })).toMatchObject([{ build: buildId(0), outcome: 'released' }]);
  });

  test.each([['approval'], ['approval', 'statement'], ['approval', 'statement', 'intent']] as const)(
    'revoked, before it was released: after %s',
    (...types) => {
      const all = [...told(...types), entry('revocation', 0, 9)];
      expect(courses(all)).toMatchObject([{ outcome: 'revoked', index: types.length, withdrawn: null }]);
    },
  );
});

describe('a log that no signer writes is named, entry by entry', () => {
  test.each<[string, BuildEntryType[], number[]]>([
    ['whole', ['approval', 'enrolment', 'statement', 'intent', 'release', 'revocation'], []],
    ['a release after its revocation', ['approval', 'statement', 'intent', 'revocation', 'release'], [4]],
    ['withdrawn twice', ['approval', 'statement', 'intent', 'release', 'revocation', 'revocation'], [5]],
    ['revoked, and nobody had allowed it', ['revocation'], [0]],
    ['enrolled after its statement', ['approval', 'statement', 'enrolment'], [2]],
    ['enrolled twice', ['approval', 'enrolment', 'enrolment'], [2]],
  ])('%s', async (_, types, wrong) => {
    log.add(leaves(told(...types)));
    const files = await openLog({ kind: 'directory', directory: log.directory });
    const { findings, counts } = await verifyLog({
      ...{ files, trust: log.trust, ours: true, list: null },
      progress() {},
    });
    expect(findings.listed.map(({ code, index }) => `${code} ${index}`)).toEqual(
      wrong.map((index) => `entry-order ${index}`),
    );
    expect(counts?.get('approval') ?? 0).toBe(types.filter((type) => type === 'approval').length);
  });
});

describe('a monitor', () => {
  let remembered: Buffer | null;
  beforeEach(() => {
    remembered = null;
  });

  async function hour(at = log, more: Partial<Watch> = {}): Promise<Pass> {
    const reader = new LogReader(await openLog({ kind: 'directory', directory: at.directory }), log.trust);
    const pass = await look({
      ...{ reader, trust: log.trust, place: '/depot', project: PROJECT, witnesses: [], alarms: [] },
      ...{ expected: null, maxAge: null, seen: false, now: () => new Date(timeOf(log.size)) },
      memory: remembered && parseMemory(remembered, log.trust),
      ...more,
    });
    if (pass.memory) remembered = formatMemory(pass.memory);
    return pass;
  }

  test('a withdrawal is news, once; so is a build that was revoked; neither is an alert', async () => {
    log.add(leaves(ENROLLED));
    expect((await hour()).news).toMatchObject([{ news: 'release', index: 4 }]);
    log.add(leaves([entry('revocation', 0, 5), entry('approval', 1, 6), entry('revocation', 1, 7)]));
    const pass = await hour();
    expect(pass.alerts).toEqual([]);
    expect(pass.news).toMatchObject([
      { news: 'withdrawal', index: 5, version: '1.0' },
      { news: 'revocation', index: 7, version: '1.1' },
    ]);
    expect((await hour()).news).toEqual([]);
  });

  test('a depot that sets the log back to before the withdrawal, or shows another history', async () => {
    log.add(leaves(ENROLLED));
    const [short, other] = ['short', 'other'].map((name) => new MadeLog(join(scratch, name), log.signer));
    cpSync(log.directory, join(scratch, 'short'), { recursive: true });
    other?.add(leaves([...ENROLLED, ...entries(4, 8)]));
    log.add(leaves([entry('revocation', 0, 5)]));
    await hour();
    const codes = async (at?: MadeLog) => (await hour(at)).alerts.map(({ code }) => code);
    expect(await codes(short)).toEqual(['rollback']);
    expect(await codes(other)).toEqual(['fork']);
    expect(await codes()).toEqual([]);
  });
});
