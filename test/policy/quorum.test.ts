/** Builders are counted, and one who says otherwise is heard however many agree (protocol §2, quorum). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { disagreementsOf, judgeQuorum, readClaims } from '../../src/policy/quorum.ts';
import type { QuorumVerdict, Vote } from '../../src/policy/quorum.ts';
import { verifiedRecord } from '../../src/policy/verified.ts';
import { toArtifactName, toSlot } from '../../src/records/names.ts';
import { refusalOf } from '../../src/records/refusal.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import type { Subject } from '../../src/records/statement.ts';
import { timestamp } from '../../src/records/names.ts';
import { build, now, statement } from './scene.ts';

/** `a` is an artifact of the content `a`; `a=b` has another, `a#9` another size. */
const subjectOf = (said: string): Subject => {
  const [, name = '', content = name, size = '1'] = /^([^=#]+)(?:=([^#]*))?(?:#(\d+))?$/.exec(said) ?? [];
  return { name: toArtifactName(name, 'test'), sha256: sha256Hex(content), size: Number(size) };
};
/** What `b1: a b=x` says: the builder, then its artifacts. */
function vote(said: string): Vote {
  const [name = '', artifacts = ''] = said.split(': ');
  const subjects = artifacts.split(' ').map(subjectOf);
  const slot = toSlot(name.replace(/\.\d$/, ''), 'test');
  return { slot, name, statement: verifiedRecord({ ...statement, slot, subjects }) };
}
const judge = (quorum: number, ...votes: string[]): QuorumVerdict => judgeQuorum({ quorum }, votes.map(vote));

describe('a quorum', () => {
  test('waits for builders until there are enough', () => {
    expect(judge(2)).toEqual({ verdict: 'wait', have: 0, need: 2 });
    expect(judge(2, 'b1: a b')).toEqual({ verdict: 'wait', have: 1, need: 2 });
    expect(judge(2, 'b1: a b', 'b3: a b')).toEqual({
      verdict: 'agreed',
      subjects: [subjectOf('a'), subjectOf('b')],
    });
    expect(judge(2, 'b1: a', 'b2: a', 'b3: a').verdict).toBe('agreed');
    expect(judge(1, 'b2: a').verdict).toBe('agreed');
  });

  test('is no quorum of statements: a builder who says the same twice is one', () => {
    expect(judge(2, 'b1: a', 'b1.2: a')).toEqual({ verdict: 'wait', have: 1, need: 2 });
    expect(judge(3, 'b1: a', 'b1.2: a', 'b1.3: a', 'b2: a')).toEqual({ verdict: 'wait', have: 2, need: 3 });
  });

  test.each([
    ['another digest', 'a=x b'],
    ['another size', 'a#2 b'],
    ['one artifact less', 'a'],
    ['one artifact more', 'a b c'],
    ['another name for the same bytes', 'a c=b'],
    ['the same digests the other way round', 'a=b b=a'],
  ])('is none with %s, whoever says it, however many agree, and before there are enough', (_, other) => {
    for (const [quorum, agreeing] of [
      [1, 1],
      [2, 1],
      [2, 2],
      [2, 15],
      [16, 1],
    ] as const) {
      const votes = Array.from({ length: agreeing }, (_unused, at) => `b${at + 2}: a b`);
      for (const dissent of [`b1: ${other}`, `b2.2: ${other}`]) {
        expect(judge(quorum, ...votes, dissent).verdict).toBe('conflict');
        expect(judge(quorum, dissent, ...votes).verdict).toBe('conflict');
      }
    }
  });

  test('that is none is told artifact by artifact: who agree stand together', () => {
    const verdict = judge(2, 'b1: a b', 'b2: a b', 'b3: a=x b#9 c', 'b4: a');
    const [a, b, c, x] = ['a', 'b', 'c', 'x'].map((content) => sha256Hex(content));
    expect(verdict).toEqual({
      verdict: 'conflict',
      reasons: [
        { code: 'conflict', where: 'a', text: `b1, b2 and b4 have ${a} (1 bytes), b3 has ${x} (1 bytes)` },
        {
          code: 'conflict',
          where: 'b',
          text: `b1 and b2 have ${b} (1 bytes), b3 has ${b} (9 bytes), b4 has no such artifact`,
        },
        {
          code: 'conflict',
          where: 'c',
          text: `b1, b2 and b4 have no such artifact, b3 has ${c} (1 bytes)`,
        },
      ],
    });
  });

  test('of 16 builders, one of whom dissents, has room for all of them in its reason', () => {
    const agreeing = Array.from({ length: 15 }, (_, at) => `${'x'.repeat(29)}-${at + 10}: a`);
    const verdict = judge(16, ...agreeing, 'b1: a=x');
    if (verdict.verdict !== 'conflict') throw new Error(verdict.verdict);
    const { reasons } = refusalOf({
      ...{ build, approval: sha256Hex('approval'), time: timestamp(now) },
      reasons: verdict.reasons,
    });
    expect(reasons).toEqual(verdict.reasons);
  });
});

/** Votes of few builders about few artifacts, so that they often agree, and often don't. */
const artifact = fc.constantFrom('a', 'b', 'a=x', 'a#2', 'b=a');
const artifacts = fc.uniqueArray(artifact, {
  minLength: 1,
  maxLength: 2,
  selector: (each) => each.charAt(0),
});
const voter = fc.constantFrom('b1', 'b2', 'b3', 'b4', 'b1.2', 'b2.2');
const ballot = fc.oneof(
  fc.uniqueArray(fc.tuple(voter, artifacts), { selector: ([name]) => name }),
  // all of one mind
  fc
    .tuple(fc.uniqueArray(voter), artifacts)
    .map(([names, what]) => names.map((name) => [name, what] as const)),
);
const votesOf = (all: readonly (readonly [string, readonly string[]])[]): Vote[] =>
  all.map(([name, what]) => vote(`${name}: ${what.toSorted().join(' ')}`));
const quorum = fc.integer({ min: 1, max: 4 });

describe('whatever builders say', () => {
  test('it does not matter who came first', () => {
    const shuffled = ballot.chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
    );
    const told = (verdict: QuorumVerdict) =>
      verdict.verdict === 'conflict' ? verdict.reasons.map(({ where }) => where) : verdict;
    fc.assert(
      fc.property(quorum, shuffled, (k, [all, other]) => {
        const [one, two] = [all, other].map((each) => judgeQuorum({ quorum: k }, votesOf(each)));
        expect(one && told(one)).toEqual(two && told(two));
      }),
    );
  });

  test('there is agreement exactly if all say the same and as many builders as it takes', () => {
    const seen = new Map<string, number>();
    fc.assert(
      fc.property(quorum, ballot, (k, all) => {
        const votes = votesOf(all);
        const { verdict } = judgeQuorum({ quorum: k }, votes);
        const sayings = new Set(votes.map((each) => JSON.stringify(each.statement.subjects)));
        const builders = new Set(votes.map(({ slot }) => slot)).size;
        expect(verdict).toBe(sayings.size > 1 ? 'conflict' : builders >= k ? 'agreed' : 'wait');
        seen.set(verdict, (seen.get(verdict) ?? 0) + 1);
      }),
      { numRuns: 500 },
    );
    for (const verdict of ['agreed', 'wait', 'conflict']) expect(seen.get(verdict)).toBeGreaterThan(20);
  });

  test('one more who agrees undoes no agreement, one who dissents always does, and a conflict stays one', () => {
    fc.assert(
      fc.property(quorum, ballot, voter, artifacts, (k, all, name, what) => {
        const before = judgeQuorum({ quorum: k }, votesOf(all));
        const after = judgeQuorum({ quorum: k }, votesOf([...all, [name, what]]));
        if (before.verdict === 'conflict') expect(after.verdict).toBe('conflict');
        if (before.verdict !== 'agreed') return;
        const [first] = all;
        const agrees = first !== undefined && first[1].toSorted().join() === what.toSorted().join();
        expect(after.verdict).toBe(agrees ? 'agreed' : 'conflict');
      }),
      { numRuns: 500 },
    );
  });

  test('the reasons name every artifact that differs, and no other, with what each says of it', () => {
    fc.assert(
      fc.property(ballot, (all) => {
        const votes = votesOf(all);
        const verdict = judgeQuorum({ quorum: 1 }, votes);
        const reasons = verdict.verdict === 'conflict' ? verdict.reasons : [];
        const claimOf = ({ statement: { subjects } }: Vote, name: string): string => {
          const subject = subjects.find((each) => each.name === name);
          return subject ? `${subject.sha256} (${subject.size} bytes)` : 'no such artifact';
        };
        const differing = ['a', 'b'].filter(
          (name) => new Set(votes.map((each) => claimOf(each, name))).size > 1,
        );
        expect(reasons.map(({ where }) => where)).toEqual(differing);
        for (const { where, text } of reasons)
          for (const each of votes) {
            // the part of the line that this builder stands in
            const part = text
              .split(/(?<=bytes\)|artifact), /)
              .find((one) => one.split(/, | and | has | have /).includes(each.name));
            expect(part).toContain(claimOf(each, where));
          }
      }),
      { numRuns: 500 },
    );
  });
});

