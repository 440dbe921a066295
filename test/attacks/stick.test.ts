/**
 * A depot on a USB stick (exFAT): no hard links, so nothing but a lock keeps two writers apart; names without case,
 * so that two of ours may be one there; no modes of a file's own.
 */
import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { expectRefusal, expectUntouched, snapshot } from '../harness/invariants.ts';
import { litterOf } from '../harness/litter.ts';
import { Stick } from '../harness/stick.ts';
import { mustBe, World } from '../harness/world.ts';
import type { Approved, Attested, Files } from '../harness/world.ts';
import { entries, verdicts } from './outcome.ts';

const artifacts = { 'App.tgz': 'app', 'doc/app.txt': 'text', empty: '', 'also-empty': '' };

let world: World;
let stick: Stick;
let depot: string;

beforeAll(async () => {
  world = await World.make();
  await world.stopServer();
  stick = new Stick();
  depot = join(stick.path, 'depot');
  await mkdir(depot);
});
beforeEach(({ skip }) => skip(!stick.real && !process.env['CI'], 'no exFAT file system can be mounted here'));
afterAll(async () => {
  stick?.close();
  await world.close();
});

const approve = async (version: string): Promise<Approved> => {
  const approved = await world.approve(version, ['--depot', depot]);
  mustBe(0, approved);
  return approved;
};
const attest = (ticket: string, files: Files): Promise<Attested> =>
  world.attest(ticket, files, ['--depot', depot]);
const release = (version: string): string => join(depot, 'releases/widget', version);

test('is as good as any: a release goes the whole way, and can be checked there', async () => {
  const { ticket, build } = await approve('1.0');
  mustBe(0, await attest(ticket, artifacts));
  const signed = await world.sign([build, '--depot', depot]);
  expect(verdicts(signed), signed.stderr).toEqual(['published undefined']);
  mustBe(0, await world.verify([release('1.0')]));
  for (const [name, content] of Object.entries(artifacts))
    expect(await readFile(join(release('1.0'), name), 'utf8')).toBe(content);
  expect(await litterOf(depot)).toEqual([]);
});

test('two writers at once: one of them waits for another time, and nothing is lost or replaced', async () => {
  const [one, other] = [await approve('2.0'), await approve('2.1')];
  const ran = await Promise.all(
    [one, other].map(({ ticket }, at) => attest(ticket, { app: Buffer.alloc(2_000_000, `${at}`) })),
  );
  for (const [at, each] of ran.entries()) {
    if (each.code === 0) continue;
    expect(each.error?.code, each.stderr).toBe('locked');
    expectRefusal(each);
    const ticket = [one, other][at]?.ticket ?? '';
    mustBe(
      0,
      await world.runOn('M', [
        'attest',
        '--ticket',
        ticket,
        '--base',
        each.base,
        each.base,
        '--depot',
        depot,
      ]),
    );
  }
  const signed = await world.sign(['--depot', depot]);
  mustBe(0, signed);
  for (const version of ['2.0', '2.1']) mustBe(0, await world.verify([release(version)]));
});

test('a second statement of one ticket, used on two machines, lies beside the first, and H freezes the build', async () => {
  const { ticket, build } = await approve('3.0');
  const copy = world.path('M', 'copy.ticket');
  await writeFile(copy, await readFile(ticket), { mode: 0o600 });
  mustBe(0, await attest(ticket, { app: 'first' }));
  const second = await attest(copy, { app: 'second' });
  expect(second.error?.code).toBe('statement-not-first');
  const statements = await readdir(join(depot, 'builds', build, 'statements'));
  expect(statements).toEqual(expect.arrayContaining(['b1.json', 'b1.2.json']));
  const before = world.agent.signatures;
  const signed = await world.sign([build, '--depot', depot]);
  expect(verdicts(signed)).toEqual(['frozen conflict']);
  expect(world.agent.signatures).toBe(before);
});

test('versions that differ in case alone are one there: the first stays as it is, the second is not published', async () => {
  const upper = await approve('4.0-RC1');
  mustBe(0, await attest(upper.ticket, { app: 'RC' }));
  mustBe(0, await world.sign([upper.build, '--depot', depot]));
  const lower = await approve('4.0-rc1');
  mustBe(0, await attest(lower.ticket, { app: 'rc' }));
  const ran = await world.sign([lower.build, '--depot', depot]);
  expect(verdicts(ran), ran.stderr).toEqual(['signed version-taken']);
  expect(await readFile(join(release('4.0-RC1'), 'app'), 'utf8')).toBe('RC');
  expect(await entries(world, lower.build)).toContain('release');
  mustBe(0, await world.verify([release('4.0-RC1')]));
});

test('is no place for the state of H: others can read there', async () => {
  await cp(world.path('H', 'signer'), join(stick.path, 'signer'), { recursive: true });
  const before = await snapshot(world);
  const ran = await world.sign(['--depot', depot, '--state', join(stick.path, 'signer')]);
  expect(ran.error?.code).toBe('state-permissions');
  await expectUntouched(world, before, { answers: [ran] });
  await rm(join(stick.path, 'signer'), { recursive: true });
});

test('pulled out: said, and put in again everything is there', async () => {
  const { ticket, build } = await approve('5.0');
  mustBe(0, await attest(ticket, { app: 'app' }));
  stick.pullOut();
  const ran = await world.sign([build, '--depot', depot]);
  expect(ran.error?.code).toBe('no-depot');
  mustBe(3, ran);
  expectRefusal(ran);
  stick.plugIn();
  mustBe(0, await world.sign([build, '--depot', depot]));
  mustBe(0, await world.verify([release('5.0')]));
});
