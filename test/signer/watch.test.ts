/** `sign --watch`: goes on, whatever the network does, and reads the releases of its last day back. */
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { Agent } from '../../src/openpgp/agent.ts';
import { heartbeat } from '../../src/records/log-entry.ts';
import { timestamp, toTimestamp } from '../../src/records/names.ts';
import type { Signer, SignerEvent } from '../../src/signer/signer.ts';
import { openState } from '../../src/signer/state.ts';
import type { SignerState } from '../../src/signer/state.ts';
import { watch } from '../../src/signer/watch.ts';
import { startWatch } from '../unattended/watching.ts';
import { until } from '../harness/until.ts';
import { oddDepot } from './odd-depot.ts';
import { Scene } from './scene.ts';

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.make();
});
afterEach(() => scene.close());

const signerWith = (state: SignerState, parts: Partial<Signer> = {}): Signer => ({
  loadProject: async () => scene.project,
  depot: scene.depot.as(state.token),
  publicDepot: scene.depot.as(null),
  state,
  keep: null,
  wait: true,
  connectAgent: () => Agent.connect(),
  ask: async () => true,
  report: () => {},
  now: scene.now,
  ...parts,
});

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
  const signer = signerWith(state, { depot: oddDepot(real, { builds }), report });
  await watch(signer, { interval: 0.05, stop: stop.signal });
  await state.close();
  expect(said).toEqual([
    'the depot is away: cannot connect to the depot; tried again in each round',
    'the depot is back',
    'published null',
    'bad release-differs',
  ]);
});

test('it is told to end in the midst of many builds: it ends with the one at hand', async () => {
  for (const version of ['1.0', '1.1', '1.2'])
    await scene.attest(await scene.approve(version), { 'hello.txt': version });
  const state = await openState(scene.state, scene.project);
  const stop = new AbortController();
  const ended: string[] = [];
  const report = (event: SignerEvent): void => {
    if (event.kind !== 'result') return;
    ended.push(event.result.outcome);
    stop.abort();
  };
  await watch(signerWith(state, { report }), { interval: 0.05, stop: stop.signal });
  await state.close();
  expect(ended).toEqual(['published']);
});

test('it is told to end while it looks for news of releases: it looks at no other', async () => {
  for (const version of ['1.0', '1.1', '1.2'])
    await scene.attest(await scene.approve(version), { 'hello.txt': version });
  await scene.sign();
  const state = await openState(scene.state, scene.project);
  const stop = new AbortController();
  const real = scene.depot.as(state.token);
  const looked = new Set<string>();
  const read = async (path: string, maxBytes: number) => {
    const [, build] = /^builds\/(\w+)\//.exec(path) ?? [];
    if (build !== undefined) {
      looked.add(build);
      stop.abort();
    }
    return real.read(path, maxBytes);
  };
  await watch(signerWith(state, { depot: oddDepot(real, { read }) }), { interval: 0.05, stop: stop.signal });
  await state.close();
  expect(looked.size).toBe(1);
});

test('a journal that the disk has failed ends it: who starts it again signs', async () => {
  await scene.attest(await scene.approve(), { 'hello.txt': 'hello' });
  const state = await openState(scene.state, scene.project);
  await state.journal.close();
  const watching = watch(signerWith(state), { interval: 0.05, stop: AbortSignal.timeout(10_000) });
  await expect(watching).rejects.toMatchObject({ kind: 'unable', code: 'disk' });
  await state.close();
  expect((await scene.sign()).result?.outcome).toBe('published');
});

test('with nothing to do, it says every day that it is there; a signer that comes and goes does not', async () => {
  const hour = 3600;
  await scene.sign();
  expect(await scene.logged(), 'sign --once').toBe('');
  const signer = await startWatch(scene);
  try {
    /** What the log has, a while later. */
    const later = async (seconds: number): Promise<string> => {
      scene.pass(seconds);
      await signer.rounds(3);
      return scene.logged();
    };
    expect(await later(0)).toBe('heartbeat');
    expect(await later(24 * hour - 1)).toBe('heartbeat');
    expect(await later(1)).toBe('heartbeat heartbeat');

    const build = await scene.approve();
    await scene.attest(build, { 'hello.txt': 'hello' });
    await signer.heard(`${build.build} published`);
    const all = 'heartbeat heartbeat approval statement intent release';
    expect(await later(23 * hour)).toBe(all);
    expect(await later(hour)).toBe(`${all} heartbeat`);
  } finally {
    await signer.close();
  }
  scene.pass(48 * hour);
  await scene.sign();
  expect(await scene.logged()).toMatch(/release heartbeat$/);
  expect((await scene.log())[0]).toMatchObject({
    type: 'heartbeat',
    project: 'hello',
    build: null,
    keys: [],
  });
});

test('an entry that is dated years ahead: which clock was wrong is not guessed, and nothing is logged', async () => {
  const state = await openState(scene.state, scene.project);
  await state.journal.append(heartbeat(scene.project.name, toTimestamp('2099-01-01T00:00:00Z', 'test')));
  await state.close();
  const signer = await startWatch(scene);
  await until('a round', () => signer.said.length > 0);
  await signer.close();
  const behind = `this host's clock says ${timestamp(scene.now())}, `;
  expect(signer.said[0]).toContain(behind);
  expect(signer.said[0]).toContain(
    'before the newest entry of its log: nothing is logged or signed; tried again',
  );
  expect((await scene.log()).map(({ time }) => time)).toEqual(['2099-01-01T00:00:00Z']);
});

test('a clock that is set back ends no reading back of releases', async () => {
  const build = await scene.approve();
  await scene.attest(build, { 'hello.txt': 'hello' });
  const signer = await startWatch(scene);
  try {
    await signer.heard(`${build.build} published`);
    scene.pass(20 * 3600);
    await signer.rounds(3);
    writeFileSync(scene.path('releases/hello/1.0/SHA256SUMS'), 'others\n');
    scene.pass(-20 * 3600);
    await signer.heard(`${build.build} release-differs`);
  } finally {
    await signer.close();
  }
});

test('no heartbeat before a round has gone through: who knows what the depot has', async () => {
  const state = await openState(scene.state, scene.project);
  const stop = new AbortController();
  const real = scene.depot.as(state.token);
  const logged: string[] = [];
  const builds = async () => {
    logged.push(await scene.logged());
    if (logged.length < 4) throw unable('network', 'cannot connect to the depot');
    if (logged.length === 5) stop.abort();
    return real.builds(null);
  };
  const signer = signerWith(state, { depot: oddDepot(real, { builds }) });
  await watch(signer, { interval: 0.02, stop: stop.signal });
  await state.close();
  expect(logged).toEqual(['', '', '', '', 'heartbeat']);
});
