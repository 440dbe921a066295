/** What may follow what, when builders enrol and builds are taken back; and that a reader can stop and go on. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { History } from '../../src/policy/history.ts';
import { Order } from '../../src/policy/order.ts';
import type { BuildEntry, BuildEntryType } from '../../src/records/log-entry.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { ADA, buildId, ephemeralKey, fingerprint, PROJECT, timeOf, versionOf } from '../harness/made-log.ts';

const BOB = fingerprint(0xb0b);
const RECORDS: Readonly<Record<string, readonly string[]>> = {
  approval: ['approval.json', `approval.json.${ADA}.sig`],
  intent: ['manifest.json', `approval.json.${ADA}.sig`],
  release: ['release.json', 'manifest.json'],
  refusal: ['refusal.json'],
  revocation: [`revocations/${ADA}.json`, `revocations/${ADA}.json.sig`],
};
/** `statement b2` names the one of b2, `enrolment b1+b2` those of two, `conflict b1.2` a variant. */
function recordsOf(type: string, slots: string): readonly string[] {
  const directory = type === 'enrolment' ? 'enrolments' : 'statements';
  return RECORDS[type] ?? (slots || 'b1').split('+').map((slot) => `${directory}/${slot}.json`);
}

const TYPES = [
  'approval',
  'enrolment',
  'statement',
  'intent',
  'release',
  'conflict',
  'refusal',
  'revocation',
];
/** An entry as it is said: its type, and of which slots. */
function entry(said: string, build = 1, keys?: BuildEntry['keys']): BuildEntry {
  const [word = '', slots = ''] = said.split(' ');
  const type = TYPES.find((each): each is BuildEntryType => each === word);
  if (type === undefined) throw new Error(`no entry of type ${word}`);
  return {
    ...{ type, time: timeOf(0), build: buildId(build), project: PROJECT, version: versionOf(build) },
    records: Object.fromEntries(recordsOf(word, slots).map((path) => [path, sha256Hex(path)])),
    keys: keys ?? (type === 'enrolment' ? [ephemeralKey(slots === 'b2' ? 2 : 1)] : []),
  };
}
/** The order after all of them but the last, and whether that may come. */
function goesOn(line: string): boolean {
  const all = line.split(', ').map((said) => entry(said));
  const order = new Order();
  all.forEach((each, at) => {
    if (at === all.length - 1) return;
    order.check(each);
    order.take(each);
  });
  const last = all.at(-1);
  if (last === undefined) throw new Error('no entry');
  try {
    order.check(last);
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(RangeError);
    return false;
  }
}

const SEALED = 'approval, enrolment, statement';
const DONE = `${SEALED}, intent, release`;

describe('a log goes', () => {
  test.each([
    'approval, enrolment',
    'approval, enrolment b1, enrolment b2',
    'approval, enrolment b1, statement b1, enrolment b2',
    'approval, enrolment b1, statement b2',
    'approval, statement b1, statement b2, statement b3',
    'approval, statement b1+b2, statement b3',
    `${SEALED}, intent`,
    `${SEALED}, refusal`,
    'approval, revocation',
    'approval, enrolment, revocation',
    `${SEALED}, revocation`,
    `${SEALED}, intent, revocation`,
    `${DONE}, revocation`,
    `${DONE}, revocation, conflict b1.2`,
    `${DONE}, revocation, conflict b2`,
    `${DONE}, conflict b1.2, revocation`,
    'refusal',
  ])('%s', (line) => expect(goesOn(line)).toBe(true));
});

describe('no log goes', () => {
  test.each([
    // builders enrol once, for one build, before they seal
    'enrolment',
    'approval, enrolment, enrolment',
    'approval, enrolment b1, enrolment b1.2',
    'approval, enrolment b1+b2',
    'approval, statement, enrolment',
    'approval, statement b1+b2, enrolment b2',
    `${SEALED}, intent, enrolment b2`,
    `${DONE}, enrolment b2`,
    'approval, refusal, enrolment',
    'approval, enrolment, statement b1, statement b1.2',
    'approval, enrolment, intent',
    `${SEALED}, intent, conflict b1`,
    // taken back before the release: it is over
    'revocation',
    'refusal, revocation',
    'approval, refusal, revocation',
    'approval, revocation, revocation',
    'approval, revocation, approval',
    'approval, revocation, enrolment',
    'approval, revocation, statement',
    'approval, revocation, refusal',
    `${SEALED}, revocation, intent`,
    `${SEALED}, revocation, refusal`,
    `${SEALED}, intent, revocation, release`,
    `${SEALED}, intent, revocation, conflict b1.2`,
    `${SEALED}, intent, revocation, revocation`,
    // after it: once, and nothing of it is undone
    `${DONE}, revocation, revocation`,
    `${DONE}, conflict b1.2, revocation, revocation`,
    `${DONE}, revocation, release`,
    `${DONE}, revocation, refusal`,
    `${DONE}, revocation, intent`,
    `${DONE}, revocation, statement b2`,
    `${DONE}, revocation, enrolment b2`,
    `${DONE}, revocation, conflict b1`,
  ])('%s', (line) => expect(goesOn(line)).toBe(false));

  test.each<[string, BuildEntry]>([
    ['an enrolment that brings no key', entry('enrolment', 1, [])],
    ['an enrolment that brings two', entry('enrolment', 1, [ephemeralKey(1), ephemeralKey(2)])],
    ['an enrolment without one', { ...entry('enrolment'), records: entry('statement').records }],
    ['a revocation without one', { ...entry('revocation'), records: entry('refusal').records }],
    ['a revocation of another version', { ...entry('revocation'), version: versionOf(2) }],
    [
      'a revocation by its signature alone',
      { ...entry('revocation'), records: { [`revocations/${ADA}.json.sig`]: sha256Hex('x') } },
    ],
  ])('on with %s', (_, wrong) => {
    const [order, history] = [new Order(), new History()];
    order.take(entry('approval'));
    history.add(entry('approval'), 0);
    const known = history.build(buildId(1));
    expect(() => order.check(wrong)).toThrow(RangeError);
    expect(() => history.add(wrong, 1)).toThrow(RangeError);
    expect(history.build(buildId(1))).toBe(known);
  });
});

