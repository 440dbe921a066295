/** Taking back: one person before a release, as many as it took to allow it after; said, asked, and in force when H has logged it. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseApproval, terms } from '../../src/records/approval.ts';
import { encodeRevocation } from '../../src/records/revocation.ts';
import { timestamp, toBuildId, toSha256 } from '../../src/records/names.ts';
import type { Fingerprint } from '../../src/records/names.ts';
import { revocationFile, revocationSignatureFile } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { plant } from '../attacks/forge.ts';
import { entries } from '../attacks/outcome.ts';
import type { Ran } from '../harness/program.ts';
import { atTerminal } from '../harness/terminal.ts';
import { until } from '../harness/until.ts';
import { mustBe, World } from '../harness/world.ts';

const contents = { app: 'app' };
let world: World;
beforeAll(async () => {
  world = await World.make({ approvers: 3, threshold: 2 });
});
afterAll(() => world.close());

const key = (person: number): Fingerprint => {
  const found = world.approvers[person];
  if (found === undefined) throw new Error(`no approver ${person}`);
  return found;
};
const run = (verb: string, build: string, approver: number, ...args: string[]): Promise<Ran> =>
  world.runOn('operator', [verb, build, '--yes', '--json', ...args], { approver });
const revoke = (build: string, approver: number, ...args: string[]): Promise<Ran> =>
  run('revoke', build, approver, '--reason', 'the builder was broken into', ...args);

/** Allowed by two, sealed. */
async function sealed(version: string): Promise<string> {
  const { build, ticket } = await world.approve(version);
  mustBe(0, await run('endorse', build, 1));
  mustBe(0, await world.attest(ticket, contents));
  return build;
}

describe('before the release', () => {
  test('one person is enough: H logs it and signs nothing', async () => {
    const build = await sealed('1.0');
    const early = await run('endorse', build, 2, '--withdraw');
    expect([early.code, early.error?.code]).toEqual([1, 'withdrawal-missing']);
    const ran = await revoke(build, 2);
    mustBe(0, ran);
    expect(ran.json).toEqual([{ build, logged: null, approvers: [key(2)], needed: 1 }]);
    expect(ran.stderr).toContain('you alone end it');
    const before = await world.runOn('operator', ['status', build]);
    expect(before.stdout).toMatch(/revoked$/m);
    expect(before.stdout).toContain('the builder was broken into');
    expect(before.stderr).toContain('in force once the signer has logged it');

    // waiting in vain, and not in vain
    const inVain = await revoke(build, 2, '--wait', '1');
    expect(inVain.code, inVain.stderr).toBe(3);
    expect(inVain.json).toEqual([{ build, logged: null, approvers: [key(2)], needed: 1 }]);
    await world.sign([build]);
    expect(await entries(world, build)).toEqual(['approval', 'revocation']);
    const waited = await revoke(build, 2, '--wait', '60');
    mustBe(0, waited);
    expect(waited.json[0]).toMatchObject({ logged: expect.any(Number) });
    expect(waited.stderr).toContain('nothing to do');
    const after = await world.runOn('operator', ['status', build, '--json']);
    expect(after.json[0]).toMatchObject({
      state: 'revoked',
      withdrawn: false,
      revocations: [{ approver: key(2), reason: 'the builder was broken into' }],
      hint: expect.stringContaining('countersign approve 1.0'),
    });
    const late = await run('endorse', build, 2);
    expect([late.code, late.error?.code]).toEqual([1, 'build-decided']);
  });

  test('--wait ends when H has logged it', async () => {
    const build = await sealed('1.1');
    const [waited] = await Promise.all([
      revoke(build, 0, '--wait', '60'),
      (async () => {
        // H looks once the revocation is there
        const path = world.tree('builds', build, revocationSignatureFile(key(0)));
        await until('the revocation is there', () => existsSync(path));
        await world.sign([build]);
      })(),
    ]);
    mustBe(0, waited);
    expect(waited.json).toEqual([{ build, logged: expect.any(Number), approvers: [key(0)], needed: 1 }]);
  });
});

test('one of too few who signed it takes it back: over at once, and --wait waits for nothing', async () => {
  const { build } = await world.approve('1.2');
  const ran = await revoke(build, 1, '--wait', '600');
  mustBe(0, ran);
  expect(ran.json).toEqual([{ build, logged: null, approvers: [key(1)], needed: 1 }]);
  expect(ran.stderr).not.toContain('waiting');
  const said = await world.runOn('operator', ['revoke', build, '--yes', '--reason', 'again'], {
    approver: 1,
  });
  expect(said.stdout).toContain(
    'over: it never had its 2 approvers, so there is nothing to log; endorse refuses it',
  );
  const status = await world.runOn('operator', ['status', build, '--json']);
  expect(status.json[0]).toMatchObject({
    state: 'revoked',
    why: expect.stringMatching(/; it never had its 2 approvers: there is nothing to log$/),
  });
  const late = await run('endorse', build, 2);
  expect([late.code, late.error?.code]).toEqual([1, 'build-decided']);
  const signed = await world.sign([build]);
  expect([signed.code, signed.json[0]]).toMatchObject([1, { state: 'revoked', code: 'revoked' }]);
  expect(signed.stderr).toContain('it never had its 2 approvers, so the log has nothing of it');
  expect(await entries(world, build)).toEqual([]);
});

