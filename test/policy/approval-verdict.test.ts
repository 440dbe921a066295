import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SignatureVerdict } from '../../src/openpgp/verify.ts';
import { countApprovers, judgeApproval, missingApprovers } from '../../src/policy/approval-verdict.ts';
import type { ApprovalQuestion, LogFacts } from '../../src/policy/approval-verdict.ts';
import { verifiedRecord } from '../../src/policy/verified.ts';
import { encodeApproval } from '../../src/records/approval.ts';
import { toProjectName } from '../../src/records/names.ts';
import type { Fingerprint } from '../../src/records/names.ts';
import {
  ada,
  approval,
  b1,
  b2,
  bob,
  build,
  builderEntry,
  builderSecrets,
  mallory,
  minutes,
  notBefore,
  now,
  otherBuild,
  person,
  project,
} from './scene.ts';
import type { Person } from './scene.ts';

const fingerprintOf = (one: Person) => one.certificate.primary.fingerprint;
/** What gpgv or our own verifier says of a good signature; `signingKey` may be a subkey. */
const good = (one: Person, signingKey = fingerprintOf(one)): SignatureVerdict => ({
  ok: true,
  primary: fingerprintOf(one),
  signingKey,
  created: 1,
  hash: 'sha256',
});
const bad: SignatureVerdict = { ok: false, code: 'signature-bad', reason: 'it does not verify' };
const signed = (...people: Person[]) => new Map(people.map((one) => [fingerprintOf(one), good(one)]));
const free: LogFacts = { keysSeen: new Set(), versionTaken: null };

const judge = (change: Partial<ApprovalQuestion> = {}) =>
  judgeApproval({
    project,
    build,
    bytes: encodeApproval(approval),
    signatures: signed(ada),
    now,
    log: () => free,
    ...change,
  });
/** The verdict and its reasons' codes, in a line. */
const line = (change: Partial<ApprovalQuestion> = {}): string => {
  const verdict = judge(change);
  return verdict.verdict === 'refuse'
    ? ['refuse', ...verdict.reasons.map(({ code }) => code)].join(' ')
    : verdict.verdict;
};

describe('persons are counted, not signatures', () => {
  const two = { ...project, threshold: 2 };

  test('the requester alone, under threshold 1', () => {
    const verdict = judge();
    expect(verdict).toMatchObject({ verdict: 'accept', approvers: [fingerprintOf(ada)] });
  });
  test('the requester alone, under threshold 2; then a second approver', () => {
    expect(judge({ project: two })).toMatchObject({
      verdict: 'wait',
      text: '1 of 2 approvers have signed it',
    });
    expect(judge({ project: two, signatures: signed(ada, bob) })).toMatchObject({
      verdict: 'accept',
      approvers: [fingerprintOf(ada), fingerprintOf(bob)].sort(),
    });
  });
  test('two approvers, neither of whom asked for it', () => {
    const record = { ...approval, requester: fingerprintOf(mallory) };
    const bytes = encodeApproval(record);
    expect(line({ project: two, bytes, signatures: signed(ada, bob) })).toBe('wait');
  });
  test('nobody, a stranger, an approver whose signature is bad: not signed at all', () => {
    expect(line({ signatures: new Map() })).toBe('void');
    expect(line({ signatures: signed(mallory) })).toBe('void');
    expect(line({ signatures: new Map([[fingerprintOf(ada), bad]]) })).toBe('void');
  });
  test('a bad signature beside enough good ones undoes nothing', () => {
    const signatures = new Map<Fingerprint, SignatureVerdict>([
      [fingerprintOf(ada), good(ada)],
      [fingerprintOf(bob), bad],
    ]);
    expect(line({ signatures })).toBe('accept');
  });
  test("one person's signature under two names is one vote", () => {
    const signatures = new Map<Fingerprint, SignatureVerdict>([
      [fingerprintOf(ada), good(ada)],
      [fingerprintOf(bob), good(ada)],
    ]);
    expect(countApprovers(project, signatures)).toEqual([fingerprintOf(ada)]);
    expect(line({ project: two, signatures })).toBe('wait');
  });
  test('two subkeys of one certificate are one vote', () => {
    const signatures = new Map<Fingerprint, SignatureVerdict>([
      [fingerprintOf(ada), good(ada, fingerprintOf(mallory))],
      [fingerprintOf(mallory), good(ada, fingerprintOf(bob))],
    ]);
    expect(countApprovers(project, signatures)).toEqual([fingerprintOf(ada)]);
  });
  test('an approver who has left the project file counts for nothing', () => {
    const left = { ...project, approvers: [bob.certificate] };
    expect(line({ project: left })).toBe('void');
    expect(line({ project: left, signatures: signed(ada, bob) })).toBe('wait');
  });
});

