/** A signer whose state is older than its log, copied, damaged or gone (protocol §5, docs/how-to/recover.md). */
import { appendFile, cp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { refused, unable } from '../../src/failure.ts';
import { oddDepot } from './odd-depot.ts';
import { Scene } from './scene.ts';
import type { Build } from './scene.ts';

const contents = { 'hello.txt': 'hello', 'dist/more.bin': 'more' };

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.make();
});
afterEach(() => scene.close());

const kept = (): string => join(scene.directory, 'yesterday');
const backUp = (): Promise<void> => cp(scene.state, kept(), { recursive: true });
async function restore(): Promise<void> {
  await rm(scene.state, { recursive: true });
  await cp(kept(), scene.state, { recursive: true });
}
const inState = (...path: string[]): string => join(scene.state, ...path);

async function sealed(version: string): Promise<Build> {
  const build = await scene.approve(version);
  await scene.attest(build, contents);
  return build;
}
async function released(version: string): Promise<Build> {
  const build = await sealed(version);
  expect((await scene.sign({ named: [build.build] })).result?.outcome).toBe('published');
  return build;
}

/** The signer does nothing at all, and says why. */
async function expectRefused(code: string): Promise<void> {
  const read = () => readFile(inState('journal')).catch(() => null);
  const [signatures, journal] = [scene.agent.signatures, await read()];
  await expect(scene.sign()).rejects.toMatchObject({ kind: 'refused', code });
  expect(scene.agent.signatures).toBe(signatures);
  expect((await read())?.toString() ?? '').toBe(journal?.toString() ?? '');
}

describe("yesterday's state", () => {
  test('is noticed before anything is done, and brought back to today', async () => {
    await released('1.0');
    await backUp();
    const second = await released('1.1');
    const refused = await scene.approve('1.1');
    expect((await scene.sign()).result?.outcome).toBe('refused');
    const [log, signatures] = [await scene.log(), scene.agent.signatures];
    await restore();
    const third = await sealed('1.3');
    await expectRefused('log-behind');

    const ran = await scene.sign({ recovering: true });
    expect(ran.recovered?.closed).toBe(0);
    expect(ran.results.find(({ build }) => build === third.build)?.outcome).toBe('published');
    expect((await scene.log()).slice(0, log.length)).toEqual(log);
    // of the third build alone: nothing is signed twice
    expect(scene.agent.signatures).toBe(signatures + 3);
    expect(await scene.logged(second)).toBe('approval statement intent release');
    const named = [second.build, refused.build];
    expect((await scene.sign({ named })).results).toMatchObject([
      { outcome: 'published' },
      { outcome: 'decided' },
    ]);
    // and there is nothing left to recover
    expect((await scene.sign({ recovering: true })).recovered).toEqual({ entries: 0, closed: 0 });
  });

  test('whose version was released since does not sign that version again', async () => {
    await backUp();
    await released('1.0');
    await restore();
    const again = await sealed('1.0');
    await expectRefused('log-behind');
    const { results } = await scene.sign({ recovering: true });
    const code = results.find(({ build }) => build === again.build)?.code;
    expect(code).toBe('version-taken');
  });

  test('of which the journal alone was restored', async () => {
    await released('1.0');
    await backUp();
    await released('1.1');
    await cp(join(kept(), 'journal'), inState('journal'));
    await expectRefused('log-behind');
    await scene.sign({ recovering: true });
    expect(await scene.logged()).toBe('approval statement intent release '.repeat(2).trimEnd());
  });

  test('and a depot that was rolled back too: the signed checkpoint in the state, if not that, is the witness', async () => {
    await released('1.0');
    await backUp();
    await cp(scene.path('log'), join(scene.directory, 'log.old'), { recursive: true });
    await released('1.1');
    await rm(scene.path('log'), { recursive: true });
    await rename(join(scene.directory, 'log.old'), scene.path('log'));
    await cp(join(kept(), 'journal'), inState('journal'));
    // the checkpoint that was kept is of today
    await expectRefused('log-behind');
    await expect(scene.sign({ recovering: true })).rejects.toMatchObject({ code: 'log-behind' });
  });
});

test('two signers with one state: whoever comes second finds the fork, and adds nothing', async () => {
  await released('1.0');
  await backUp();
  await released('1.1');
  // the other host signs what was approved meanwhile, without having seen the first's log
  const [mine, log] = [await readFile(inState('journal')), await readFile(scene.path('log/checkpoint'))];
  await restore();
  scene.pass(60);
  await cp(scene.path('log'), join(scene.directory, 'log.first'), { recursive: true });
  await rm(scene.path('log'), { recursive: true });
  await released('1.2');
  await rm(scene.path('log'), { recursive: true });
  await rename(join(scene.directory, 'log.first'), scene.path('log'));

  await sealed('1.3');
  await expectRefused('log-fork');
  await expect(scene.sign({ recovering: true })).rejects.toMatchObject({ code: 'log-fork' });

  // What is only here goes, as the manual says.
  await rename(inState('journal'), inState('journal.fork'));
  await rename(inState('checkpoint'), inState('checkpoint.fork'));
  await scene.sign({ recovering: true });
  const journal = await readFile(inState('journal'));
  expect(journal.subarray(0, mine.length)).toEqual(mine);
  expect(await readFile(scene.path('log/checkpoint'))).not.toEqual(log);
});

