/** docs/refusals.md has every code of a build that is not signed, and no other; and each is reached by a test. */
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
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

describe('what a depot answers', () => {
  /** The text of our files in these directories. */
  const sources = (...directories: readonly string[]): string =>
    directories
      .flatMap((directory) =>
        readdirSync(new URL(`../../${directory}`, import.meta.url), { recursive: true, encoding: 'utf8' })
          // which speak before anybody can ask, or to whoever mends it
          .filter((name) => name.endsWith('.ts') && !/^(check\/|server\.ts|clients\.ts)/.test(name))
          .map((name) => read(`${directory}/${name}`)),
      )
      .join('\n');
  const depot = sources('src/depot');
  const [, page = ''] = read('docs/refusals.md').split('## What a depot answers');
  const rows = [...page.matchAll(/^\| `([a-z-]+)` \| ([^|]+) \| [^|]+ \| [^|]+ \|$/gm)].map(
    ([, code = '', statuses = '']) => ({ code, statuses }),
  );
  const answered = [
    ...sources('src/depot', 'src/tree', 'src/policy').matchAll(
      /\bdenied\(\s*(?<status>\d{3}),\s*'(?<code>[a-z-]+)'/g,
    ),
    ...depot.matchAll(/^ {2}'?(?<code>[a-z-]+)'?: (?<status>\d{3}),$/gm),
    ...depot.matchAll(/\b(?:refused|unable)\(\s*'(?<code>[a-z-]+)'/g),
  ].map(({ groups }) => ({ code: groups?.['code'] ?? '', status: groups?.['status'] }));

  test('each code has a row, with its status', () => {
    expect(answered.length).toBeGreaterThan(40);
    const lacking = answered.filter(
      ({ code, status = '' }) => !rows.some((row) => row.code === code && row.statuses.includes(status)),
    );
    expect(lacking).toEqual([]);
  });

  test('each row has a code, and once', () => {
    const codes = rows.map(({ code }) => code);
    expect(new Set(codes).size).toBe(codes.length);
    expect(rows.length).toBe(page.match(/^\| `/gm)?.length);
    expect(
      codes.filter((code) => ![...answered.map((each) => each.code), 'internal'].includes(code)),
    ).toEqual([]);
  });
});
