/** `sign --watch`: goes on, whatever the network does, and reads the releases of its last day back. */
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { Agent } from '../../src/openpgp/agent.ts';
import type { SignerEvent } from '../../src/signer/signer.ts';
import { openState } from '../../src/signer/state.ts';
import { watch } from '../../src/signer/watch.ts';
import { oddDepot } from './odd-depot.ts';
import { Scene } from './scene.ts';

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.make();
});
afterEach(() => scene.close());

test('a depot that is away for a while, a build, and a release that is changed later', async () => {
  await scene.attest(await scene.approve(), { 'hello.txt': 'hello' });
  const state = await openState(scene.state, scene.project);
  const stop = new AbortController();
  const said: string[] = [];
  let lists = 0;
  const real = scene.depot.as(state.token);

  /** What a person sees; and what happens next. */
  const report = (event: SignerEvent): void => {
    if (event.kind === 'note') said.push(event.text);
    if (event.kind !== 'result') return;
    said.push(`${event.result.outcome} ${event.result.code}`);
    if (event.result.code === 'release-differs') stop.abort();
    writeFileSync(scene.path('releases/hello/1.0/SHA256SUMS'), 'others\n');
    scene.pass(3601);
  };
  const builds = async () => {
    if (lists++ === 0) throw unable('network', 'cannot connect to the depot');
    return real.builds(null);
  };
  await watch(
    {
      loadProject: async () => scene.project,
      depot: oddDepot(real, { builds }),
      publicDepot: scene.depot.as(null),
      state,
      connectAgent: () => Agent.connect(),
      ask: async () => true,
      report,
      now: scene.now,
    },
    { interval: 0.05, stop: stop.signal },
  );
  await state.close();
  expect(said).toEqual([
    'cannot connect to the depot; tried again in the next round',
    'published null',
    'bad release-differs',
  ]);
});

test('a journal that the disk has failed ends it: who starts it again signs', async () => {
  await scene.attest(await scene.approve(), { 'hello.txt': 'hello' });
  const state = await openState(scene.state, scene.project);
  await state.journal.close();
  const signer = {
    loadProject: async () => scene.project,
    depot: scene.depot.as(state.token),
    publicDepot: scene.depot.as(null),
    state,
    connectAgent: () => Agent.connect(),
    ask: async () => true,
    report: () => {},
    now: scene.now,
  };
  const watching = watch(signer, { interval: 0.05, stop: AbortSignal.timeout(10_000) });
  await expect(watching).rejects.toMatchObject({ kind: 'unable', code: 'disk' });
  await state.close();
  expect((await scene.sign()).result?.outcome).toBe('published');
});
