/** The command that a hint offers: who pastes it asks for what was asked for before, and for no less. */
import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { approveAgain, bothVersions } from '../../src/policy/again.ts';
import type { Project } from '../../src/policy/project.ts';
import type { Approval, Builder } from '../../src/records/approval.ts';
import { toTimestamp } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { approval, b1, b2, build, builderEntry, project } from './scene.ts';

const { policy } = project;
/** As `approve 1.0` without flags makes it. */
const plain: Approval = {
  ...approval,
  artifacts: { ...policy },
  expires: toTimestamp('2026-11-22T16:00:00Z', 'test'),
  notBefore: toTimestamp('2026-11-22T12:00:00Z', 'test'),
};
const again = (change: Partial<Approval> = {}, rules: Partial<Project['policy']> = {}): string =>
  approveAgain({ policy: { ...policy, ...rules } }, { ...plain, ...change });
const limits = (change: Partial<Approval['artifacts']>): Partial<Approval> => ({
  artifacts: { ...plain.artifacts, ...change },
});
const enrol = (enrolBy: string): Builder => ({
  ...{ scheme: 'enrol', uploadTokenSha256: sha256Hex('token'), sealedNonce: 'YQ==' },
  ...{ nonceSha256: sha256Hex('nonce'), enrolBy: toTimestamp(enrolBy, 'test') },
});

describe('the command that approves again', () => {
  test('has no flags where there were none', () => {
    expect(again()).toBe('countersign approve 1.0 --tickets DIR');
  });

  const two = { [b1]: builderEntry('b1'), [b2]: builderEntry('b2') };
  test.each<[string, Partial<Approval>, string]>([
    ['two builders who must agree', { builders: two, quorum: 2 }, '--builders 2'],
    ['two builders, one of whom is enough', { builders: two, quorum: 1 }, '--builders 2 --quorum 1'],
    ['a key of the builder’s own', { builders: { [b1]: enrol('2026-11-22T12:10:00Z') } }, '--scheme enrol'],
    [
      'a key of its own, at once',
      { builders: { [b1]: enrol('2026-11-22T12:01:00Z') } },
      '--scheme enrol --enrol-by 1m',
    ],
    ['a count', limits({ maxCount: 3 }), '--max-count 3'],
    [
      'sizes, to the byte',
      limits({ maxBytes: 1025, maxTotalBytes: 64 * 2 ** 20 }),
      '--max-size 1025 --max-total 64M',
    ],
    ['a day', { expires: toTimestamp('2026-11-23T12:00:00Z', 'test') }, '--expires 1d'],
  ])('has what was asked for: %s', (_, change, flags) => {
    expect(again(change)).toBe(`countersign approve 1.0 ${flags} --tickets DIR`);
  });

  test('names the artifacts so that a shell, in a directory full of such, leaves the patterns alone', () => {
    const patterns = ['*', 'app-?.tgz', '**/src~1'];
    const words = execFileSync('sh', ['-c', `set -- ${again(limits({ patterns }))}; printf '%s\\n' "$@"`], {
      cwd: '/',
      encoding: 'utf8',
    });
    const given = patterns.flatMap((pattern) => ['--artifact', pattern]);
    expect(words.trim().split('\n')).toEqual([
      ...['countersign', 'approve', '1.0', ...given, '--tickets', 'DIR'],
    ]);
  });

  test('asks for no more than the project allows by now', () => {
    expect(again({}, { maxCount: 5, maxBytes: 10, maxTotalBytes: 10, maxLifetime: 3600 })).toBe(
      'countersign approve 1.0 --tickets DIR',
    );
  });
});

test('two versions can be looked at where there are two: of artifacts, not of a builder’s keys', () => {
  const look = (where: string, code: 'conflict' | 'expired'): string =>
    bothVersions(build, [{ code, where, text: '' }]);
  expect(look('app.tgz', 'conflict')).toBe(`both versions: countersign status ${build} --fetch DIR; `);
  expect(look('statements/b1.json', 'conflict')).toContain('--fetch');
  expect(look('enrolments/b1.json', 'conflict')).toBe('');
  expect(look('app.tgz', 'expired')).toBe('');
});