describe('with nothing left but log key and token', () => {
  async function loseAll(): Promise<void> {
    for (const name of ['journal', 'checkpoint', 'builds']) await rm(inState(name), { recursive: true });
  }

  test('everything comes from the depot: releases are settled, what waited goes on, nothing is signed twice', async () => {
    const first = await released('1.0');
    const waiting = await scene.approve('1.1');
    await scene.sign();
    const signatures = scene.agent.signatures;
    await loseAll();
    await expect(scene.sign()).rejects.toMatchObject({ code: 'log-behind' });
    const ran = await scene.sign({ recovering: true });
    expect(ran.recovered).toEqual({ entries: 5, closed: 0 });
    const outcomes = new Map(ran.results.map(({ build, outcome }) => [build, outcome]));
    // the release is there as it was: nothing is left to do
    expect(outcomes).toEqual(new Map([[waiting.build, 'waiting']]));
    expect((await scene.sign({ named: [first.build] })).result?.outcome).toBe('published');
    expect(scene.agent.signatures).toBe(signatures);
    await scene.attest(waiting, contents);
    expect((await scene.sign()).result).toMatchObject({ build: waiting.build, outcome: 'published' });
  });

  test('a release whose signatures are lost with the depot, too, is closed, and opened when they are found', async () => {
    const build = await sealed('1.0');
    const real = await scene.signerDepot();
    const submit = () => Promise.reject(unable('network', 'the cable is out'));
    expect((await scene.sign({ depot: oddDepot(real, { submit }) })).exit).toBe(3);
    expect(await scene.logged(build)).toBe('approval statement intent release');
    await backUp();
    const signatures = scene.agent.signatures;
    await loseAll();
    const ran = await scene.sign({ recovering: true });
    expect(ran.recovered).toMatchObject({ entries: 4, closed: 1 });
    expect(ran.result).toMatchObject({ outcome: 'decided', code: 'closed' });
    expect((await scene.sign({ named: [build.build] })).result?.code).toBe('closed');
    expect(scene.agent.signatures).toBe(signatures);
    // the backup turns up
    await cp(join(kept(), 'builds'), inState('builds'), { recursive: true });
    const again = await scene.sign({ recovering: true });
    expect(again.recovered).toEqual({ entries: 0, closed: 0 });
    expect(again.result?.outcome).toBe('published');
    expect(scene.agent.signatures).toBe(signatures);
  });
});

describe('a depot that lies about the log', () => {
  test.each([
    ['a checkpoint by another key', (text: string) => text.replace(/— (\S+) \S+/, '— $1 AAAAAAAA')],
    ['garbage', () => 'garbage'],
    ['a larger size', (text: string) => text.replace(/\n\d+\n/, '\n999\n')],
  ])('%s: nothing is believed, nothing done, and it heals', async (_, lie) => {
    await released('1.0');
    const path = scene.path('log/checkpoint');
    const honest = await readFile(path, 'utf8');
    await writeFile(path, lie(honest));
    const build = await sealed('1.1');
    await expect(scene.sign()).rejects.toMatchObject({ kind: 'unable', code: 'log-unreadable' });
    expect(await scene.logged(build)).toBe('');
    await writeFile(path, honest);
    expect((await scene.sign()).result?.outcome).toBe('published');
  });

  test('its own words are no proof, whatever code they have: nothing is given up', async () => {
    const build = await sealed('1.0');
    const real = await scene.signerDepot();
    const says = () => Promise.reject(refused('log-fork', 'two signers have worked with one state'));
    const publicDepot = oddDepot(real, { read: says });
    await expect(scene.sign({ publicDepot })).rejects.toMatchObject({
      kind: 'unable',
      code: 'log-unreadable',
    });
    const depot = oddDepot(real, { read: says });
    expect((await scene.sign({ depot })).result).toMatchObject({ build: build.build, outcome: 'unfinished' });
    expect((await scene.sign()).result?.outcome).toBe('published');
  });

  test('a checkpoint with a hundred lines of strangers is recovered without them', async () => {
    await released('1.0');
    const path = scene.path('log/checkpoint');
    const junk = Buffer.alloc(1500).toString('base64');
    await appendFile(path, Array.from({ length: 25 }, (_, at) => `— s${at}.example ${junk}\n`).join(''));
    await backUp();
    for (const name of ['journal', 'checkpoint']) await rm(inState(name));
    await scene.sign({ recovering: true });
    expect((await readFile(inState('checkpoint'))).length).toBeLessThan(1000);
    expect((await scene.sign()).exit).toBe(0);
  });

  test('that lost some or all of it gets it again', async () => {
    await released('1.0');
    await cp(scene.path('log'), join(scene.directory, 'log.old'), { recursive: true });
    await released('1.1');
    const newest = await readFile(scene.path('log/checkpoint'));
    await rm(scene.path('log'), { recursive: true });
    await cp(join(scene.directory, 'log.old'), scene.path('log'), { recursive: true });
    expect(await scene.sign()).toMatchObject({ exit: 0, log: null });
    expect(await readFile(scene.path('log/checkpoint'))).toEqual(newest);
    await rm(scene.path('log'), { recursive: true });
    expect(await scene.sign()).toMatchObject({ exit: 0, log: null });
    expect(await readFile(scene.path('log/checkpoint'))).toEqual(newest);
  });
});
