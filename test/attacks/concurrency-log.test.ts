/** The log with two at it at once: two signers with copies of one state, pushes that race, signers that take turns. */
import { cp, readFile, rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeLogEntry, heartbeat } from '../../src/records/log-entry.ts';
import { timestamp, toProjectName } from '../../src/records/names.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { expectRefusal } from '../harness/invariants.ts';
import type { Ran } from '../harness/program.ts';
import { mustBe, World } from '../harness/world.ts';
import { blobs, forgeApproval, post, putBlob, sign, statementOf, steal } from './forge.ts';
import { HeldLog, postLog } from './held-log.ts';
import { entries, verdicts } from './outcome.ts';

let world: World;
beforeAll(async () => {
  world = await World.make();
  await world.release('1.0', { app: 'one' });
});
afterAll(() => world.close());

const state = (): string => world.path('H', 'signer');
const sealed = async (version: string): Promise<string> => {
  const { build, ticket } = await world.approve(version);
  mustBe(0, await world.attest(ticket, { app: version }));
  return build;
};
const isLost = ({ error }: Ran): boolean => /^log-(behind|fork)$/.test(error?.code ?? '');

test('two copies of one state, at work on one build at once: one set of signatures leaves, the other signer stops', async () => {
  const build = await sealed('2.0');
  const copy = world.path('H', 'copy');
  await cp(state(), copy, { recursive: true });
  // both have signed before either may send its log
  const hostile = await HostileDepot.start(world.url);
  let [waiting, go] = [0, (): void => {}];
  const both = new Promise<void>((resolve) => (go = resolve));
  hostile.lie('/log', async (honest, { method }) => {
    if (method === 'POST' && ++waiting === 2) go();
    if (method === 'POST') await both;
    return honest();
  });
  const made = world.agent.signatures;
  const there = ['--depot', hostile.url];
  const start = Date.now();
  const first = world.sign([build, ...there]);
  // in another second: else both would write the same log
  await expect.poll(() => waiting === 1 && Date.now() - start > 1500, { timeout: 20_000 }).toBe(true);
  const ran = await Promise.all([first, world.sign([build, ...there, '--state', copy])]);
  await hostile.close();

  expect(world.agent.signatures - made, 'both have signed').toBe(4);
  expect(ran.map(({ code }) => code).sort(), ran.map(({ stderr }) => stderr).join()).toEqual([0, 1]);
  const loser = ran.findIndex(({ code }) => code === 1);
  const lost = ran[loser];
  expect(lost && isLost(lost), lost?.stdout).toBe(true);
  if (lost) expectRefusal(lost);
  mustBe(0, await world.verify([world.tree('releases/widget/2.0')]));
  // what the loser made stays where it is, however often it is asked
  const published = await readFile(world.tree('releases/widget/2.0/app.asc'));
  const where = loser === 0 ? state() : copy;
  for (const args of [[build], []]) {
    const again = await world.sign([...args, '--state', where]);
    expect(isLost(again), again.stderr).toBe(true);
  }
  expect(await readFile(world.tree('releases/widget/2.0/app.asc'))).toEqual(published);
  // as the manual says
  for (const name of ['journal', 'checkpoint']) await rm(`${where}/${name}`);
  const recovered = await world.sign([build, '--recover', '--state', where]);
  mustBe(0, recovered);
  expect(await readFile(world.tree('releases/widget/2.0/app.asc'))).toEqual(published);
  expect(world.agent.signatures - made, 'nothing is signed again').toBe(4);
  if (where !== copy) return;
  await rm(state(), { recursive: true });
  await cp(copy, state(), { recursive: true });
});

test('builds with the same names, and signers that take turns: each is signed once, in one log', async () => {
  const { approval } = await steal(world, await world.approve('3.0'));
  const held = Array.from({ length: 8 }, (_, at) =>
    forgeApproval(world, approval, { version: `3.1.${at}` as typeof approval.version }),
  );
  const contents = (at: number) => ({ app: `app of ${at}`, same: 'same' });
  const [made, before] = [world.agent.signatures, (await HeldLog.of(world)).size];
  const seal = async (each: (typeof held)[number], at: number): Promise<void> => {
    expect((await post(world, each.build, each.files)).status).toBe(201);
    await Promise.all([...blobs(contents(at)).values()].map((bytes) => putBlob(world, each, bytes)));
    expect(
      (await post(world, each.build, sign(each, statementOf(each, contents(at))), each.token)).status,
    ).toBe(201);
  };
  const open = new Set(held.map(({ build }) => build));
  const signer = async (): Promise<void> => {
    while (open.size > 0) {
      const ran = await world.sign();
      if (ran.code !== 0) expect(ran.error?.code, ran.stderr).toBe('locked');
      for (const { build, state: now } of ran.json) if (now === 'published') open.delete(String(build));
    }
  };
  await Promise.all([signer(), signer(), Promise.all(held.map(seal))]);
  expect(world.agent.signatures - made).toBe(24);
  for (const { build } of held)
    expect(await entries(world, build)).toEqual(['approval', 'statement', 'intent', 'release']);
  const log = await HeldLog.of(world);
  // the approval that was only made to be copied waits
  expect(log.size - before).toBe(33);
  mustBe(0, await world.runOn('operator', ['log', 'verify', '--json']));
  mustBe(0, await world.verify([world.tree('releases/widget/3.1.7')]));
}, 180_000);

test('pushes that race: of equal ones all are answered, of others one is taken', async () => {
  const log = await HeldLog.of(world);
  const beat = (at: number): Buffer =>
    encodeLogEntry(heartbeat(toProjectName('widget', 'attack'), timestamp(new Date(Date.now() - at * 1000))));
  const equal = log.with([beat(0)]);
  const same = await Promise.all(Array.from({ length: 8 }, () => postLog(world.url, equal.push(log.size))));
  expect(same.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 201]);
  const others = [1, 2, 3, 4].map((at) => equal.with([beat(0), beat(at)].slice(0, 1 + (at % 2))));
  const answers = await Promise.all(others.map((each) => postLog(world.url, each.push(equal.size))));
  for (const { status } of answers) expect([200, 201, 409]).toContain(status);
  expect(answers.map(({ status }) => status)).toContain(201);
  mustBe(0, await world.sign(['--recover']));
  mustBe(0, await world.runOn('operator', ['log', 'verify', '--json']));
  expect(verdicts(await world.sign())).toEqual(['approved statement-waits']);
});

test('a log that is carried to and fro while it grows: everybody ends with all of it', async () => {
  const mirror = world.path('mirror');
  const sync = (from: string, to: string): Promise<Ran> =>
    world.runOn('operator', ['sync', from, to, '--json']);
  mustBe(0, await sync(world.url, mirror));
  const build = await sealed('4.0');
  const ran = await Promise.all([
    world.sign([build]),
    sync(mirror, world.url),
    sync(world.url, mirror),
    sync(world.url, world.path('second')),
  ]);
  expect(
    ran.map(({ code }) => code),
    ran.map(({ stderr }) => stderr).join(),
  ).toEqual([0, 0, 0, 0]);
  mustBe(0, await sync(world.url, mirror));
  expect(await readFile(`${mirror}/log/checkpoint`)).toEqual(await readFile(world.tree('log/checkpoint')));
  mustBe(0, await world.runOn('operator', ['log', 'verify', '--json', '--depot', mirror]));
  mustBe(0, await world.runOn('operator', ['log', 'verify', '--json']));
});
