/** The world that the other tests run in works, and its invariants notice what they are for. */
import { appendFile, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectUntouched, snapshot } from './invariants.ts';
import { rawRequest } from './raw-http.ts';
import { mustBe, World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.close());

test('one build goes all the way round', async () => {
  const build = await world.release('1.0.0', { 'app.tgz': 'app', 'sub/notes.txt': '' });
  expect(await readFile(world.tree('releases/widget/1.0.0/app.tgz'), 'utf8')).toBe('app');
  // app.tgz, sub/notes.txt and SHA256SUMS
  expect(world.agent.signatures).toBe(3);
  const status = await world.runOn('operator', ['status', build, '--json']);
  expect(status.json[0]).toMatchObject({ build, state: 'published' });
  const verified = await world.verify([world.tree('releases/widget/1.0.0/app.tgz')]);
  mustBe(0, verified);
});

describe('the invariants', () => {
  const notFound = () => rawRequest(world.url, { path: '/releases/widget/9.9.9/x' });

  test('hold when nothing happened', async () => {
    const before = await snapshot(world);
    await expectUntouched(world, before, { answers: [await notFound()] });
  });

  test.each([
    ['I1', () => void (world.agent.signatures += 1)],
    ['I2', () => truncate(world.journal, 10)],
    ['I2', () => appendFile(world.journal, '{}\n')],
    ['I3', () => writeFile(world.tree('releases/widget/1.0.0/extra'), '')],
    ['I5', () => writeFile(world.path('tmp', 'left-behind'), '')],
  ])('%s notices what it is for', async (name, tamper) => {
    const before = await snapshot(world);
    const journal = await readFile(world.journal);
    await tamper();
    await expect(expectUntouched(world, before, { answers: [await notFound()] })).rejects.toThrow(name);
    await writeFile(world.journal, journal);
    await rm(world.tree('releases/widget/1.0.0/extra'), { force: true });
    await rm(world.path('tmp', 'left-behind'), { force: true });
  });

  test('I4 notices a success, a stack trace, and a missing code', async () => {
    const before = await snapshot(world);
    const done = await world.runOn('operator', ['status', '--json']);
    const failed = await world.runOn('operator', ['status', '--colour', '--json']);
    await expectUntouched(world, before, { answers: [failed] });
    await expect(expectUntouched(world, before, { answers: [done] })).rejects.toThrow('I4');
    const trace = { ...failed, stderr: 'Error: x\n    at f (file.js:1:2)\n' };
    await expect(expectUntouched(world, before, { answers: [trace] })).rejects.toThrow('I4');
    const codeless = { ...failed, json: [{ message: 'x' }] };
    await expect(expectUntouched(world, before, { answers: [codeless] })).rejects.toThrow('I4');
  });
});
