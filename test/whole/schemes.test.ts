/** The schemes `mac` and `enrol` from the approval to the download, every role a process of its own, over HTTP. */
import { execFile, execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { builderOf } from '../../src/policy/builder-key.ts';
import { parseApproval } from '../../src/records/approval.ts';
import { parseEnrolment } from '../../src/records/enrolment.ts';
import { toSlot } from '../../src/records/names.ts';
import { parseTicket } from '../../src/records/ticket.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { until } from '../harness/until.ts';
import { World, mustBe } from '../harness/world.ts';
import type { Ran } from '../harness/program.ts';

const run = promisify(execFile);
const b1 = toSlot('b1', 'test');
const files = { 'hello.tar': 'hello', 'docs/hello.txt': 'read me' };

let world: World;
beforeAll(async () => {
  const home = new GnupgHome();
  const key = home.generate({ userId: 'Release <release@example.org>', usage: 'cert' });
  home.addSubkey(key, 'ed25519', 'sign');
  home.addSubkey(key, 'cv25519', 'encr');
  world = await World.make({ release: { home, key }, init: ['--signer-key', key] });
});
afterAll(() => world.close());

const released = (version: string, ...path: string[]): string =>
  world.tree('releases', world.project, version, ...path);

async function verified(version: string, args: readonly string[] = []): Promise<Ran> {
  const ran = await world.runOn('operator', ['verify', released(version), ...args]);
  mustBe(0, ran);
  return ran;
}

describe('mac', () => {
  let build: string;
  test('a nonce in the ticket, a MAC by the builder: H opens its own copy, and signs', async () => {
    const { ticket, build: id } = await world.approve('1.0', ['--scheme', 'mac']);
    build = id;
    const { secret } = parseTicket(readFileSync(ticket, 'utf8').trim());
    if (secret.scheme !== 'mac' || secret.nonce === null) throw new Error('not a fresh ticket of scheme mac');
    const attested = await world.attest(ticket, files);
    mustBe(0, attested);
    expect(attested.stderr).toContain('convinces the signer alone');
    expect(existsSync(ticket)).toBe(false);
    const signed = await world.sign();
    mustBe(0, signed);
    expect(signed.json).toMatchObject([{ build, state: 'published' }]);
    // what L has, and everybody reads, does not hold the nonce
    const grepped = run('grep', ['-rlF', secret.nonce, world.tree(), world.path('H'), world.path('tmp')]);
    await expect(grepped).rejects.toMatchObject({ code: 1 });
  });

  test('a consumer sees that a MAC was taken, and is told whom it convinced', async () => {
    expect(readdirSync(released('1.0', 'countersign', 'statements')).sort()).toEqual([
      'b1.json',
      'b1.json.mac',
    ]);
    const { stdout } = await verified('1.0');
    expect(stdout).toMatch(/^ +built by +single-builder: b1 \(mac\)/m);
    expect(stdout).toMatch(/not checked: .*MAC.*signer alone/s);
  });

  test('a MAC that L has changed is reported on each run, ends nothing, and heals', async () => {
    const { ticket, build: id } = await world.approve('1.1', ['--scheme', 'mac']);
    mustBe(0, await world.attest(ticket, files));
    const file = world.tree('builds', id, 'statements', 'b1.json.mac');
    const mac = readFileSync(file, 'utf8');
    writeFileSync(
      file,
      mac.replace(/^./, (first) => (first === 'A' ? 'B' : 'A')),
    );
    const before = await snapshot(world);
    const bad = await world.sign();
    mustBe(1, bad);
    expect(bad.json).toMatchObject([{ build: id, code: 'statement-invalid' }]);
    await expectUntouched(world, before, { answers: [bad] });
    writeFileSync(file, mac);
    mustBe(0, await world.sign());
    await verified('1.1');
  });
});

/** H a minute from now: its clock decides until when builders may enrol. */
const aMinuteLater = (): Record<string, string> => ({
  LD_PRELOAD: execFileSync('faketime', ['-f', '+0', 'printenv', 'LD_PRELOAD']).toString().trim(),
  FAKETIME: '+65s',
  FAKETIME_DONT_FAKE_MONOTONIC: '1',
});
const approveEnrolling = (version: string) =>
  world.approve(version, ['--scheme', 'enrol', '--enrol-by', '1m']);

const enrolments = (build: string): string => world.tree('builds', build, 'enrolments');
const waits = (build: string, file = 'b1.json'): Promise<void> =>
  until('the builder introduces its key', () => existsSync(join(enrolments(build), file)));

/** `attest --run` in a directory of M; not waited for. */
async function starts(
  ticket: string,
  place: string,
  content: string,
): Promise<{ ended: Promise<Ran>; base: string }> {
  const base = world.path('M', place);
  mkdirSync(base);
  copyFileSync(ticket, join(base, 'ticket'));
  const command = `echo ${content} > '${join(base, 'hello.tar')}'`;
  const args = [
    'attest',
    '--ticket',
    join(base, 'ticket'),
    '--base',
    base,
    '--run',
    command,
    '--timeout',
    '50s',
  ];
  const ended = world.runOn('M', [...args, join(base, 'hello.tar'), '--json']);
  return { ended, base };
}

describe('enrol', () => {
  let copy: string;

  test('a thief with a copy of the ticket, who is first: two keys for one slot freeze the build', async () => {
    const { ticket, build } = await approveEnrolling('2.1');
    const thief = await starts(ticket, 'thief', 'evil');
    await waits(build);
    mustBe(0, await world.sign());
    mustBe(0, await thief.ended);
    // everything of the thief's is valid; then the builder starts, later than it should
    const honest = await starts(ticket, 'robbed', 'hello');
    await waits(build, 'b1.2.json');
    const before = await snapshot(world);
    const frozen = await world.sign();
    mustBe(1, frozen);
    expect(frozen.json).toMatchObject([{ build, state: 'frozen', code: 'conflict' }]);
    await expectUntouched(world, before, { answers: [frozen], refused: build });
    const told = await honest.ended;
    expect(told.code).toBe(1);
    expect(existsSync(join(honest.base, 'hello.tar'))).toBe(false);
    expect((await world.sign([build])).json).toMatchObject([{ build, state: 'frozen' }]);
    const status = await world.runOn('operator', ['status', build]);
    expect(status.stdout).toMatch(/frozen/);
  });

  test('a key that never travelled: H takes it, then M builds, and H signs when nobody else can enrol', async () => {
    const { ticket, build } = await approveEnrolling('2.0');
    copy = join(dirname(ticket), 'copy');
    copyFileSync(ticket, copy);
    const { ended, base } = await starts(ticket, 'honest', 'hello');
    await waits(build);
    // it waits for the receipt: nothing is built
    expect(existsSync(join(base, 'hello.tar'))).toBe(false);
    const first = await world.sign();
    mustBe(0, first);
    expect(world.tree('builds', build)).toSatisfy(() =>
      existsSync(join(enrolments(build), 'b1.json.receipt')),
    );
    mustBe(0, await ended);
    expect(readdirSync(base).sort()).toEqual(['hello.tar']);

    // sealed, and too early: another key could come
    const signatures = world.agent.signatures;
    const early = await world.sign();
    mustBe(0, early);
    expect(early.json).toMatchObject([{ build, state: expect.not.stringMatching('published') }]);
    expect(world.agent.signatures).toBe(signatures);
    const signed = await world.sign([], { env: aMinuteLater() });
    mustBe(0, signed);
    expect(signed.json).toMatchObject([{ build, state: 'published' }]);
    const { stdout } = await verified('2.0');
    expect(stdout).toMatch(/^ +built by +single-builder: b1 \(enrol\)/m);
  });

  test('anybody checks the statement by hand, with the key that the log has', async () => {
    const at = (...path: string[]): string => released('2.0', 'countersign', ...path);
    const { certificate } = parseEnrolment(readFileSync(at('enrolments', 'b1.json')));
    const ring = world.path('operator', 'b1.gpg');
    writeFileSync(ring, Buffer.from(certificate, 'base64'));
    for (const file of ['enrolments/b1.json', 'statements/b1.json']) {
      const { stdout } = await run('gpgv', [
        '--status-fd',
        '1',
        '--keyring',
        ring,
        at(`${file}.sig`),
        at(file),
      ]);
      expect(stdout).toContain('[GNUPG:] GOODSIG');
    }
    expect(readdirSync(at('enrolments')).sort()).toEqual([
      'b1.json',
      'b1.json.mac',
      'b1.json.receipt',
      'b1.json.sig',
    ]);
    // of the nonce the approval shows the digest, sealed bytes, and no more
    const { scheme } = builderOf(parseApproval(readFileSync(at('approval.json'))), b1);
    expect(scheme).toBe('enrol');
  });

  test('a thief who comes when the time is over gets nothing, and disturbs nothing', async () => {
    const before = await snapshot(world);
    const thief = await starts(copy, 'late', 'evil');
    const told = await thief.ended;
    await expectUntouched(world, before, { answers: [told] });
    expect(existsSync(join(thief.base, 'hello.tar'))).toBe(false);
    await verified('2.0');
  });
});
