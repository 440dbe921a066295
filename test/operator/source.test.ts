import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseSourceFlag, publicUri, sourceOfCheckout } from '../../src/operator/source.ts';

const COMMIT = 'c0ffee'.padEnd(40, '0');

describe('a git remote, made fit for the public', () => {
  test.each([
    ['https://example.org/app.git', 'git+https://example.org/app.git'],
    ['https://ada:hunter2@example.org:8443/app?private_token=x#y', 'git+https://example.org:8443/app'],
    ['http://token@10.0.0.1/app', 'git+http://10.0.0.1/app'],
    ['ssh://git@example.org:2222/team/app.git', 'git+ssh://example.org:2222/team/app.git'],
    ['git@example.org:team/app.git', 'git+ssh://example.org/team/app.git'],
    ['example.org:/srv/git/app.git?x', 'git+ssh://example.org/srv/git/app.git'],
    ['git://example.org/app', 'git+git://example.org/app'],
  ])('%s', (remote, uri) => expect(publicUri(remote)).toBe(uri));

  test.each(['/srv/git/app.git', '../app', 'file:///srv/app.git', 'C:\\app', '', 'ext::sh -c id'])(
    '%j is no place for others to fetch from',
    (remote) => expect(publicUri(remote)).toBeNull(),
  );
});

describe('--source URI@COMMIT', () => {
  test('is taken as it is', () => {
    expect(parseSourceFlag(`git+https://example.org/app@${COMMIT}`)).toEqual({
      uri: 'git+https://example.org/app',
      digest: { gitCommit: COMMIT },
    });
  });

  test.each([
    `https://ada:hunter2@example.org/app@${COMMIT}`,
    `git+ssh://git@example.org/app@${COMMIT}`,
    `https://example.org/app?token=hunter2@${COMMIT}`,
    `https://example.org/app#hunter2@${COMMIT}`,
  ])('%s holds what must not be published, and is not repeated', (text) => {
    const failure = expect.objectContaining({
      kind: 'usage',
      code: 'source-secret',
      message: expect.not.stringContaining('hunter2'),
    });
    expect(() => parseSourceFlag(text)).toThrow(failure);
  });

  test.each([
    'https://example.org/app',
    `@${COMMIT}`,
    `no uri@${COMMIT}`,
    'https://example.org/app@HEAD',
    '',
  ])('%j is malformed', (text) =>
    expect(() => parseSourceFlag(text)).toThrow(expect.objectContaining({ code: 'source-malformed' })),
  );
});

describe('the checkout here', () => {
  let directory = '';
  const git = (...args: string[]): string =>
    execFileSync('git', ['-c', 'user.name=T', '-c', 'user.email=t@example.org', '-C', directory, ...args])
      .toString()
      .trim();
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'cs-source-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  test('gives origin and HEAD', async () => {
    git('init', '-q');
    git('commit', '-q', '--allow-empty', '-m', 'first');
    git('remote', 'add', 'origin', 'https://ada:hunter2@example.org/app.git');
    expect(await sourceOfCheckout(directory)).toEqual({
      uri: 'git+https://example.org/app.git',
      digest: { gitCommit: git('rev-parse', 'HEAD') },
    });
  });

  test('gives nothing without a commit, without an origin, and where there is no checkout', async () => {
    expect(await sourceOfCheckout(directory)).toBeNull();
    git('init', '-q');
    git('remote', 'add', 'origin', 'https://example.org/app.git');
    expect(await sourceOfCheckout(directory)).toBeNull();
    git('remote', 'remove', 'origin');
    git('commit', '-q', '--allow-empty', '-m', 'first');
    expect(await sourceOfCheckout(directory)).toBeNull();
  });
});
