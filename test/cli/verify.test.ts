/** What `verify` says to a person and to a script, and the status that it ends with. */
import { copyFile, cp, rm, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectRefusal } from '../harness/invariants.ts';
import { World } from '../harness/world.ts';

let world: World;
let copy: string;
beforeAll(async () => {
  world = await World.make();
  await world.release('1.0.0', { 'app.tgz': 'app' });
  copy = world.path('operator', 'app.tgz');
  await copyFile(world.tree('releases/widget/1.0.0/app.tgz'), copy);
});
afterAll(() => world.close());

const say = (...args: string[]) => world.runOn('operator', ['verify', ...args]);

test('a good file is valid: who signed, who approved, when, built by whom, where in the log', async () => {
  const { code, stdout, stderr } = await say(copy, '--version', '1.0.0');
  expect(code, stderr).toBe(0);
  expect(stdout).toMatch(/^valid {2}/);
  for (const fact of ['signed by', 'approved by', 'built by', 'single-builder', 'log', 'not checked: '])
    expect(stdout).toContain(fact);
  expect((await world.verify([copy], ['--version', '1.0.0'])).json).toMatchObject([{ outcome: 'valid' }]);
});

test('-q leaves the verdict, and what speaks against it', async () => {
  const bad = world.path('operator', 'bad.tgz');
  await writeFile(bad, 'apq');
  expect((await say(copy, '--version', '1.0.0', '-q')).stdout).toMatch(/^valid {2}.*\n$/);
  expect((await say(bad, '--version', '1.0.0', '-q')).stdout).toMatch(/^NOT VALID {2}.*\n {2}.*\n$/);
});

test('half a copy is no verdict, and a version is no file: the hint says what to do', async () => {
  const whole = world.tree('releases/widget/1.0.0');
  const half = world.path('operator', 'half');
  await cp(whole, half, { recursive: true });
  await rm(world.path('operator', 'half', 'app.tgz'));
  const ran = await say(half);
  expect(ran).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(/hint: copy the whole release again$/m),
  });
  await rm(world.path('operator', 'half', 'countersign'), { recursive: true });
  expect(await say(half)).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(
      /hint: .*for files alone: countersign verify --project NAME --version VERSION/,
    ),
  });
  const version = await say('1.0.0');
  expect(version).toMatchObject({ code: 2, stderr: expect.stringMatching(/hint: name a file.*--version V/) });
});

test('a bad file is not, and a script gets a code', async () => {
  const bad = world.path('operator', 'bad.tgz');
  await writeFile(bad, 'apq');
  const spoken = await say(bad, '--version', '1.0.0');
  expect(spoken.code).toBe(1);
  expect(spoken.stdout).toMatch(/^NOT VALID {2}.*\n {2}.*\nthe release that was looked in:\n/);
  const ran = await world.verify([bad], ['--version', '1.0.0']);
  expect(ran).toMatchObject({ code: 1, json: [{ outcome: 'not-valid', code: expect.any(String) }] });
  expectRefusal(ran);
});

test('the signature alone is no verdict, unless somebody is content with it', async () => {
  await copyFile(world.tree('releases/widget/1.0.0/app.tgz.asc'), `${copy}.asc`);
  const key = ['--key', world.path('operator', 'keys/release.pgp')];
  const env = { COUNTERSIGN_CONFIG: '' };
  const alone = await world.runOn('operator', ['verify', copy, ...key], { env });
  expect(alone).toMatchObject({ code: 1, stdout: expect.stringMatching(/^signature only/) });
  expect(alone.stderr).toMatch(/hint: .*no verdict.*--signature-only/);
  const named = await world.runOn('operator', ['verify', copy, ...key, '--version', '1.0.0'], { env });
  expect(named).toMatchObject({ code: 2, stderr: expect.stringContaining('--key alone cannot check that') });
  const content = await world.runOn('operator', ['verify', copy, ...key, '--signature-only'], { env });
  expect(content.code).toBe(0);
  await rm(`${copy}.asc`);
});
