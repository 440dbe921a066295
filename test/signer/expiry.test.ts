/** A build that expires while H is at work with it: what was sealed and seen in time is signed (protocol §5.3). */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SignerState } from '../../src/signer/state.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { Scene } from './scene.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await Scene.make();
});
afterAll(() => scene.close());

const DAY = 86_400;

test('an entry that the log does not take is that build’s affair: the others are signed', async () => {
  const builds = [await scene.approve('3.0'), await scene.approve('3.1')] as const;
  for (const build of builds) await scene.attest(build, { app: build.build });
  const meddle = ({ journal: { history } }: SignerState): void => {
    const check = history.check.bind(history);
    history.check = (entry) => {
      if (entry.type === 'intent' && entry.build === builds[0].build) throw new RangeError('no such intent');
      check(entry);
    };
  };
  const { results, exit } = await scene.sign({ named: builds.map(({ build }) => build), meddle });
  expect(results).toMatchObject([
    { outcome: 'unfinished', state: 'built', code: 'entry-impossible' },
    { outcome: 'published' },
  ]);
  expect(exit).toBe(3);
});

/** The signer's depot, on which a day goes by before artifacts are read. */
async function slowDepot(): Promise<Depot> {
  const depot = await scene.signerDepot();
  return new Proxy(depot, {
    get: (target, name) => {
      if (name === 'fetchBlobs') scene.pass(DAY);
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

test('while the artifacts are read: it is signed and published', async () => {
  const build = await scene.approve('1.0');
  await scene.attest(build, { app: 'app' });
  const { result } = await scene.sign({ depot: await slowDepot(), named: [build.build] });
  expect(result).toMatchObject({ state: 'published' });
  expect(await scene.logged(build)).toBe('approval statement intent release');
});

test('while wrong artifacts are read: then it is over', async () => {
  const build = await scene.approve('1.1');
  await scene.attest(build, { app: 'other' });
  await scene.tamper(build, scene.blob('other'), 'wrong');
  const { result } = await scene.sign({ depot: await slowDepot(), named: [build.build] });
  expect(result).toMatchObject({ state: 'refused', code: 'expired' });
  expect(await scene.logged(build)).toBe('approval statement refusal');
});

test('before its statement is seen: nothing of it is signed', async () => {
  const build = await scene.approve('1.2');
  await scene.sign({ named: [build.build] });
  await scene.attest(build, { app: 'late' });
  const made = scene.agent.signatures;
  scene.pass(DAY);
  const { result } = await scene.sign({ named: [build.build] });
  expect(result).toMatchObject({ state: 'refused', code: 'expired' });
  expect(scene.agent.signatures).toBe(made);
});