test('two lists or none differ in nothing when they are one', () => {
  const list = ['a', 'b'].map(subjectOf);
  expect(disagreementsOf([])).toEqual([]);
  expect(disagreementsOf([list])).toEqual([]);
  expect(disagreementsOf([list, list.toReversed()])).toEqual([]);
  expect(disagreementsOf([[], []])).toEqual([]);
});

describe('the table of who made what', () => {
  const made = fc.option(fc.record({ content: fc.string(), size: fc.nat() }), { nil: null });
  const voters = fc.uniqueArray(fc.constantFrom('b1', 'b2', 'b3', 'b16', 'statements/b1.2.json'), {
    minLength: 2,
  });
  const table = voters.chain((names) =>
    fc.tuple(
      fc.constant(names),
      fc.array(fc.oneof(made, fc.constantFrom(null, { content: 'x', size: 1 })), {
        minLength: names.length,
        maxLength: names.length,
      }),
    ),
  );

  test('is written into the reasons, and read back from them: who, what, how large', () => {
    fc.assert(
      fc.property(table, ([names, rows]) => {
        const votes = names.map((name, at): Vote => {
          const row = rows[at];
          const subjects = row
            ? [{ ...subjectOf('a'), sha256: sha256Hex(row.content), size: row.size }]
            : [subjectOf('other')];
          return { slot: toSlot('b1', 'test'), name, statement: verifiedRecord({ ...statement, subjects }) };
        });
        const verdict = judgeQuorum({ quorum: 1 }, votes);
        if (verdict.verdict !== 'conflict') return;
        const text = verdict.reasons.find(({ where }) => where === 'a')?.text;
        if (text === undefined) return;
        const read = new Map(readClaims(text)?.map(({ builder, made: bytes }) => [builder, bytes]));
        expect(read.size).toBe(names.length);
        for (const [at, name] of names.entries()) {
          const row = rows[at];
          expect(read.get(name)).toEqual(row ? { sha256: sha256Hex(row.content), size: row.size } : null);
        }
      }),
    );
  });

  test.each([
    ['', 'nothing'],
    ['b1 has ', 'cut'],
    [`b1 and b2 have ${sha256Hex('a')} (1 bytes), b3 ha`, 'cut later'],
    [`b1 has ${sha256Hex('a')} (1 bytes); b2 has no such artifact`, 'other words'],
  ])('%s: %s', (text) => {
    expect(readClaims(text)).toBeNull();
  });
});
