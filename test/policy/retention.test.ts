/** What a depot keeps, and how long: a build of each kind, by the clock; and what the log says of a build. */
import { describe, expect, test } from 'vitest';
import { LoggedBuilds, retention, retentionTime } from '../../src/policy/retention.ts';
import type { BuildFacts } from '../../src/policy/retention.ts';
import { heartbeat } from '../../src/records/log-entry.ts';
import type { BuildEntryType } from '../../src/records/log-entry.ts';
import { timestampDate, toProjectName } from '../../src/records/names.ts';
import { PROJECT, buildId, entry, timeOf } from '../harness/made-log.ts';
import { approval, b1, b2, builderEntry, expires, project } from './scene.ts';

const DAY = 24;
/** So many hours after the approval's end. */
const hours = (count: number): Date => new Date(timestampDate(expires).getTime() + count * 3600_000);

const open: BuildFacts = {
  ...{ project, approval, logged: null, approved: true, sealed: 0, published: false },
  begun: false,
  keepRefusedMs: 30 * DAY * 3600_000,
};
const logged = { intended: false, released: false, ended: null };
const two = { ...approval, builders: { [b1]: builderEntry('b1'), [b2]: builderEntry('b2') } };

const unapproved = { ...open, approved: false };
const sealed = { ...open, sealed: 1 };
const intended = { ...sealed, logged: { ...logged, intended: true } };
const released = { ...sealed, logged: { ...logged, intended: true, released: true } };
const published = { ...released, published: true };
const refused = { ...sealed, logged: { ...logged, ended: hours(-2) } };
const foreign = { ...unapproved, approval: { ...approval, project: toProjectName('other', 'test') } };

test.each([
  // Not sealed: artifacts go an hour after the end, its records never.
  ['open', open, -1, null],
  ['open, just ended', open, 0.9, null],
  ['ended unsealed', open, 1, 'unnamed'],
  ['ended unsealed, and logged', { ...open, logged }, 1000 * DAY, 'unnamed'],
  ['one of two sealed', { ...open, sealed: 1, approval: { ...two, quorum: 2 } }, 1, 'unnamed'],
  ['logged, and an approver is none any more', { ...unapproved, logged }, 2 * DAY, 'unnamed'],
  // Approved by too few: all of it goes a day after the end.
  ['unapproved', unapproved, -1, null],
  ['unapproved, ended', unapproved, 1, 'unnamed'],
  ['unapproved, ended a day ago', unapproved, DAY, 'unapproved'],
  ['unapproved and sealed', { ...sealed, approved: false }, 1, null],
  ['unapproved and sealed, ended a day ago', { ...sealed, approved: false }, DAY, 'unapproved'],
  // The log is older than what lies here.
  ['unapproved by today, and begun', { ...unapproved, begun: true }, 1000 * DAY, null],
  ['unapproved by today, and published', { ...unapproved, published: true }, 1000 * DAY, 'unnamed'],
  ['open, and begun', { ...open, begun: true }, 1000 * DAY, null],
  // Sealed or begun: for the signer to say.
  ['sealed', sealed, 1000 * DAY, null],
  [
    'sealed and logged, and an approver is none any more',
    { ...sealed, approved: false, logged },
    2 * DAY,
    null,
  ],
  ['begun', intended, 1000 * DAY, null],
  ['begun, its statements gone', { ...intended, sealed: 0 }, 1000 * DAY, null],
  ['released', released, 1000 * DAY, null],
  // Decided: what no statement names goes once none can come.
  ['published', published, -1, 'unnamed'],
  ['published, one of two sealed', { ...published, approval: two }, -1, null],
  ['published, one of two sealed, ended', { ...published, approval: two }, 0, 'unnamed'],
  ['published long ago', published, 1000 * DAY, 'unnamed'],
  [
    'published, and withdrawn',
    { ...published, logged: { ...published.logged, ended: hours(1) } },
    1000 * DAY,
    'unnamed',
  ],
  ['refused', refused, -1, 'unnamed'],
  ['refused, nobody had sealed it', { ...refused, sealed: 0 }, -1, null],
  ['refused before thirty days', refused, 30 * DAY - 2.1, 'unnamed'],
  ['refused thirty days ago', refused, 30 * DAY - 2, 'refused'],
  [
    'revoked after its intent',
    { ...intended, logged: { ...intended.logged, ended: hours(-2) } },
    30 * DAY,
    'refused',
  ],
  // Not ours.
  ['of another project', foreign, 1000 * DAY, null],
  [
    'of another signer',
    { ...unapproved, approval: { ...approval, signer: 'example.org/other' } },
    1000 * DAY,
    null,
  ],
] as const)('%s: %s hours after its end', (_, facts, after, drop) => {
  expect(retention(facts, hours(after)).drop).toBe(drop);
});

