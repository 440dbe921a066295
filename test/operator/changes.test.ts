/** What an approval is held against: the last one that enough approvers signed; and a depot that hides it makes no "first". */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { changesSinceLast } from '../../src/operator/changes.ts';
import type { Changes } from '../../src/operator/changes.ts';
import { newBuildId } from '../../src/records/names.ts';
import { approvalFile, buildPath } from '../../src/records/paths.ts';
import { Scene } from '../signer/scene.ts';
import type { Build } from '../signer/scene.ts';

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.make();
});
afterEach(() => scene.close());

const since = ({ approval }: Build): Promise<Changes> =>
  changesSinceLast(scene.project, scene.depot, approval, scene.now());

/** Directories that look like builds of later than all others. */
async function junk(count: number): Promise<void> {
  for (let at = 0; at < count; at++) {
    const build = newBuildId(scene.now(), Buffer.alloc(10, at));
    const path = scene.path(buildPath(build, approvalFile));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, 'x');
  }
}

test('the first is the first, where everything was looked at', async () => {
  expect(await since(await scene.approve('1.0'))).toEqual({ kind: 'first' });
});

test('a directory that shows no approval may hide the last one', async () => {
  const only = await scene.approve('1.0');
  await junk(1);
  expect(await since(only)).toMatchObject({ kind: 'unseen', why: expect.stringContaining('no approval') });
  scene.pass(1);
  expect(await since(await scene.approve('1.1'))).toMatchObject({ kind: 'compared', build: only.build });
});

test('behind 200 of them the last one is not seen, and that is said', async () => {
  const last = await scene.approve('1.0');
  scene.pass(1);
  const next = await scene.approve('1.1');
  scene.pass(1);
  await junk(199);
  expect(await since(next)).toMatchObject({ kind: 'compared', build: last.build });
  await junk(200);
  expect(await since(next)).toEqual({
    kind: 'unseen',
    why: 'in the last 200 builds; older ones were not looked at',
  });
});
