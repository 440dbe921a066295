/**
 * A link is cut while something is on its way. Where it comes back in time the same command finishes; where it does not
 * the command says so, exits 3, and the next run finishes: with the same statement, one set of signatures, and
 * never a part of a release.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import type { Ran } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import { mustBe } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import type { Machine } from './machine.ts';
import { describeHosts } from './namespaces.ts';
import { PORT, Site } from './site.ts';

const LARGE = 3_000_000;
const KILOBITS = 8_000;
const MANY = 100;

describeHosts('a link is cut', () => {
  let site: Site;
  let world: World;
  let H: Machine;
  let L: Machine;
  beforeAll(async () => {
    site = await Site.make();
    ({ world } = site);
    [H, L] = [site.host('H'), site.host('L')];
  });
  afterAll(() => site.close());

  /** A build that is approved, whose files lie on an M of its own. */
  async function built(version: string, make: string): Promise<Built> {
    const approved = await world.approve(version);
    mustBe(0, approved);
    const { build } = approved;
    const M = await site.builder();
    await site.bring(M, approved.ticket);
    await site.ssh(M, `mkdir ${world.path('M', 'out')} && cd ${world.path('M', 'out')} && ${make}`);
    const attest = (...more: string[]): Promise<Ran> => site.attest(M, more);
    return { version, build, M, attest };
  }
  const large = (version: string): Promise<Built> => built(version, `head -c ${LARGE} /dev/urandom > large`);
  const many = (version: string): Promise<Built> =>
    built(version, `for i in $(seq ${MANY}); do echo ${version} $i > f$i; done`);

  const inDepot = (build: string, ...path: string[]): string => world.tree('builds', build, ...path);
  const published = (version: string): boolean => existsSync(world.tree('releases', 'widget', version));

  const blobs = (it: Built): Promise<string[]> =>
    readdir(inDepot(it.build, 'blobs')).catch(() => [] as string[]);
  const assembling = (): boolean =>
    readdirSync(world.tree('.tmp'), { withFileTypes: true }).some((entry) => entry.isDirectory());

  /** The release is there, whole, and is of the one statement that M signed. */
  async function expectReleased({ version, build }: Built, attested: Ran): Promise<void> {
    const statement = await readFile(inDepot(build, 'statements', 'b1.json'));
    const digest = createHash('sha256').update(statement).digest('hex');
    expect(attested.stderr, 'the statement is the one that was signed first').toContain(digest);
    mustBe(0, await world.runOn('L', ['verify', world.tree('releases', 'widget', version)]));
  }

  const sign = (it: Built): Promise<Ran> => world.sign([it.build]);
  const toldNetwork = (ran: Ran): void => {
    expect(ran.code, ran.stderr).toBe(3);
    expect(ran.stdout).toContain('"code":"network"');
    expect(ran.stderr).toContain('hint: ');
  };

  /** Waits until so many bytes more have passed. */
  function passing(counter: () => number, bytes: number): Promise<void> {
    const began = counter();
    return until(`${bytes} bytes pass`, () => counter() > began + bytes);
  }

  test('M, while it uploads: attest gives up; the next run, cut off for a moment, sends the same statement', async () => {
    const it = await large('1.0');
    const before = await snapshot(world);
    await it.M.slow(KILOBITS);
    const first = it.attest('--patience', '4s');
    await passing(() => it.M.traffic().sent, LARGE / 3);
    await it.M.bar(PORT.https);
    const attested = await first;
    toldNetwork(attested);
    expect(await blobs(it)).toEqual([]);
    await expectUntouched(world, before, { answers: [attested] });

    await it.M.unbar();
    const second = it.attest();
    await passing(() => it.M.traffic().sent, LARGE / 3);
    await it.M.cut();
    expect(await blobs(it), 'it is in the middle').toEqual([]);
    await until('M sends again', () => it.M.unanswered());
    await it.M.mend();
    await it.M.hurry();
    mustBe(0, await second);
    mustBe(0, await sign(it));
    await expectReleased(it, attested);
  });

  test('H, while it reads artifacts: sign gives up; the next run, cut off for a moment, signs', async () => {
    const it = await large('2.0');
    const attested = await it.attest();
    mustBe(0, attested);
    const before = await snapshot(world);
    await L.slow(KILOBITS);
    const first = sign(it);
    await passing(() => H.traffic().received, LARGE / 3);
    await H.bar(PORT.https);
    const cut = await first;
    toldNetwork(cut);
    await expectUntouched(world, before, { answers: [cut] });

    await H.unbar();
    const second = sign(it);
    await passing(() => H.traffic().received, LARGE / 3);
    await H.cut();
    expect(await H.listening()).toBe('');
    await until('L sends again', () => L.unanswered());
    expect(world.agent.signatures, 'it is in the middle').toBe(before.signatures);
    await H.mend();
    await L.hurry();
    mustBe(0, await second);
    expect(world.agent.signatures - before.signatures, 'one set').toBe(2);
    await expectReleased(it, attested);
  });

  test('H, while it delivers: sign gives up; the next run, cut off for a moment, delivers the same', async () => {
    const it = await many('3.0');
    const attested = await it.attest();
    mustBe(0, attested);
    const before = world.agent.signatures;
    const delivered = (): boolean => existsSync(inDepot(it.build, 'signatures')) || published('3.0');
    await H.slow(250);
    const first = sign(it);
    await until('L has the records', () => existsSync(inDepot(it.build, 'release.json')));
    await passing(() => H.traffic().sent, MANY * 200);
    await H.bar(PORT.https);
    toldNetwork(await first);
    expect(delivered()).toBe(false);

    await H.unbar();
    const second = sign(it);
    // more than the records, which it sends again
    await passing(() => H.traffic().sent, MANY * 600);
    await H.cut();
    await until('H sends again', () => H.unanswered());
    expect(delivered(), 'it is in the middle').toBe(false);
    await H.mend();
    await H.hurry();
    mustBe(0, await second);
    expect(world.agent.signatures - before, 'one set').toBe(MANY + 1);
    await expectReleased(it, attested);
  });

  test.each([
    ['for a moment: sign finishes', '4.0'],
    ['until it gives up: the release is there whole, and the next run finds it', '4.1'],
  ])('H, while L publishes, %s', async (_, version) => {
    const it = await many(version);
    const attested = await it.attest();
    mustBe(0, attested);
    const before = world.agent.signatures;
    const server = Number(/pid=(\d+)/.exec(await L.listening(PORT.https))?.[1]);
    const signing = sign(it);
    await until('L assembles it', () => assembling());
    process.kill(server, 'SIGSTOP');
    expect(published(version), 'it is in the middle').toBe(false);
    await H.cut();
    process.kill(server, 'SIGCONT');
    if (version === '4.0') {
      await until('L answers again', () => L.unanswered());
      await H.mend();
      mustBe(0, await signing);
    } else {
      toldNetwork(await signing);
      await until('L is done', () => published(version));
      await H.mend();
      mustBe(0, await sign(it));
    }
    expect(world.agent.signatures - before, 'one set').toBe(MANY + 1);
    await expectReleased(it, attested);
  });

  test('every link is slow and loses every tenth packet: the loop goes round', async () => {
    const hosts = [H, L, site.host('operator')];
    const spoil = async (host: Machine): Promise<void> => {
      await host.slow(KILOBITS);
      await host.lose(10);
    };
    for (const host of hosts) await spoil(host);
    const it = await built(
      '5.0',
      `head -c 500000 /dev/urandom > large; for i in 1 2 3; do echo $i > f$i; done`,
    );
    await spoil(it.M);
    const attested = await it.attest();
    mustBe(0, attested);
    mustBe(0, await sign(it));
    for (const host of [it.M, H, L]) expect(await host.lost()).toBeGreaterThan(0);
    await expectReleased(it, attested);
    await expectUntouched(world, await snapshot(world), { answers: [] });
  }, 180_000);
});

interface Built {
  readonly version: string;
  readonly build: string;
  readonly M: Machine;
  readonly attest: (...more: string[]) => Promise<Ran>;
}
