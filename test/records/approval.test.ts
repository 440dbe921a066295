/** The approval: how many builders, of which schemes; what was agreed on; what a release of it is called. */
import { describe, expect, test } from 'vitest';
import { encodeApproval, parseApproval, terms } from '../../src/records/approval.ts';
import type { Approval } from '../../src/records/approval.ts';
import { assuranceOf, toAssurance } from '../../src/records/assurance.ts';
import { toSlot, toTimestamp } from '../../src/records/names.ts';
import { encodeRelease, parseRelease } from '../../src/records/release.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { refusalOf } from '../harness/failure.ts';
import { approval, b1, b2, nonceApproval, release, statement } from './samples.ts';

describe('an approval', () => {
  const builder = approval.builders[b1];
  if (builder === undefined) throw new Error('no builder');
  const withBuilders = (count: number) => ({
    ...approval,
    builders: Object.fromEntries(Array.from({ length: count }, (_, i) => [toSlot(`b${i}`, 'test'), builder])),
  });

  test('has at most 16 builders, and a quorum of them', () => {
    expect(parseApproval(encodeApproval(withBuilders(16))).quorum).toBe(1);
    refusalOf(() => parseApproval(encodeApproval(withBuilders(17))));
    refusalOf(() => parseApproval(encodeApproval(withBuilders(0))));
    expect(parseApproval(encodeApproval({ ...withBuilders(3), quorum: 3 })).quorum).toBe(3);
    refusalOf(() => parseApproval(encodeApproval({ ...withBuilders(3), quorum: 4 })));
    refusalOf(() => parseApproval(encodeApproval({ ...approval, quorum: 0 })));
  });

  test('ends after it begins', () => {
    refusalOf(() => parseApproval(encodeApproval({ ...approval, expires: approval.notBefore })));
  });

  test.each(['mac', 'enrol', 'password'])(
    'has no builder of scheme %s with the fields of a key pair',
    (scheme) => {
      const text = encodeApproval(approval).toString().replace('"scheme":"keypair"', `"scheme":"${scheme}"`);
      expect(refusalOf(() => parseApproval(Buffer.from(text))).message).toContain('approval.builders.b1');
    },
  );

  test.each(['', 'a b', 'a+b', 'a\n', 'caf\u00e9', 'a'.repeat(256)])('is for no signer %j', (signer) => {
    expect(refusalOf(() => parseApproval(encodeApproval({ ...approval, signer }))).message).toContain(
      'signer',
    );
  });

  test.each(['', 'Digest', 'digest ', 'state', null, true])('is of no mode %j', (mode) => {
    const text = encodeApproval(approval)
      .toString()
      .replace('"mode":"fetch"', `"mode":${JSON.stringify(mode)}`);
    expect(refusalOf(() => parseApproval(Buffer.from(text))).message).toContain('approval.mode');
  });

  test('for digest mode has other terms', () => {
    const digest = parseApproval(encodeApproval({ ...approval, mode: 'digest' }));
    expect(digest.mode).toBe('digest');
    expect(terms(digest)).not.toBe(terms(approval));
  });

  test('a builder is found by its slot and nothing else is', () => {
    const parsed = parseApproval(encodeApproval(approval));
    expect(parsed.builders[b1]?.scheme).toBe('keypair');
    expect(parsed.builders[toSlot('constructor', 'test')]).toBeUndefined();
    expect(Object.getPrototypeOf(parsed.builders)).toBeNull();
  });

  test('has the same terms with other nonces, and another time to enrol', () => {
    const sealed = { uploadTokenSha256: sha256Hex('b'), sealedNonce: 'Yg==', nonceSha256: sha256Hex('c') };
    const enrolBy = toTimestamp('2026-11-22T13:00:00Z', 'test');
    const again: Approval = {
      ...nonceApproval,
      builders: { [b1]: { scheme: 'enrol', ...sealed, enrolBy }, [b2]: { scheme: 'mac', ...sealed } },
    };
    expect(terms(again)).toBe(terms(nonceApproval));
    for (const builders of [
      { [b1]: { scheme: 'mac', ...sealed }, [b2]: { scheme: 'mac', ...sealed } },
      { [b1]: { scheme: 'mac', ...sealed }, [b2]: { scheme: 'enrol', ...sealed, enrolBy } },
      { [b1]: { scheme: 'enrol', ...sealed, enrolBy } },
      { [b1]: { scheme: 'enrol', ...sealed, enrolBy }, [toSlot('b3', 'test')]: { scheme: 'mac', ...sealed } },
    ] satisfies Approval['builders'][])
      expect(terms({ ...again, builders })).not.toBe(terms(again));
    expect(terms({ ...again, quorum: 1 })).not.toBe(terms(again));
  });

  test('has the same terms with other ids, times and keys, and other terms with anything else', () => {
    const same = {
      ...approval,
      build: statement.build,
      notBefore: toTimestamp('2026-11-23T00:00:00Z', 'test'),
      expires: toTimestamp('2026-11-24T00:00:00Z', 'test'),
      builders: { [b1]: { ...builder, certificate: 'YQ==', uploadTokenSha256: sha256Hex('other') } },
    };
    expect(terms(same)).toBe(terms(approval));
    for (const other of [
      { ...approval, source: null },
      { ...approval, quorum: 2 },
      { ...approval, signer: 'example.org/other' },
      { ...approval, artifacts: { ...approval.artifacts, maxCount: 11 } },
      withBuilders(2),
    ])
      expect(terms(other)).not.toBe(terms(approval));
  });
});

describe('what a release is called', () => {
  const { [b1]: builder } = nonceApproval.builders;
  if (builder === undefined) throw new Error('no builder');
  const of = (quorum: number, count: number) =>
    assuranceOf({
      quorum,
      builders: Object.fromEntries(
        Array.from({ length: count }, (_, at) => [toSlot(`b${at}`, 'test'), builder]),
      ),
    });

  test('after how many had to agree, not how many there were', () => {
    expect(of(1, 1)).toBe('single-builder');
    expect(of(1, 16)).toBe('single-builder');
    expect(of(2, 2)).toBe('2-of-2');
    expect(of(2, 3)).toBe('2-of-3');
    expect(of(16, 16)).toBe('16-of-16');
    for (let count = 1; count <= 16; count++)
      for (let quorum = 1; quorum <= count; quorum++)
        expect(toAssurance(of(quorum, count), 'test')).toBe(of(quorum, count));
  });

  test.each([
    '',
    'single',
    '1-of-1',
    '1-of-3',
    '0-of-2',
    '3-of-2',
    '2-of-17',
    '02-of-3',
    '2-of-03',
    '2-of-3 ',
    ' 2-of-3',
    '2-OF-3',
    '2.0-of-3',
    '2-of-3\n',
    '2/3',
    '-2-of-3',
    '2-of-Infinity',
  ])('not %j', (word) => {
    refusalOf(() => toAssurance(word, 'test'));
    const bytes = encodeRelease(release).toString().replace('single-builder', word);
    refusalOf(() => parseRelease(Buffer.from(bytes)));
  });
});
