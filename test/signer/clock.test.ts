/** Deadlines, to the second by the signer's clock; and clocks that nobody can go by: refused, not guessed (protocol §5). */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SteadyClock } from '../../src/host/clock.ts';
import { timestamp } from '../../src/records/names.ts';
import type { BuildId } from '../../src/records/names.ts';
import { execFileSync } from 'node:child_process';
import { mustBe, World } from '../harness/world.ts';
import { oddDepot } from './odd-depot.ts';
import { Scene } from './scene.ts';
import type { Build } from './scene.ts';

const HOUR = 3600;
const contents = { 'hello.txt': 'hello' };

describe('with a clock set by hand', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await Scene.make();
  });
  afterAll(() => scene.close());

  /** A sealed build that H sees for the first time so many seconds after `expires`. */
  async function seenAfter(version: string, seconds: number): Promise<Build> {
    const build = await scene.approve(version);
    await scene.sign({ named: [build.build] });
    await scene.attest(build, contents);
    scene.pass(4 * HOUR + seconds);
    return build;
  }

  test.each([
    ['a second before it ends', -1, 'published'],
    ['at the very second', 0, 'refused'],
    ['a second after', 1, 'refused'],
  ])('a statement that is seen first %s', async (_, seconds, outcome) => {
    const build = await seenAfter(`1.${seconds + 1}`, seconds);
    expect((await scene.sign({ named: [build.build] })).result).toMatchObject({
      outcome,
      code: outcome === 'refused' ? 'expired' : null,
    });
  });

  test('a statement that was seen a second before is judged by that when H starts again later', async () => {
    const build = await seenAfter('2.0', -1);
    const away = oddDepot(await scene.signerDepot(), {
      fetchBlobs: () => {
        throw new Error('killed');
      },
    });
    await expect(scene.sign({ depot: away, named: [build.build] })).rejects.toThrow('killed');
    expect(await scene.logged(build)).toBe('approval statement');
    scene.pass(HOUR);
    expect((await scene.sign({ named: [build.build] })).result?.outcome).toBe('published');
  });

  test('a clock that is an hour behind the log: nothing is logged, signed or refused', async () => {
    const build = await scene.approve('3.0');
    await scene.sign({ named: [build.build] });
    await scene.attest(build, contents);
    const [before, made] = [await scene.log(), scene.agent.signatures];
    scene.pass(-HOUR);
    const [now, newest] = [timestamp(scene.now()), before.at(-1)?.time];
    await expect(scene.sign({ named: [build.build] })).rejects.toMatchObject({
      ...{ kind: 'unable', code: 'clock-behind', hint: 'check it (timedatectl)' },
      message: `this host's clock says ${now}, 1h before the newest entry of its log: nothing is logged or signed`,
    });
    expect([await scene.log(), scene.agent.signatures]).toEqual([before, made]);
    expect(newest).toBe(timestamp(new Date(scene.now().getTime() + HOUR * 1000)));
    scene.pass(HOUR);
    expect((await scene.sign({ named: [build.build] })).result?.outcome).toBe('published');
  });

  test('a clock that is set back while somebody is asked: no entry is dated before the one that it follows', async () => {
    const build = await scene.approve('3.1');
    await scene.attest(build, contents);
    const ask = async (): Promise<boolean> => {
      scene.pass(-60);
      return true;
    };
    const made = scene.agent.signatures;
    await expect(scene.sign({ named: [build.build], ask })).rejects.toMatchObject({ code: 'clock-behind' });
    expect([await scene.logged(build), scene.agent.signatures]).toEqual(['approval statement', made]);
    scene.pass(60);
    expect((await scene.sign({ named: [build.build] })).result?.outcome).toBe('published');
  });

  test('a clock that jumps between the signatures and their release: none leaves, the next start goes on', async () => {
    const build = await scene.approve('3.2');
    await scene.attest(build, contents);
    let uptime = 1000;
    const clock = new SteadyClock(scene.now, () => uptime);
    scene.agent.before = (command) => {
      if (command.startsWith('PKSIGN')) uptime -= 3 * HOUR + 120;
    };
    await expect(scene.sign({ named: [build.build], now: clock.now })).rejects.toMatchObject({
      ...{ kind: 'unable', code: 'clock-jumped', hint: 'check it (timedatectl), then start sign again' },
      message: expect.stringMatching(/^this host's clock was set forward by (3|6)h .*m while sign ran$/),
    });
    scene.agent.before = () => {};
    expect(await scene.logged(build)).toBe('approval statement intent');
    const made = scene.agent.signatures;
    expect((await scene.sign({ named: [build.build] })).result?.outcome).toBe('published');
    expect(scene.agent.signatures).toBe(made);
  });
});

describe('a steady clock', () => {
  const at = { wall: 0, up: 0 };
  const clock = (): SteadyClock =>
    new SteadyClock(
      () => new Date(at.wall * 1000),
      () => at.up,
    );

  test('goes on through sleep, and through corrections of ten seconds', () => {
    const steady = clock();
    [at.wall, at.up] = [86_410, 86_400];
    expect(steady.now()).toEqual(new Date(86_410_000));
  });

  test.each([
    [10 + 1, 'forward by 11s'],
    [-11, 'back by 11s'],
    [-3 * HOUR - 125, 'back by 3h 2m'],
    [400 * 86_400, 'forward by 400d'],
  ])('%i seconds more than the machine has run are said', (seconds, said) => {
    const steady = clock();
    at.wall += seconds;
    expect(steady.now).toThrow(`this host's clock was set ${said} while sign ran`);
  });
});

describe('the program', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.make();
  });
  afterAll(() => world.close());

  const sealed = async (version: string): Promise<BuildId | string> => {
    const approved = await world.approve(version);
    mustBe(0, approved);
    mustBe(0, await world.attest(approved.ticket, contents));
    return approved.build;
  };
  /** The environment of a host whose clock is wrong. */
  const clockIs = (fake: string): Record<string, string> => ({
    LD_PRELOAD: execFileSync('faketime', ['-f', '+0', 'printenv', 'LD_PRELOAD']).toString().trim(),
    FAKETIME: fake,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  });

  test('an hour behind its log signs nothing, and exits 3', async () => {
    await world.release('1.0', contents);
    const build = await sealed('1.1');
    const made = world.agent.signatures;
    const ran = await world.sign([], { env: clockIs('-1h') });
    expect([ran.code, ran.error?.code]).toEqual([3, 'clock-behind']);
    expect(world.agent.signatures).toBe(made);
    const again = await world.sign();
    mustBe(0, again);
    expect(again.json).toMatchObject([{ build, state: 'published' }]);
  });

  test('whose clock runs away while it is at work ends, watching or not', async () => {
    await sealed('1.2');
    const made = world.agent.signatures;
    const ran = await world.runOn('H', ['sign', '--watch', '--yes', '--json'], { env: clockIs('+0 x3600') });
    expect([ran.code, ran.error?.code]).toEqual([3, 'clock-jumped']);
    expect(ran.error?.message).toMatch(/^this host's clock was set forward by .* while sign ran$/);
    expect(world.agent.signatures).toBe(made);
    mustBe(0, await world.sign());
  });
});
