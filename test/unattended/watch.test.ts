/** `sign --watch` on a host without people: what happens to the agent is said once, and it goes on by itself. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Scene } from '../signer/scene.ts';
import { LockedKey } from './locked-key.ts';
import { startWatch } from './watching.ts';

let release: LockedKey;
let scene: Scene;
beforeAll(async () => {
  release = new LockedKey();
  scene = await Scene.make('ed25519', 'sha256', release);
  process.env['GNUPGHOME'] = release.home.directory;
});
afterAll(() => scene.close());

async function sealed(version: string): Promise<string> {
  scene.pass(1);
  const build = await scene.approve(version);
  await scene.attest(build, { 'hello.txt': `hello ${version}` });
  return build.build;
}

test('locked, unlocked, killed, unlocked: a person is asked once each time, and nothing is said or read twice', async () => {
  const watch = await startWatch(scene);
  try {
    const first = await sealed('1.0');
    await watch.heard(`${first} agent-cancelled`);
    await watch.rounds(5);
    expect(release.asked).toBe(1);
    expect(watch.did.reads).toBe(1);
    release.unlock();
    await watch.heard(`${first} published`);

    const second = await sealed('1.1');
    await watch.heard(`${second} published`);
    expect(release.asked).toBe(1);

    process.kill(release.agentPid, 'SIGKILL');
    const third = await sealed('1.2');
    await watch.heard(`${third} agent-cancelled`);
    await watch.rounds(5);
    expect(release.asked, 'once more: it was locked once more').toBe(2);
    release.unlock();
    await watch.heard(`${third} published`);
    expect(watch.did.reads).toBe(3);

    const story = (build: string): string[] => [
      `${build} agent-cancelled`,
      `going on with ${build}`,
      `${build} published`,
    ];
    expect(watch.said).toEqual([...story(first), `${second} published`, ...story(third)]);
  } finally {
    await watch.close();
  }
});