test.each([
  ['an open build: at its end', open, -1, hours(0)],
  ['one that has ended: in an hour', open, 0, hours(1)],
  ['one without artifacts any more: never', open, 1, null],
  ['an unapproved one: in an hour, and in a day', unapproved, 1, hours(DAY)],
  ['a sealed one: when the log says more', sealed, 0, null],
  ['one that is about to be published: next time', released, 5, hours(5)],
  ['a published one: at its end, as builders may send more', published, -1, hours(0)],
  ['then never', published, 0, null],
  ['a refused one: in thirty days', refused, 0, hours(30 * DAY - 2)],
] as const)('looks again at %s', (_, facts, after, again) => {
  expect(retention(facts, hours(after)).again).toEqual(again);
});

test.each([
  ['the log, which stands still', hours(1000 * DAY), hours(0), hours(0)],
  ['the clock, if the signer’s is ahead', hours(0), hours(1000 * DAY), hours(0)],
  ['no log: nothing goes', hours(0), null, null],
])('it goes by %s', (_, now, newest, time) => {
  expect(retentionTime(now, newest)).toEqual(time);
});

describe('what the log says', () => {
  const after = (...types: BuildEntryType[]) => {
    const log = new LoggedBuilds();
    // twice: a log may be read again
    for (const _ of [1, 2]) for (const [index, type] of types.entries()) log.add(entry(type, 1, index));
    return log.of(buildId(1));
  };
  const at = (index: number): Date => timestampDate(timeOf(index));

  test('nothing of a build that it does not name', () => {
    const log = new LoggedBuilds();
    log.add(heartbeat(PROJECT, timeOf(0)));
    log.add(entry('approval', 1, 1));
    expect(log.of(buildId(2))).toBeNull();
    expect(log.newest).toEqual(at(1));
    log.add(heartbeat(PROJECT, timeOf(2)));
    expect(log.newest).toEqual(at(2));
    expect(log.of(buildId(1))).toEqual(logged);
  });

  test.each([
    [['approval', 'statement'], logged],
    [['approval', 'statement', 'intent'], { ...logged, intended: true }],
    [['approval', 'statement', 'intent', 'release'], { ...logged, intended: true, released: true }],
    [['approval', 'statement', 'refusal'], { ...logged, ended: at(2) }],
    [['approval', 'revocation'], { ...logged, ended: at(1) }],
    [['approval', 'statement', 'intent', 'revocation'], { ...logged, intended: true, ended: at(3) }],
    [
      ['approval', 'intent', 'release', 'conflict', 'revocation'],
      { ...logged, intended: true, released: true },
    ],
  ] as const)('%s', (types, expected) => {
    expect(after(...types)).toEqual(expected);
  });

  test('a quarter of a million builds take some tens of megabytes', () => {
    const log = new LoggedBuilds();
    const before = process.memoryUsage().heapUsed;
    const one = entry('approval', 1, 1);
    for (let number = 0; number < 250_000; number++) log.add({ ...one, build: buildId(number) });
    expect((process.memoryUsage().heapUsed - before) / 2 ** 20).toBeLessThan(100);
    expect(log.of(buildId(249_999))).not.toBeNull();
  });
});
