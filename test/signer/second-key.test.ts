/** A stolen ticket shows itself by a second key, as long as nothing is decided; and nobody decides before all keys could come (protocol §2, enrolment). */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { approveMany, attestBy, sealingScene } from './builders.ts';
import type { ManyBuild } from './builders.ts';
import { enrol, newKey, withKey } from './enrolling.ts';
import { oddDepot } from './odd-depot.ts';
import type { Ran, Scene } from './scene.ts';

const contents = { 'hello.txt': 'hello' };

let scene: Scene;
let build: ManyBuild;
beforeEach(async () => {
  scene = await sealingScene();
  build = await approveMany(scene, ['enrol'], 1);
  const first = newKey(build, 'first');
  await enrol(scene, build, 'b1', first);
  await attestBy(scene, withKey(build, 'b1', first), 'b1', contents);
});
afterEach(() => scene.close());

const second = (): Promise<void> => enrol(scene, build, 'b1', newKey(build, 'second'));

function expectFrozen({ result }: Ran): void {
  expect(result).toMatchObject({ outcome: 'refused', state: 'frozen', code: 'conflict' });
  expect(result?.text).toMatch(/builder b1 introduced two keys/);
  expect(scene.agent.signatures).toBe(0);
}

test('that comes in time, and behind the signer’s look: it looks again before it decides', async () => {
  scene.pass(595);
  const depot = await scene.signerDepot();
  let came = false;
  const read = async (path: string, maxBytes: number): Promise<Buffer | null> => {
    if (path.includes('/statements/') && !came) {
      came = true;
      await second();
      scene.pass(6);
    }
    return depot.read(path, maxBytes);
  };
  expect((await scene.sign({ depot: oddDepot(depot, { read }) })).result).toMatchObject({
    outcome: 'waiting',
    code: 'enrolment-open',
  });
  expect(came).toBe(true);
  expectFrozen(await scene.sign());
});

test('that comes while the question waits', async () => {
  await scene.sign();
  scene.pass(700);
  const ask = async (): Promise<boolean> => {
    await second();
    return true;
  };
  expectFrozen(await scene.sign({ ask }));
  expect(await scene.logged(build)).toBe('approval enrolment statement refusal');
});

test('that comes once it was decided: it is said beside the result', async () => {
  await scene.sign();
  scene.pass(700);
  let came: Promise<void> | null = null;
  scene.agent.before = async (command) => {
    if (command === 'PKSIGN') await (came ??= second());
  };
  const { result, events } = await scene.sign();
  expect(result).toMatchObject({ outcome: 'published' });
  expect(came).not.toBeNull();
  expect(events.filter(({ kind }) => kind === 'note')).toMatchObject([
    { build: build.build, text: expect.stringMatching(/builder b1 introduced two keys.*it was decided/) },
  ]);
});