describe('whoever signs, and however often', () => {
  const people = [ada, bob, mallory, person('Cleo <cleo@example.org>'), person('Dan <dan@example.org>')];
  const strangers = [person('Eve <eve@example.org>')];
  const many = { ...project, approvers: people.map(({ certificate }) => certificate) };
  const anybody = fc.constantFrom(...people, ...strangers);
  /** A file: in whose name it lies, whose signature it is, by which of their keys, and whether it is good. */
  const file = fc.record({ name: anybody, who: anybody, subkey: anybody, isGood: fc.boolean() });
  const own = fc
    .record({ name: anybody, subkey: anybody })
    .map((each) => ({ ...each, who: each.name, isGood: true }));
  const files = fc.array(fc.oneof(file, own), { maxLength: 12 });
  const verdicts = (all: readonly { name: Person; who: Person; subkey: Person; isGood: boolean }[]) =>
    new Map(
      all.map(({ name, who, subkey, isGood }) => [
        fingerprintOf(name),
        isGood ? good(who, fingerprintOf(subkey)) : bad,
      ]),
    );
  const record = verifiedRecord(approval);
  const isEnough = (threshold: number, approvers: readonly Fingerprint[]): boolean =>
    missingApprovers({ ...many, threshold }, record, approvers) === null;

  test('approvers of the project file are counted, each once, and by nothing but a good signature of their own', () => {
    fc.assert(
      fc.property(files, (all) => {
        const signatures = verdicts(all);
        const signed = people
          .map(fingerprintOf)
          .filter((fingerprint) => {
            const verdict = signatures.get(fingerprint);
            return verdict?.ok === true && verdict.primary === fingerprint;
          })
          .sort();
        expect(countApprovers(many, signatures)).toEqual(signed);
      }),
      { numRuns: 500 },
    );
  });

  test('one person with every key there is stays one: alone under threshold 2 the requester waits', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anybody, anybody), { maxLength: 8 }), (all) => {
        const signatures = new Map(
          all.map(([name, subkey]) => [fingerprintOf(name), good(ada, fingerprintOf(subkey))]),
        );
        signatures.set(fingerprintOf(ada), good(ada));
        expect(countApprovers(many, signatures)).toEqual([fingerprintOf(ada)]);
        expect(isEnough(2, countApprovers(many, signatures))).toBe(false);
        expect(judge({ project: { ...many, threshold: 2 }, signatures }).verdict).toBe('wait');
      }),
    );
  });

  test('a file less never counts one more, nor does a person less in the project file; a bad one undoes nothing', () => {
    fc.assert(
      fc.property(files, fc.nat(11), anybody, (all, at, gone) => {
        const before = countApprovers(many, verdicts(all));
        const fewer = new Map([...verdicts(all)].filter((_, index) => index !== at));
        const left = { ...many, approvers: many.approvers.filter((each) => each !== gone.certificate) };
        for (const after of [countApprovers(many, fewer), countApprovers(left, verdicts(all))]) {
          expect(before).toEqual(expect.arrayContaining(after));
          for (const threshold of [1, 2, 3])
            if (isEnough(threshold, after)) expect(isEnough(threshold, before)).toBe(true);
        }
        const others = people.map(fingerprintOf).filter((each) => !before.includes(each));
        const more = new Map([...verdicts(all), ...others.map((each) => [each, bad] as const)]);
        expect(countApprovers(many, more)).toEqual(before);
      }),
    );
  });
});

describe('what enough approvers signed can end a build; what only lies there cannot', () => {
  const other = { ...project, name: toProjectName('other', 'test') };

  test('under another build: a copy that anybody can make', () => {
    expect(line({ build: otherBuild })).toBe('void');
  });
  test('not a record', () => {
    expect(judge({ bytes: Buffer.from('{}') })).toMatchObject({
      verdict: 'void',
      text: expect.stringContaining('approval'),
    });
  });
  test('for another project or signer', () => {
    expect(line({ project: other })).toBe('refuse project');
    const moved = { ...project, log: { ...project.log, origin: 'example.org/other' } };
    expect(line({ project: moved })).toBe('refuse signer');
  });
  test('below the threshold nothing is refused, whatever it says', () => {
    expect(line({ project: { ...other, threshold: 2 } })).toBe('wait');
  });
  test('all reasons at once', () => {
    const policy = { ...project.policy, maxCount: 1, maxBytes: 1, maxTotalBytes: 1, maxLifetime: 60 };
    expect(line({ project: { ...other, policy }, now: minutes(600) })).toBe(
      'refuse project policy-limits policy-limits policy-limits policy-lifetime expired',
    );
  });
  test('before notBefore it waits, at `expires` it is over', () => {
    expect(line({ now: new Date(notBefore) })).toBe('accept');
    expect(line({ now: minutes(-31) })).toBe('wait');
    expect(line({ now: minutes(3.5 * 60) })).toBe('refuse expired');
  });
  test('two builders with one key', () => {
    const builders = { [b1]: builderEntry('b1'), [b2]: builderEntry('b1') };
    expect(line({ bytes: encodeApproval({ ...approval, builders }) })).toBe('refuse key-seen');
  });
});

describe('bound by the log: build, version, keys', () => {
  test('another build has the version', () => {
    expect(line({ log: () => ({ ...free, versionTaken: otherBuild }) })).toBe('refuse version-taken');
  });
  test('the ephemeral key was used before', () => {
    const keysSeen = new Set([builderSecrets.b1.fingerprint]);
    expect(line({ log: () => ({ ...free, keysSeen }) })).toBe('refuse key-seen');
    expect(line({ log: () => ({ ...free, keysSeen: new Set([builderSecrets.b2.fingerprint]) }) })).toBe(
      'accept',
    );
  });
  test('the log is asked about nothing that approvers have not signed', () => {
    const log = (): LogFacts => {
      throw new Error('asked');
    };
    expect(line({ log, signatures: signed(mallory) })).toBe('void');
    expect(line({ log, project: { ...project, threshold: 2 } })).toBe('wait');
  });
});