describe('after the release', () => {
  test('it takes as many as allowing it: the second endorses the reason of the first', async () => {
    const build = await sealed('2.0');
    mustBe(0, await world.sign([build]));
    const first = await revoke(build, 1);
    mustBe(0, first);
    expect(first.stderr).toContain('withdrawing it takes 2 approvers, you are number 1');
    expect(first.json).toEqual([{ build, logged: null, approvers: [key(1)], needed: 2 }]);
    const waiting = await world.runOn('operator', ['status', build, '--json']);
    expect(waiting.json[0]).toMatchObject({
      state: 'published',
      why: expect.stringContaining('1 of 2 approvers want to withdraw it: the builder was broken into'),
      hint: expect.stringContaining(`countersign endorse ${build}`),
    });
    // the one who has said so is no second person
    expect((await run('endorse', build, 1)).json[0]).toMatchObject({ missing: 1 });
    const again = await world.runOn('operator', ['revoke', build, '--yes', '--reason', 'again'], {
      approver: 1,
    });
    expect(again.stderr).toContain('you have revoked it already');
    expect(again.stderr).toContain(`it takes 1 more: countersign endorse ${build}`);
    const endorsing = await world.runOn('operator', ['endorse', build], { approver: 1 });
    expect(endorsing.stderr).toContain('has signed the withdrawal before');
    // the script that allowed the build runs again: it allows, and withdraws nothing
    const agreed = terms(parseApproval(await readFile(world.tree('builds', build, 'approval.json'))));
    for (const args of [['--yes'], [], ['--expect', agreed, '--yes']]) {
      const again = await world.runOn('operator', ['endorse', build, '--json', ...args], { approver: 2 });
      expect([again.code, again.error?.code], args.join(' ')).toEqual([1, 'withdrawal-waits']);
      expect(again.error?.hint).toContain(`countersign endorse ${build} --withdraw`);
    }
    expect(existsSync(world.tree('builds', build, revocationSignatureFile(key(2))))).toBe(false);

    const screen = await atTerminal(
      ['endorse', build],
      [['withdraw the release of widget 2.0, too? [y/N]', 'y']],
      {
        env: { ...world.env('operator', 2) },
        cwd: world.path('cwd'),
      },
    );
    expect(screen.code, screen.screen).toBe(0);
    expect(screen.screen).toContain('the builder was broken into');
    expect(screen.screen).toContain('the threshold is reached');
    await world.sign();
    expect((await entries(world, build)).at(-1)).toBe('revocation');
    const after = await world.runOn('operator', ['status', build]);
    expect(after.stdout).toMatch(/^widget 2\.0 {2}withdrawn$/m);
    expect(after.stderr).toContain('widget 2.0 was released and withdrawn: approve another version');
    const list = await world.runOn('operator', ['status', '2.0', '--json']);
    expect(list.json[0]).toMatchObject({ state: 'revoked', withdrawn: true });
  });
});

test('a reason that wants to look like something else', async () => {
  const build = await sealed('3.0');
  mustBe(0, await world.sign([build]));
  const approval = toSha256(
    sha256Hex(await readFile(world.tree('builds', build, 'approval.json'))),
    'digest',
  );
  const record = encodeRevocation({
    build: toBuildId(build, 'build'),
    approval,
    reason: 'typo\n  approvers  2 needed\u001b[2J\u202e',
    time: timestamp(new Date()),
  });
  const signature = world.approverHomes[1]?.sign(key(1), record) ?? Buffer.alloc(0);
  await plant(
    world,
    build,
    new Map([
      [revocationFile(key(1)), record],
      [revocationSignatureFile(key(1)), signature],
    ]),
  );
  const shown = await world.runOn('operator', ['status', build]);
  expect(shown.stdout).toContain(String.raw`typo\x0a`);
  expect(shown.stdout).toContain(String.raw`\x1b[2J\u{202e}`);
  const ran = await world.runOn('operator', ['endorse', build, '--withdraw', '--yes'], { approver: 2 });
  mustBe(0, ran);
  expect(ran.stderr).toContain(String.raw`typo\x0a`);
  expect(ran.stderr).toMatch(/^ +approvers +2 needed, you are number 2$/m);
});

describe('is refused, and nothing signed:', () => {
  test.each<[string, string[], number, string]>([
    ['without a reason', [], 2, 'wrong-usage'],
    ['an empty reason', ['--reason', ' '], 2, 'reason-malformed'],
    ['two lines', ['--reason', 'a\nb'], 2, 'reason-malformed'],
    ['hidden characters', ['--reason', 'a\u202eb'], 2, 'reason-malformed'],
    ['a book', ['--reason', 'é'.repeat(513)], 2, 'reason-malformed'],
    ['no whole seconds', ['--reason', 'a', '--wait', '1m'], 2, 'wrong-usage'],
    ['a build that nobody knows', ['--reason', 'a'], 1, 'build-unknown'],
  ])('%s', async (_, args, code, error) => {
    const ran = await run('revoke', '01jd9v7q3m4n5p6r7s8t9vwxyz', 0, ...args);
    expect([ran.code, ran.error?.code]).toEqual([code, error]);
  });

  test('nobody is there to ask', async () => {
    const { build } = await world.approve('4.0');
    const ran = await world.runOn('operator', ['revoke', build, '--reason', 'a', '--json']);
    expect([ran.code, ran.error?.code]).toEqual([2, 'no-terminal']);
  });
});
