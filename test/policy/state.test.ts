import { describe, expect, test } from 'vitest';
import { buildState } from '../../src/policy/state.ts';
import { timestamp, toSlot } from '../../src/records/names.ts';
import { refusalOf } from '../../src/records/refusal.ts';
import type { ReasonCode } from '../../src/records/refusal.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { approval, b1, b2, build, builderEntry, expires, minutes, now } from './scene.ts';

const b3 = toSlot('b3', 'test');
const nonced = { uploadTokenSha256: sha256Hex('t'), sealedNonce: 'YQ==', nonceSha256: sha256Hex('n') };

describe('the state of a build is told by its files', () => {
  const approved = ['approval.json', `approval.json.${approval.requester}.sig`];
  const built = [...approved, 'statements/b1.json', 'statements/b1.json.sig'];
  const proven = [...built, 'log-entry.json', 'release.proof'];
  const complete = [...proven, 'release.json', 'manifest.json', 'signatures.list'];
  const refused = (code: ReasonCode) =>
    refusalOf({
      build,
      approval: sha256Hex(''),
      reasons: [{ code, where: 'x', text: 'x' }],
      time: timestamp(now),
    });
  const stateOf = (files: string[], more: Partial<Parameters<typeof buildState>[0]> = {}) =>
    buildState({
      approval,
      files: new Set(files),
      refusal: null,
      revoked: false,
      published: false,
      now,
      ...more,
    });

  test('on its way', () => {
    expect(stateOf(approved)).toBe('approved');
    expect(stateOf(built)).toBe('built');
    expect(stateOf(proven)).toBe('verified');
    expect(stateOf(complete)).toBe('signed');
    expect(stateOf(complete, { published: true })).toBe('published');
  });
  test('a record without its authenticator is not there', () => {
    expect(stateOf([...approved, 'statements/b1.json'])).toBe('approved');
    expect(stateOf([...built, 'log-entry.json', 'release.json'])).toBe('built');
    expect(stateOf([...built, 'refusal.json'], { refusal: refused('too-large') })).toBe('built');
  });
  test('a variant alone seals nothing', () => {
    expect(stateOf([...approved, 'statements/b1.2.json', 'statements/b1.2.json.sig'])).toBe('approved');
  });
  test('ended', () => {
    const files = [...built, 'refusal.json', 'refusal.proof'];
    expect(stateOf(files, { refusal: refused('too-large') })).toBe('refused');
    expect(stateOf(files, { refusal: refused('conflict') })).toBe('frozen');
  });
  test('expired, unless it was sealed in time', () => {
    expect(stateOf(approved, { now: minutes(600) })).toBe('expired');
    expect(stateOf(built, { now: minutes(600) })).toBe('built');
  });
  test('built when the quorum is', () => {
    const builders = { [b1]: builderEntry('b1'), [b2]: builderEntry('b2') };
    expect(stateOf(built, { approval: { ...approval, builders, quorum: 2 } })).toBe('approved');
    expect(stateOf(built, { approval: { ...approval, builders, quorum: 1 } })).toBe('built');
  });
  test('built when two of three have sealed it', () => {
    const of = (slot: string) => [`statements/${slot}.json`, `statements/${slot}.json.sig`];
    const builders = { [b1]: builderEntry('b1'), [b2]: builderEntry('b2'), [b3]: builderEntry('b2') };
    const three = { approval: { ...approval, builders, quorum: 2 } };
    expect(stateOf([...approved, ...of('b1')], three)).toBe('approved');
    expect(
      stateOf([...approved, ...of('b1'), 'statements/b1.2.json', 'statements/b1.2.json.sig'], three),
    ).toBe('approved');
    expect(stateOf([...approved, ...of('b1'), 'statements/b3.json'], three)).toBe('approved');
    expect(stateOf([...approved, ...of('b1'), ...of('b4')], three)).toBe('approved');
    expect(stateOf([...approved, ...of('b1'), ...of('b3')], three)).toBe('built');
    expect(stateOf([...approved, ...of('b1'), ...of('b2'), ...of('b3')], three)).toBe('built');
  });
  test('sealed by what is of its scheme: a MAC of one, a signature of another', () => {
    const mac = { approval: { ...approval, builders: { [b1]: { scheme: 'mac' as const, ...nonced } } } };
    expect(stateOf(built, mac)).toBe('approved');
    expect(stateOf([...approved, 'statements/b1.json', 'statements/b1.json.mac'], mac)).toBe('built');
    expect(stateOf([...approved, 'statements/b1.json', 'statements/b1.json.mac'])).toBe('approved');
  });
  test('enrolled when as many as must agree have their receipts', () => {
    const enrol = { scheme: 'enrol' as const, ...nonced, enrolBy: expires };
    const of = (slot: string) => ['', '.mac', '.sig'].map((end) => `enrolments/${slot}.json${end}`);
    const two = { approval: { ...approval, builders: { [b1]: enrol, [b2]: enrol }, quorum: 2 } };
    const [one, other] = ['enrolments/b1.json.receipt', 'enrolments/b2.json.receipt'];
    expect(stateOf([...approved, ...of('b1'), ...of('b2')], two)).toBe('approved');
    expect(stateOf([...approved, ...of('b1'), one], two)).toBe('approved');
    expect(stateOf([...approved, ...of('b1'), ...of('b2'), one, other], two)).toBe('enrolled');
    expect(stateOf([...approved, ...of('b1'), one], { approval: { ...two.approval, quorum: 1 } })).toBe(
      'enrolled',
    );
    expect(stateOf([...approved, ...of('b1'), ...of('b2'), one, other], { ...two, now: minutes(600) })).toBe(
      'expired',
    );
    expect(stateOf([...built, ...of('b1'), one], { approval: { ...two.approval, quorum: 1 } })).toBe('built');
    // one that need not enrol may begin at once
    const mixed = {
      approval: { ...approval, builders: { [b1]: enrol, [b2]: builderEntry('b2') }, quorum: 2 },
    };
    expect(stateOf([...approved, ...of('b1')], mixed)).toBe('approved');
    expect(stateOf([...approved, ...of('b1'), one], mixed)).toBe('enrolled');
  });
  test('revoked, whatever else is there', () => {
    for (const files of [approved, built, proven, complete])
      expect(stateOf(files, { revoked: true })).toBe('revoked');
    expect(stateOf(complete, { revoked: true, published: true })).toBe('revoked');
    expect(stateOf(approved, { revoked: true, now: minutes(600) })).toBe('revoked');
  });
});
