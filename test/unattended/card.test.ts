/** A release key on an OpenPGP card (emulated, behind the real scdaemon and pcscd): its PIN, and a card that is pulled out. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { OpenpgpCard, PIN } from '../harness/openpgp-card.ts';
import { Scene } from '../signer/scene.ts';
import type { Build, Ran } from '../signer/scene.ts';
import { expectPublished as expectReleased } from './published.ts';
import { CardKey } from './card-key.ts';
import { startWatch } from './watching.ts';

let release: CardKey;
let scene: Scene;
beforeAll(async () => {
  release = await CardKey.make();
  scene = await Scene.make('ed25519', 'sha256', release);
});
afterAll(async () => {
  await release.close();
  await scene.close();
});
beforeEach(() => {
  scene.agent.before = () => {};
  release.answer(PIN);
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

const expectPublished = (ran: Ran, build: Build): Promise<void> => expectReleased(scene, release, ran, build);

test('the PIN is asked for once while the card stays in; each signature is the card’s', async () => {
  await release.remove();
  await release.insert(release.card);
  const [asked, made] = [release.asked, release.card.signatures];
  for (let i = 0; i < 2; i++) {
    const build = await sealed();
    await expectPublished(await scene.sign(), build);
  }
  expect(release.asked - asked).toBe(1);
  expect(release.card.signatures - made).toBe(6);
});

test('pulled out between two signatures, and put back: the signatures that there are stay', async () => {
  const build = await sealed();
  const first = scene.agent.digests.length;
  scene.agent.before = async (command) => {
    if (command === 'PKSIGN' && scene.agent.digests.length === first + 2) await release.remove();
  };
  const noCard = {
    exit: 3,
    result: {
      state: 'verified',
      code: 'agent-no-card',
      text: expect.stringContaining('is not in the reader'),
      hint: expect.stringMatching(/^insert it/),
    },
  };
  expect(await scene.sign()).toMatchObject(noCard);
  scene.agent.before = () => {};
  const keptFile = join(scene.state, 'builds', build.build, 'signatures');
  const kept = readFileSync(keptFile, 'latin1');
  expect(kept.trimEnd().split('\n')).toHaveLength(1);
  const asked = release.asked;
  expect(await scene.sign(), 'still out').toMatchObject(noCard);
  await release.insert(new OpenpgpCard('00000002'));
  expect(await scene.sign(), 'another card').toMatchObject(noCard);
  expect(release.asked, 'nobody is asked in vain').toBe(asked);

  await release.remove();
  await release.insert(release.card);
  const made = release.card.signatures;
  await expectPublished(await scene.sign(), build);
  expect(release.card.signatures - made, 'only what was missing').toBe(2);
  expect(readFileSync(keptFile, 'latin1').startsWith(kept)).toBe(true);
});

test('a wrong PIN costs one try, however many builds wait, and watching goes on without another', async () => {
  await release.remove();
  await release.insert(release.card);
  release.answer('000000');
  const builds = [await sealed(), await sealed()];
  const ran = await scene.sign();
  expect(ran.results).toMatchObject(builds.map(({ build }) => ({ build, code: 'agent-wrong-pin' })));
  expect(ran.exit).toBe(3);
  expect(release.card.tries).toBe(2);

  const watch = await startWatch(scene);
  try {
    await watch.heard(`${builds[0]?.build} agent-wrong-pin`);
    await watch.rounds(5);
    expect(release.card.tries).toBe(1);
    release.answer(PIN);
    await watch.rounds(2);
    expect(release.card.tries, 'who put the card in again may be asked again').toBe(1);
    await release.remove();
    await watch.heard(`${builds[0]?.build} agent-no-card`);
    await release.insert(release.card);
    for (const { build } of builds) await watch.heard(`${build} published`);
  } finally {
    await watch.close();
  }
  expect(release.card.tries).toBe(3);
});

test('a blocked PIN is said, with the way to unblock it', async () => {
  await release.remove();
  release.card.tries = 0;
  await release.insert(release.card);
  const build = await sealed();
  expect(await scene.sign()).toMatchObject({
    exit: 3,
    result: { build: build.build, code: 'agent-pin-blocked', hint: expect.stringContaining('Admin PIN') },
  });
  release.card.tries = 3;
  await expectPublished(await scene.sign(), build);
});
