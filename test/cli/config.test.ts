/** The project file where it is read beside the release key: who may write it decides what is signed. */
import { chmod } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mustBe, World } from '../harness/world.ts';

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.close());

test.each([
  ['countersign.toml', 0o644],
  ['keys/release.pgp', 0o644],
  ['keys', 0o755],
  ['.', 0o755],
])('sign reads no %s that everybody may write', async (name, mode) => {
  const path = world.path('H', name);
  await chmod(path, mode | 0o002);
  const ran = await world.sign();
  expect(ran).toMatchObject({ code: 2, error: { code: 'config-permissions' } });
  expect(ran.error?.hint).toBe(`chmod o-w ${path}`);
  await chmod(path, mode);
  mustBe(0, await world.sign());
});

test('a group that shares it is its owner’s business, and so is a directory like /tmp', async () => {
  await chmod(world.path('H', 'countersign.toml'), 0o664);
  await chmod(world.path('H'), 0o1777);
  mustBe(0, await world.sign());
  await chmod(world.path('H'), 0o755);
});