test('a version that a build has an intent for stays its own, though it is taken back', () => {
  const order = new Order();
  for (const said of ['approval', 'statement', 'intent', 'revocation']) order.take(entry(said));
  const other = (said: string): BuildEntry => ({ ...entry(said, 2), version: versionOf(1) });
  for (const said of ['approval', 'statement']) order.take(other(said));
  expect(() => order.check(other('intent'))).toThrow(RangeError);
});

/** Any entry of few builds: most can't come where they stand, and are left out. */
const SAYINGS = [
  ...TYPES,
  ...['enrolment b2', 'statement b2', 'statement b1+b2', 'conflict b1.2', 'conflict b2'],
];
const alive = SAYINGS.filter((said) => said !== 'refusal' && said !== 'revocation');
const word = fc.oneof(
  { weight: 15, arbitrary: fc.constantFrom(...alive) },
  fc.constantFrom('refusal', 'revocation'),
);
const course = fc.array(fc.tuple(word, fc.constantFrom(1, 2)), { maxLength: 60, size: 'max' });

test('a reader who stops anywhere, and goes on from what was saved or copied, is told the same', () => {
  let longest = 0;
  const verdict = (order: Order, each: BuildEntry): boolean => {
    try {
      order.check(each);
      return true;
    } catch {
      return false;
    }
  };
  fc.assert(
    fc.property(course, (all) => {
      const order = new Order();
      let taken = 0;
      for (const each of all.map(([said, build]) => entry(said, build))) {
        if (!verdict(order, each)) continue;
        order.take(each);
        taken += 1;
      }
      longest = Math.max(longest, taken);
      const again = Order.from(JSON.parse(JSON.stringify(order.save())));
      expect(again.save()).toEqual(order.save());
      for (const said of SAYINGS)
        for (const build of [1, 2]) {
          const asked = entry(said, build);
          expect([again, order.copy()].map((each) => verdict(each, asked))).toEqual(
            Array(2).fill(verdict(order, asked)),
          );
        }
    }),
    { numRuns: 200 },
  );
  expect(longest).toBeGreaterThan(8);
});

describe('what decisions read out of the log', () => {
  const historyOf = (...said: string[]): History => {
    const history = new History();
    said.forEach((each, index) => history.add(entry(each), index));
    return history;
  };
  test('the keys that builders introduced, by slot; they are seen from then on', () => {
    const history = historyOf('approval', 'enrolment b1', 'enrolment b2');
    const { enrolments } = history.build(buildId(1)) ?? {};
    expect([...(enrolments ?? [])]).toEqual([
      ['b1', { index: 1, time: timeOf(0), sha256: sha256Hex('enrolments/b1.json'), key: ephemeralKey(1) }],
      ['b2', { index: 2, time: timeOf(0), sha256: sha256Hex('enrolments/b2.json'), key: ephemeralKey(2) }],
    ]);
    expect(history.keys).toEqual(new Set([ephemeralKey(1), ephemeralKey(2)]));
  });

  test('who took it back, with what', () => {
    const history = historyOf('approval');
    expect(history.build(buildId(1))?.revocation).toBeNull();
    const records = Object.fromEntries(
      [ADA, BOB].flatMap((approver) =>
        [`revocations/${approver}.json`, `revocations/${approver}.json.sig`].map((path) => [
          path,
          sha256Hex(path),
        ]),
      ),
    );
    history.add({ ...entry('revocation'), records }, 7);
    expect(history.build(buildId(1))?.revocation).toEqual({
      ...{ index: 7, time: timeOf(0) },
      revocations: new Map([ADA, BOB].map((each) => [each, sha256Hex(`revocations/${each}.json`)])),
    });
  });

  test('whose a version is: nobody’s once its build was taken back, but for ever that of a build with an intent', () => {
    const holder = (...said: string[]) => historyOf(...said).holder(PROJECT, versionOf(1))?.build;
    expect(holder('approval', 'enrolment', 'statement')).toBe(buildId(1));
    expect(holder('approval', 'revocation')).toBeUndefined();
    expect(holder('approval', 'enrolment', 'statement', 'revocation')).toBeUndefined();
    expect(holder('approval', 'statement', 'intent', 'revocation')).toBe(buildId(1));
    expect(holder('approval', 'statement', 'intent', 'release', 'revocation')).toBe(buildId(1));
    const history = historyOf('approval', 'revocation');
    history.add({ ...entry('approval', 2), version: versionOf(1) }, 2);
    expect(history.holder(PROJECT, versionOf(1))?.build).toBe(buildId(2));
  });

  test('what was released stays released when it is taken back, and dissent is still heard', () => {
    const known = historyOf(...DONE.split(', '), 'revocation', 'conflict b2').build(buildId(1));
    expect(known?.release).toMatchObject({ index: 4 });
    expect(known?.revocation).toMatchObject({ index: 5 });
    expect([...(known?.conflicts.keys() ?? [])]).toEqual(['statements/b2.json']);
  });
});
