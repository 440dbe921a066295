/**
 * Many signatures at once, and something happens to the agent, or to the signer, in the middle of them: what the agent
 * has delivered is kept, what is missing is made later, and of an artifact one signature leaves, at most.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FakePinentry } from '../harness/pinentry.ts';
import { mustBe, World } from '../harness/world.ts';
import { Scene } from '../signer/scene.ts';
import type { Build } from '../signer/scene.ts';
import { LockedKey, PASSPHRASE } from './locked-key.ts';

const FILES = 90;
/** And SHA256SUMS. */
const SIGNATURES = FILES + 1;
/** How many the signer has in the agent's hands at a time. */
const AT_ONCE = 32;
/** Where it happens. */
const MIDDLE = 45;

const contents = (version: string, count = FILES): Record<string, string> =>
  Object.fromEntries(
    Array.from({ length: count }, (_, at) => [
      at === 0 ? 'app.tgz' : `f${at}.txt`,
      `file ${at} of ${version}`,
    ]),
  );

/** The digests that signatures are kept of, as H has them on its disk. */
const kept = (state: string, build: string): string[] =>
  readFileSync(join(state, 'builds', build, 'signatures'), 'latin1')
    .split('\n')
    .slice(0, -1)
    .map((line) => line.slice(0, 64));

describe('with a key that has a passphrase', () => {
  let release: LockedKey;
  let scene: Scene;
  beforeAll(async () => {
    release = new LockedKey();
    scene = await Scene.make('ed25519', 'sha256', release);
  });
  afterAll(() => scene.close());
  beforeEach(() => {
    release.unlock();
    scene.agent.before = () => {};
  });

  let versions = 0;
  async function sealed(count = FILES): Promise<Build> {
    const version = `1.${versions++}`;
    scene.pass(1); // builds are handled in the order of their time
    const build = await scene.approve(version);
    await scene.attest(build, contents(version, count));
    return build;
  }

  /** Does it when the signature in the middle is asked for; returns how many have been since now. */
  function inTheMiddle(act: () => void): () => number {
    const since = scene.agent.signatures;
    scene.agent.before = (command) => {
      if (command === 'PKSIGN' && scene.agent.signatures - since === MIDDLE) act();
    };
    return () => scene.agent.signatures - since;
  }

  test('nothing happens: each is asked for once, and no person at all', async () => {
    const build = await sealed();
    const asked = inTheMiddle(() => {});
    expect((await scene.sign()).result).toMatchObject({ outcome: 'published', artifacts: FILES });
    expect(asked()).toBe(SIGNATURES);
    expect(new Set(kept(scene.state, build.build)).size).toBe(SIGNATURES);
    expect(release.asked).toBe(0);
  });

  test.each([
    ['CLEAR_PASSPHRASE', () => release.lock()],
    ['SIGHUP', () => process.kill(release.agentPid, 'SIGHUP')],
  ])('%s: one question; what was made is kept, and the next run makes the rest', async (_, lock) => {
    const build = await sealed();
    const before = release.asked;
    const asked = inTheMiddle(lock);
    const ran = await scene.sign();
    expect(ran).toMatchObject({ exit: 3, result: { code: 'agent-cancelled', state: 'verified' } });
    expect(release.asked - before).toBe(1);
    const made = kept(scene.state, build.build);
    expect(Math.abs(MIDDLE - made.length)).toBeLessThanOrEqual(AT_ONCE);
    // those that it had in its hands, one again by itself, and one with a person asked
    expect(asked() - made.length).toBeLessThanOrEqual(AT_ONCE + 2);

    release.unlock();
    const again = inTheMiddle(() => {});
    expect((await scene.sign()).result?.outcome).toBe('published');
    expect(again()).toBe(SIGNATURES - made.length);
    const all = kept(scene.state, build.build);
    expect(all.slice(0, made.length)).toEqual(made);
    expect(new Set(all).size).toBe(all.length);
    expect(all).toHaveLength(SIGNATURES);
  });

  test('locked, and somebody is there to open it: asked once, for all that wait', async () => {
    const build = await sealed();
    const before = release.asked;
    void new FakePinentry(release.home.directory, PASSPHRASE);
    const asked = inTheMiddle(() => release.lock());
    expect((await scene.sign()).result?.outcome).toBe('published');
    void new FakePinentry(release.home.directory, null);
    expect(release.asked - before).toBe(1);
    expect(kept(scene.state, build.build)).toHaveLength(SIGNATURES);
    // what it refused was not made: asked for again, and one of them twice
    expect(asked() - SIGNATURES).toBeGreaterThan(1);
    expect(asked() - SIGNATURES).toBeLessThanOrEqual(AT_ONCE + 1);
  });

  test('the agent is killed: connected again, and only what it had in its hands is made again', async () => {
    const build = await sealed();
    const pid = release.agentPid;
    const asked = inTheMiddle(() => {
      process.kill(pid, 'SIGKILL');
      release.unlock(); // starts another
    });
    expect((await scene.sign()).result?.outcome).toBe('published');
    expect(asked() - SIGNATURES).toBeGreaterThan(0);
    expect(asked() - SIGNATURES).toBeLessThanOrEqual(AT_ONCE);
    const all = kept(scene.state, build.build);
    expect([all.length, new Set(all).size]).toEqual([SIGNATURES, SIGNATURES]);
  });

  test('an agent that takes 300 ms for each, as a card does', async () => {
    const count = 6;
    await sealed(count);
    const since = scene.agent.signatures;
    let most = 0;
    scene.agent.before = async (command) => {
      if (command !== 'PKSIGN') return;
      await sleep(300);
      most = Math.max(most, scene.agent.waiting);
    };
    expect((await scene.sign()).result).toMatchObject({ outcome: 'published', artifacts: count });
    expect(scene.agent.signatures - since).toBe(count + 1);
    expect(most, 'the next ones were there meanwhile').toBeGreaterThan(2);
  });
});

describe('the signer itself', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.make();
  });
  afterEach(() => (world.agent.before = () => {}));
  afterAll(() => world.close());

  test('is killed: its next run signs what is missing, and each artifact has one signature', async () => {
    const approved = await world.approve('1.0');
    mustBe(0, await world.attest(approved.ticket, contents('1.0')));
    const killed = new AbortController();
    const state = world.path('H', 'signer');
    world.agent.before = (command) => {
      if (command === 'PKSIGN' && world.agent.signatures === MIDDLE) killed.abort();
    };
    expect((await world.sign([], { kill: killed.signal })).code).not.toBe(0);
    await world.agent.left();
    const asked = world.agent.digests.length;
    const made = kept(state, approved.build);
    expect(made.length).toBeGreaterThanOrEqual(MIDDLE - AT_ONCE);
    expect(asked - made.length, 'made, and nowhere now').toBeLessThanOrEqual(2 * AT_ONCE);

    world.agent.before = () => {};
    const ran = await world.sign();
    mustBe(0, ran);
    expect(ran.json).toMatchObject([{ state: 'published', artifacts: FILES }]);
    // what the killed one left with the agent leads to nothing
    expect(world.agent.digests.slice(asked)).toHaveLength(SIGNATURES - made.length);
    expect(new Set(world.agent.digests).size).toBe(SIGNATURES);
    const all = kept(state, approved.build);
    expect(all.slice(0, made.length)).toEqual(made);
    expect([all.length, new Set(all).size]).toEqual([SIGNATURES, SIGNATURES]);
  });
});
