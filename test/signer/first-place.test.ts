/** The depot's first place for a builder's statement is anybody's who has its upload token: what lies there hides nothing (protocol §5 step 3). */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sha256Hex } from '../../src/records/sha256.ts';
import type { SignerState } from '../../src/signer/state.ts';
import { approveMany, attestBy, sealingScene, statementBy } from './builders.ts';
import type { ManyBuild } from './builders.ts';
import { enrol, newKey, withKey } from './enrolling.ts';
import { Scene } from './scene.ts';
import type { Contents } from './scene.ts';

const contents = { 'hello.txt': 'hello' };
const bad = { 'hello.txt': 'back door' };
const JUNK = 'statements/b3.json: its MAC is not made with the nonce of builder b3';

let scene: Scene;
afterEach(() => scene.close());

describe('two builders agree, and junk has the first place of the third', () => {
  let build: ManyBuild;
  beforeEach(async () => {
    scene = await sealingScene();
    build = await approveMany(scene, ['mac', 'mac', 'mac'], 2);
  });

  async function attestAll(first: Contents, third: Contents | null): Promise<void> {
    for (const slot of ['b1', 'b2']) await attestBy(scene, build, slot, first);
    const junk = statementBy(scene, build, 'b3', first, { nonce: Buffer.alloc(32, 7) });
    await scene.depot.as(build.tickets['b3']?.token ?? Buffer.alloc(0)).submit(build.build, junk);
    scene.pass(1);
    if (third) await attestBy(scene, build, 'b3', third);
  }

  test('its own dissent behind that freezes the build', async () => {
    await attestAll(bad, contents);
    const { result } = await scene.sign();
    expect(result).toMatchObject({ outcome: 'refused', state: 'frozen', code: 'conflict' });
    expect(await scene.logged(build)).toBe('approval statement statement statement refusal');
    expect(scene.agent.signatures).toBe(0);
  });

  test('its own consent behind that is logged, and the junk said until the approval ends; then what the log has counts', async () => {
    await attestAll(contents, contents);
    for (const run of [1, 2])
      expect((await scene.sign()).result, `run ${run}`).toMatchObject({ outcome: 'bad', text: JUNK });
    expect(await scene.logged(build)).toBe('approval statement statement statement');
    const [, , , entry] = await scene.log();
    expect(Object.keys(entry && 'records' in entry ? entry.records : {})).toEqual([
      'statements/b3.json',
      'statements/b3.json.mac',
    ]);
    scene.pass(5 * 3600);
    expect((await scene.sign()).result).toMatchObject({ outcome: 'published' });
    const released = 'releases/hello/1.0/countersign/statements/b3.json';
    expect(await readFile(scene.path(released))).toEqual(
      await readFile(scene.path(`builds/${build.build}/statements/b3.2.json`)),
    );
  });

  test('and nothing else: said until the approval ends; then what the log has counts', async () => {
    await attestAll(contents, null);
    expect((await scene.sign()).result).toMatchObject({ outcome: 'bad', text: JUNK });
    scene.pass(5 * 3600);
    expect((await scene.sign()).result).toMatchObject({ outcome: 'published' });
  });
});

test('a place that a write left half empty hides nothing behind it', async () => {
  scene = await sealingScene();
  const build = await approveMany(scene, ['mac', 'mac'], 2);
  await attestBy(scene, build, 'b1', contents);
  await scene.tamper(build, 'statements/b2.json.mac', `${'A'.repeat(43)}=\n`);
  await attestBy(scene, build, 'b2', contents);
  const files = await readdir(scene.path(`builds/${build.build}/statements`));
  expect(files.filter((name) => name.endsWith('.json')).sort()).toEqual(['b1.json', 'b2.2.json']);
  expect((await scene.sign()).result).toMatchObject({ outcome: 'published' });
});

test('the same statement under a MAC that is none, in the first place, is published; whose MAC that is only the signer can tell', async () => {
  scene = await sealingScene();
  const build = await approveMany(scene, ['mac'], 1);
  await attestBy(scene, build, 'b1', contents, { nonce: Buffer.alloc(32, 7) });
  await attestBy(scene, build, 'b1', contents);
  expect((await scene.sign()).result).toMatchObject({ outcome: 'bad' });
  scene.pass(5 * 3600);
  expect((await scene.sign()).result).toMatchObject({ outcome: 'published' });
});

test('a key that nobody introduced hides no dissent either', async () => {
  scene = await sealingScene();
  const build = await approveMany(scene, ['enrol', 'enrol', 'enrol'], 2);
  const slots = ['b1', 'b2', 'b3'];
  const keys = new Map(slots.map((slot) => [slot, newKey(build)]));
  const keyOf = (slot: string) => keys.get(slot) ?? newKey(build);
  const junk = newKey(build, 'junk');
  await enrol(scene, build, 'b3', junk, { nonce: Buffer.alloc(32, 9) });
  for (const slot of slots) await enrol(scene, build, slot, keyOf(slot));
  await scene.sign();
  for (const slot of ['b1', 'b2']) await attestBy(scene, withKey(build, slot, keyOf(slot)), slot, bad);
  await attestBy(scene, withKey(build, 'b3', junk), 'b3', bad);
  await attestBy(scene, withKey(build, 'b3', keyOf('b3')), 'b3', contents);
  scene.pass(700);
  expect((await scene.sign()).result).toMatchObject({ outcome: 'refused', state: 'frozen' });
  expect(scene.agent.signatures).toBe(0);
});

test('what takes the place of a logged one is kept beside it, and a power cut there damages nothing', async () => {
  scene = await Scene.make();
  const build = await scene.approve();
  await scene.attest(build, contents);
  await scene.sign({ ask: async () => false });
  for (const [file, bytes] of scene.statement(build, bad, 'urn:2')) await scene.tamper(build, file, bytes);
  const entry = (await scene.log()).find(({ type }) => type === 'statement');
  const logged = entry && 'records' in entry ? entry.records['statements/b1.json'] : null;
  const meddle = ({ journal }: SignerState): void => {
    const append = journal.append.bind(journal);
    journal.append = async (next) => {
      if (next.type === 'refusal') throw new Error('power cut');
      await append(next);
    };
  };
  await expect(scene.sign({ meddle })).rejects.toThrow('power cut');
  const kept = await readFile(join(scene.state, 'builds', build.build, 'statements/b1.json'));
  expect(sha256Hex(kept)).toBe(logged);
  expect((await scene.sign()).result).toMatchObject({
    outcome: 'refused',
    state: 'frozen',
    code: 'conflict',
  });
});
