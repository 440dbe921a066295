/** Documents point at files that are there: a threat's test that was moved is a threat without a test. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';

const documents = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], {
  encoding: 'utf8',
})
  .trim()
  .split('\n');

test.each(documents)('%s', (document) => {
  const text = readFileSync(document, 'utf8');
  const links = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
    .map((match) => match[1] ?? '')
    .filter((link) => !/^[a-z]+:/.test(link))
    .map((link) => join(dirname(document), link));
  const tests = [...text.matchAll(/`(test\/[^`*\s]*)`/g)].map((match) => match[1] ?? '');
  expect([...links, ...tests].filter((path) => !existsSync(path))).toEqual([]);
});

test('THREATS.md names a test for every threat of every table', () => {
  const rows = readFileSync('THREATS.md', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| ') && line.split('|').length === 5)
    .filter((line) => !/^\| (?:threat|\*\*|\s*\|)/.test(line));
  expect(rows.length).toBeGreaterThan(15);
  expect(
    rows.filter(
      (row) => !/`test\//.test(row.split('|')[3] ?? '') && !/^\| (?:\*\*|approver|network)/.test(row),
    ),
  ).toEqual([]);
});
