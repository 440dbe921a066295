/** What `verify` and `log` say aloud of several builders, of a MAC, and of a release that was withdrawn. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { buildPath } from '../../src/records/paths.ts';
import { builtBy } from '../consumer/builders.ts';
import { leaf, tell } from '../consumer/logged-release.ts';
import type { Story } from '../consumer/logged-release.ts';
import { put } from '../consumer/made-release.ts';
import { projectFile } from '../consumer/project-file.ts';
import { fingerprintOf, revocation } from '../consumer/revocation.ts';
import { expectRefusal } from '../harness/invariants.ts';
import { runProgram } from '../harness/program.ts';
import type { Ran } from '../harness/program.ts';
import { ada, approvalFiles, bob, build, mallory, otherBuild } from '../policy/scene.ts';

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'cs-verify-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

/** Tells a story, and what is in the depot beside it, to somebody with the project file. */
function heard(story: Story, depot: Iterable<readonly [string, Buffer]> = [], threshold = 1) {
  const told = tell(parent, story);
  for (const [name, bytes] of depot) put(told.depot, buildPath(build, name), bytes);
  const config = projectFile(parent, threshold);
  const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: parent };
  const common = ['-c', config, '--depot', told.depot, join(told.release, 'hello.tar.gz')];
  return (...args: string[]): Promise<Ran> =>
    runProgram(['verify', ...common, ...args], { env, cwd: parent });
}

test('two of three builders, under a rule of two people', async () => {
  const schemes = { b1: 'enrol', b2: 'enrol', b3: 'mac' } as const;
  const built = builtBy(schemes, { quorum: 2, agreed: ['b1', 'b3'] });
  const both = [ada, bob];
  const approvers = both.map(fingerprintOf).sort();
  const release = {
    ...built,
    approval: approvalFiles(built.approved, both),
    records: { ...built.records, release: { ...built.records.release, approvers } },
  };
  const { code, stdout, stderr } = await heard({ release }, [], 2)('--offline');
  expect(code, stderr).toBe(0);
  expect(stdout).toMatch(/built by +2 of 3 builders agree: b1 \(enrol\), b3 \(mac\)/);
  for (const fact of ['Ada <ada@example.org>', 'Bob <bob@example.org>', '2 approvers, 2 needed'])
    expect(stdout).toContain(fact);
  expect(stdout).toContain('not checked: the MAC of b3: it convinces the signer alone');
  expect(stdout).toContain('not checked: whether it was withdrawn since');
});

test('more agree than had to; and one, which is a single builder', async () => {
  const three = builtBy({ b1: 'keypair', b2: 'keypair', b3: 'keypair' }, { quorum: 2 });
  expect((await heard({ release: three })('--offline')).stdout).toMatch(
    /built by +3 of 3 builders agree, 2 needed: b1, b2, b3 \(keypair\)/,
  );
  expect((await heard({ release: builtBy({ b1: 'mac' }) })('--offline')).stdout).toMatch(
    /built by +single-builder: b1 \(mac\)/,
  );
});

test('withdrawn: not valid, by whom and why in one line, and what to do', async () => {
  const { leaf: entry, files } = revocation([ada]);
  const verify = heard({ since: [entry] }, files);
  const { code, stdout, stderr } = await verify();
  expect(code).toBe(1);
  expect(stdout).toMatch(
    /^NOT VALID {2}.*\n {2}withdrawn at .* \(entry 4 of the log\), by Ada <ada@example\.org>: the build machine.*was not .*ours \(revoked\)\n/,
  );
  expect(stdout).not.toContain('\u001b');
  expect(stderr).toContain('hint: do not use it');
  const ran = await verify('--json');
  expect(ran).toMatchObject({
    code: 1,
    json: [
      {
        ...{ code: 'revoked', outcome: 'not-valid' },
        revoked: { entry: 4, reasons: [{ approver: fingerprintOf(ada), userId: 'Ada <ada@example.org>' }] },
      },
    ],
  });
  expectRefusal(ran);
});

test('the log: who enrolled, and with which key; what was withdrawn', async () => {
  const enrolment = leaf('enrolment', -4, 'enrolments/b1.json', otherBuild, [mallory.secret.fingerprint]);
  const { leaf: withdrawal } = revocation([ada]);
  const { depot } = tell(parent, {
    between: [leaf('approval', -5, 'approval.json', otherBuild), enrolment],
    since: [withdrawal, revocation([bob], 'not needed', otherBuild).leaf],
  });
  const config = projectFile(parent, 1);
  const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: parent };
  const log = (...args: string[]): Promise<Ran> =>
    runProgram(['log', ...args, '-c', config, '--depot', depot], { env, cwd: parent });
  const shown = await log('show');
  expect(shown.stderr).not.toContain('error');
  expect(shown.stdout).toContain(`b1 enrolled, for ${mallory.secret.fingerprint.slice(-16)}`);
  expect(shown.stdout).toContain(`revoked by ${fingerprintOf(ada).slice(-16)}`);
  const { stdout } = await log('show', '--releases');
  expect(stdout).toMatch(new RegExp(`hello 1\\.0 +released .* withdrawn at 2026-11-22T13:30:00Z`));
  expect(stdout).toMatch(new RegExp(`hello 1\\.0 +revoked +.*${otherBuild}`));
  expect((await log('show', '--type', 'revocation', '--json')).json).toMatchObject([
    { index: 6 },
    { index: 7 },
  ]);
  const verified = await log('verify');
  expect(verified.code, verified.stdout).toBe(0);
  expect(verified.stdout).toMatch(/1\s+enrolment,/);
  expect(verified.stdout).toMatch(/2\s+revocations/);
  const monitored = await log('monitor');
  expect(monitored.code, monitored.stdout).toBe(0);
  expect(monitored.stdout).toMatch(/^withdrawal hello 1\.0, build/m);
  expect(monitored.stdout).toMatch(/^revocation hello 1\.0, build/m);
});
