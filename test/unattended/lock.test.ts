/** Unlock once after boot, sign until locked, with a real gpg-agent. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Scene } from '../signer/scene.ts';
import type { Build, Ran } from '../signer/scene.ts';
import { expectPublished as expectReleased } from './published.ts';
import { LockedKey, PASSPHRASE } from './locked-key.ts';

let release: LockedKey;
let scene: Scene;
beforeAll(async () => {
  release = new LockedKey();
  scene = await Scene.make('ed25519', 'sha256', release);
});
afterAll(() => scene.close());
beforeEach(() => {
  scene.agent.before = () => {};
});

let versions = 0;
/** A build that waits for H: two files, so three signatures with SHA256SUMS. */
async function sealed(): Promise<Build> {
  const version = `1.${versions++}`;
  scene.pass(1); // builds are handled in the order of their time
  const build = await scene.approve(version);
  await scene.attest(build, { 'app.tgz': `app ${version}`, 'doc.txt': `doc ${version}` });
  return build;
}

const LOCKED = {
  outcome: 'unfinished',
  code: 'agent-cancelled',
  text: expect.stringContaining('cancelled at the passphrase prompt'),
  hint: expect.stringMatching(/unlock the key beforehand with gpg-preset-passphrase/),
};

/** The line of each signature that is kept of a build. */
const kept = ({ build }: Build): string[] =>
  readFileSync(join(scene.state, 'builds', build, 'signatures'), 'latin1')
    .trimEnd()
    .split('\n');

const expectPublished = (ran: Ran, build: Build): Promise<void> => expectReleased(scene, release, ran, build);

test('unlocked once, it signs build after build and asks nobody', async () => {
  release.unlock();
  for (let i = 0; i < 2; i++) {
    const build = await sealed();
    await expectPublished(await scene.sign(), build);
  }
  expect(release.asked).toBe(0);
});

test.each([
  ['CLEAR_PASSPHRASE', () => release.lock()],
  ['SIGHUP', () => process.kill(release.agentPid, 'SIGHUP')],
  ['a wrong passphrase, which is taken without a word', () => (release.lock(), release.unlock('wrong'))],
])('locked by %s: exit 3, and nothing is lost', async (_, lock) => {
  release.unlock();
  lock();
  const build = await sealed();
  const before = release.asked;
  const ran = await scene.sign();
  expect(ran).toMatchObject({ exit: 3, result: { ...LOCKED, state: 'verified' } });
  expect(JSON.stringify(ran)).not.toContain(PASSPHRASE);
  expect(release.asked - before).toBe(1);
  release.unlock();
  await expectPublished(await scene.sign(), build);
});

test('locked between two signatures: what is signed is kept, and the rest is signed later', async () => {
  release.unlock();
  const build = await sealed();
  const first = scene.agent.digests.length;
  scene.agent.before = (command) => {
    if (command === 'PKSIGN' && scene.agent.digests.length === first + 2) release.lock();
  };
  expect(await scene.sign()).toMatchObject({ exit: 3, result: LOCKED });
  const signed = kept(build);
  expect(signed).toHaveLength(1);

  scene.agent.before = () => {};
  release.unlock();
  const asked = scene.agent.signatures;
  await expectPublished(await scene.sign(), build);
  expect(scene.agent.signatures - asked, 'only what was missing').toBe(2);
  expect(kept(build)).toEqual([...signed, expect.any(String), expect.any(String)]);
});

test('two builds wait while it is locked: a person is asked once, and the second is not begun', async () => {
  release.lock();
  const builds = [await sealed(), await sealed()];
  const before = release.asked;
  const ran = await scene.sign();
  expect(ran.results).toMatchObject([
    { ...LOCKED, state: 'verified' },
    { ...LOCKED, state: 'built' },
  ]);
  expect(ran.questions).toHaveLength(1);
  expect(release.asked - before).toBe(1);
  release.unlock();
  const { results } = await scene.sign();
  expect(results.map(({ build, outcome }) => ({ build, outcome }))).toEqual(
    builds.map(({ build }) => ({ build, outcome: 'published' })),
  );
});
