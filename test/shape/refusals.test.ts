/** docs/refusals.md has every code of a build that is not signed, and no other; and each is reached by a test. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { REASON_CODES } from '../../src/records/refusal.ts';
import { STOP_CODES } from '../../src/signer/result.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/** Which test shows a code that is no reason of a refusal: `test/signer/<file>.test.ts` expects it. */
const SHOWN: Readonly<Record<(typeof STOP_CODES)[number], string>> = {
  'approval-waits': 'sign',
  'statement-waits': 'sign',
  'enrolment-open': 'enrolment',
  declined: 'sign',
  'approval-missing': 'sign',
  'approval-invalid': 'lying-depot',
  'build-taken': 'lying-depot',
  'enrolment-invalid': 'reasons',
  'statement-invalid': 'mac',
  'statement-missing': 'lying-depot',
  'artifact-missing': 'lying-depot',
  'artifact-wrong': 'lying-depot',
  'proof-insufficient': 'foreign-proof',
  'release-differs': 'sign',
  'release-key-certifies': 'digest',
  'release-key-ecdsa': 'digest',
  'intent-invalid': 'vouched',
  closed: 'recover',
  revoked: 'revocation',
};

const sections = read('docs/refusals.md')
  .split(/^### /m)
  .slice(1)
  .map((section) => ({
    code: /^`([a-z-]+)`\n/.exec(section)?.[1] ?? section,
    text: section.slice(section.indexOf('\n')).split(/^## /m)[0] ?? '',
  }));

test('a section for each code, and a code for each section', () => {
  const codes = [...REASON_CODES, ...STOP_CODES];
  expect(sections.map(({ code }) => code).sort()).toEqual([...codes].sort());
});

test.each(sections)('$code: cause and cure', ({ text }) => {
  const [cause = '', ...labelled] = text.split(/\*(?=Who|Cure)/);
  expect(cause.trim()).toMatch(/\.$/);
  expect(labelled.at(-1)).toMatch(/^(Who, cure|Cure):\* [^]+\.\s*$/);
});

test.each(Object.entries(SHOWN))('%s is expected by a test', (code, file) => {
  const expectations = new RegExp(`(code: |expect\\w*\\(|code\\).toBe\\()'${code}'`);
  expect(read(`test/signer/${file}.test.ts`)).toMatch(expectations);
});
