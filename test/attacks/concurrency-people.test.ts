/**
 * People and builders at once with H, for real: a revocation or an endorsement that races `sign`, three builders with the same
 * bytes. Who wins is chance, and either is right; what is never right is a signature that leaves a build that was taken back.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { expectRefusal, expectUntouched, snapshot } from '../harness/invariants.ts';
import type { Ran } from '../harness/program.ts';
import { mustBe, World } from '../harness/world.ts';
import { entries, expectSigned, verdicts } from './outcome.ts';

let world: World;
/** In front of the depot, honest: it knows how far H has come. */
let relay: HostileDepot;
beforeAll(async () => {
  world = await World.make({ approvers: 2, threshold: 2 });
  relay = await HostileDepot.start(world.url);
});
afterEach(() => relay.repent());
afterAll(async () => {
  await relay.close();
  await world.close();
});

async function sealed(version: string): Promise<string> {
  const { ticket, build, ...ran } = await world.approve(version);
  mustBe(0, ran);
  mustBe(0, await world.attest(ticket, { app: version }));
  return build;
}
const endorse = (build: string): Promise<Ran> =>
  world.runOn('operator', ['endorse', build, '--yes', '--json'], { approver: 1 });

/** Starts `act`, and does not wait for it, when H asks for its n-th thing. */
function onRequest(n: number, act: () => Promise<Ran>): () => Promise<Ran> {
  let [asked, running]: [number, Promise<Ran> | undefined] = [0, undefined];
  relay.lie(/./, (honest) => {
    if (++asked === n) running = act();
    return honest();
  });
  return () => running ?? act();
}

/** Whatever was seen first: the log tells one story, and L shows no more than it allows. */
async function expectOneStory(build: string, version: string, ran: Ran): Promise<void> {
  const found = await entries(world, build);
  const [release, revocation] = [found.indexOf('release'), found.indexOf('revocation')];
  for (const type of ['approval', 'intent', 'release', 'revocation'])
    expect(found.filter((each) => each === type).length, `${type}s`).toBeLessThan(2);
  const files = await readdir(world.tree('builds', build), { recursive: true });
  const left = files.filter((name) => /^signatures|^release|^manifest/.test(name));
  if (revocation >= 0 && release < 0) {
    expect(left, 'taken back: nothing leaves').toEqual([]);
    expect(existsSync(world.tree('releases/widget', version))).toBe(false);
    expect(verdicts(ran)).toEqual(['revoked revoked']);
    expect(found.at(-1)).toBe('revocation');
    expectRefusal(ran);
  } else {
    expect([ran.code, verdicts(ran)], ran.stderr).toEqual([0, ['published undefined']]);
    mustBe(0, await world.verify([world.tree('releases/widget', version)]));
  }
}

describe('revoke, racing sign', () => {
  // from the first question that H asks to the last ones of a round
  test.each([1, 6, 10, 14, 18])('from its request %i on: signed, or taken back, never both', async (n) => {
    const version = `1.${n}`;
    const build = await sealed(version);
    mustBe(0, await endorse(build));
    const revoked = onRequest(n, () =>
      world.runOn('operator', ['revoke', build, '--reason', 'a race', '--yes', '--json']),
    );
    const ran = await world.sign([build, '--depot', relay.url]);
    const { code, stderr } = await revoked();
    expect(code, stderr).toBe(0);
    await expectOneStory(build, version, ran);
    // another round finds the same story; after the release one of two is too few to withdraw it
    const before = await snapshot(world);
    await expectOneStory(build, version, await world.sign([build]));
    const found = await entries(world, build);
    expect(found.includes('release') ? found.includes('revocation') : found.at(-1)).toBe(
      found.includes('release') ? false : 'revocation',
    );
    await expectUntouched(world, before, { answers: [] });
  });
});

describe('endorse, racing sign', () => {
  test.each([1, 4])(
    'from its request %i on: it waits for the next round, or signs in this one',
    async (n) => {
      const version = `2.${n}`;
      const build = await sealed(version);
      const endorsed = onRequest(n, () => endorse(build));
      const ran = await world.sign([build, '--depot', relay.url]);
      mustBe(0, ran);
      mustBe(0, await endorsed());
      expect(verdicts(ran)[0]).toBeOneOf(['published undefined', 'approved approval-waits']);
      await expectSigned(world, build, version, { app: version });
      expect(await entries(world, build)).toEqual(['approval', 'statement', 'intent', 'release']);
    },
  );

  test('both people at once, and a third time: one endorsement each, one release', async () => {
    const build = await sealed('2.9');
    const ran = await Promise.all([endorse(build), endorse(build), endorse(build), world.sign([build])]);
    expect(ran.some(({ code }) => code === 0)).toBe(true);
    for (const each of ran) if (each.code !== 0) expectRefusal(each);
    await expectSigned(world, build, '2.9', { app: '2.9' });
  });
});

describe('three builders', () => {
  test('that upload the same bytes at once: each is kept once, and three of three agree', async () => {
    const { ticket, build, ...approved } = await world.approve('3.0', ['--builders', '3']);
    mustBe(0, approved);
    mustBe(0, await endorse(build));
    const contents = {
      'large.bin': Buffer.alloc(3 << 20, 'large '),
      'a/same': 'same',
      'b/same': 'same',
      ...Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`many/${at}`, `file ${at}`])),
    };
    const slots = ['b1', 'b2', 'b3'];
    const ran = await Promise.all(
      slots.map((slot) => world.attest(join(dirname(ticket), `${slot}.ticket`), contents)),
    );
    for (const each of ran) expect(each.code, each.stderr).toBe(0);
    const signed = await world.sign([build]);
    expect(verdicts(signed), signed.stderr).toEqual(['published undefined']);
    const { assurance } = JSON.parse(
      await readFile(world.tree('releases/widget/3.0/countersign/release.json'), 'utf8'),
    ) as { readonly assurance: string };
    expect(assurance).toBe('3-of-3');
    mustBe(0, await world.verify([world.tree('releases/widget/3.0')]));
  });

  test('two of whom differ, at once with sign: it waits or freezes, whoever H sees first', async () => {
    const { ticket, build } = await world.approve('3.1', ['--builders', '2']);
    mustBe(0, await endorse(build));
    const tickets = ['b1', 'b2'].map((slot) => join(dirname(ticket), `${slot}.ticket`));
    const before = await snapshot(world);
    const [one, two, early] = await Promise.all([
      world.attest(tickets[0] ?? '', { app: 'one' }),
      world.attest(tickets[1] ?? '', { app: 'two' }),
      world.sign([build]),
    ]);
    expect([one.code, two.code]).toEqual([0, 0]);
    expect(verdicts(early)[0]).toMatch(/^(\w+ statement-waits|frozen conflict)$/);
    const ran = await world.sign([build]);
    expect([ran.code, verdicts(ran)]).toEqual([1, ['frozen conflict']]);
    await expectUntouched(world, before, { answers: [ran], refused: build });
  });
});
