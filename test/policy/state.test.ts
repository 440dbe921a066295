import { describe, expect, test } from 'vitest';
import { buildState } from '../../src/policy/state.ts';
import { timestamp } from '../../src/records/names.ts';
import { refusalOf } from '../../src/records/refusal.ts';
import type { ReasonCode } from '../../src/records/refusal.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { approval, b1, b2, build, builderEntry, minutes, now } from './scene.ts';

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
});
