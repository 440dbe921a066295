/** `sign --keep`: what was verified, on H too, as a release engineer expects it. */
import { chmod, mkdir, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sha256Hex } from '../../src/records/sha256.ts';
import { World, mustBe } from '../harness/world.ts';

const large = 'x'.repeat(300_000);
const files = {
  'app.img': large,
  'b/copy.img': large,
  'b/small.txt': 'small',
  'small.txt': 'small',
  other: 'other',
};

let world: World;
let build: string;
let keep: string;
beforeAll(async () => {
  world = await World.make();
  keep = world.path('tmp', 'keep');
  const approved = await world.approve('1.0');
  mustBe(0, approved);
  mustBe(0, await world.attest(approved.ticket, files));
  ({ build } = approved);
});
afterAll(() => world.close());

const sign = (): ReturnType<World['sign']> => world.sign(['--keep', keep]);
const release = (): string => `${keep}/widget-1.0`;
const kept = async (): Promise<string[]> =>
  (await readdir(keep, { recursive: true, withFileTypes: true }))
    .filter((entry) => !entry.isDirectory())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(keep.length + 1))
    .sort();

test.each([
  ['large', 'app.img'],
  ['small', 'small.txt'],
])('other bytes are there, of a %s one: they stay, and nothing is signed', async (_size, name) => {
  await mkdir(release(), { recursive: true });
  await writeFile(`${release()}/${name}`, 'older');
  const ran = await sign();
  mustBe(3, ran);
  expect(ran.json).toMatchObject([{ build, state: 'built', code: 'conflict' }]);
  expect(await readFile(`${release()}/${name}`, 'utf8')).toBe('older');
  expect(world.agent.signatures).toBe(0);
  await rm(keep, { recursive: true });
});

test.each(['widget-1.0', 'widget-1.0/b'])('%s is a link: nothing goes through it', async (name) => {
  const outside = world.path('tmp', 'outside');
  await mkdir(outside);
  await mkdir(dirname(`${keep}/${name}`), { recursive: true });
  await symlink(outside, `${keep}/${name}`);
  mustBe(3, await sign());
  expect(await readdir(outside)).toEqual([]);
  expect(world.agent.signatures).toBe(0);
  await rm(keep, { recursive: true });
  await rm(outside, { recursive: true });
});

test('a directory that others may write is not taken', async () => {
  await mkdir(keep);
  await chmod(keep, 0o777);
  const ran = await sign();
  mustBe(2, ran);
  expect(ran.error?.code).toBe('depot-shared');
  await rm(keep, { recursive: true });
});

test('wrong bytes, and a build that is not signed, leave nothing there; once signed all of it is there', async () => {
  const blob = world.tree('builds', build, 'blobs', sha256Hex(large));
  await writeFile(blob, `${large.slice(1)}!`);
  mustBe(1, await sign());
  expect(await kept()).toEqual([]);
  await writeFile(blob, large);
  mustBe(0, await sign());
  expect(await kept()).toEqual(
    Object.keys(files)
      .map((name) => `widget-1.0/${name}`)
      .sort(),
  );
  for (const [name, content] of Object.entries(files)) {
    expect(await readFile(`${release()}/${name}`, 'utf8')).toBe(content);
    expect((await stat(`${release()}/${name}`)).mode & 0o777).toBe(0o644);
  }
});
