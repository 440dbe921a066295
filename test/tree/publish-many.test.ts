/** Hundreds of small artifacts are verified as strictly as one: whatever is wrong with one of them is found and named. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { blobFile, buildPath } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { publish } from '../../src/tree/publish.ts';
import { batches } from '../../src/tree/wire.ts';
import { build, now, project } from '../policy/scene.ts';
import { makeDepot } from './depot.ts';
import type { DepotOnDisk } from './depot.ts';
import { many } from './many.ts';
import type { Many } from './many.ts';

const COUNT = 300;
const ONE = 'd2/f200';
const contents = new Map(
  Array.from({ length: COUNT }, (_, at) => [`d${at % 3}/f${at}`, Buffer.from(`artifact ${at}`)]),
);

let here: DepotOnDisk;
beforeEach(async () => {
  here = await makeDepot();
});
afterEach(() => here.remove());

const send = async (made: Many): Promise<void> => {
  await here.depot.submit(build, made.approval);
  for (const batch of batches(made.blobs, ({ bytes }) => bytes.length))
    await here.builder.putBlobs(build, batch);
  await here.builder.submit(build, made.statement);
  await here.depot.submit(build, made.chain);
  for (const batch of batches(made.signatures, ({ bytes }) => bytes.length))
    await here.depot.putSignatures(build, batch);
};
const published = (): Promise<string> => publish({ tree: here.tree, project, build, now });
const inBuild = (file: string): string => join(here.directory, buildPath(build, file));
const blobOf = (name: string): string => inBuild(blobFile(sha256Hex(contents.get(name) ?? '')));

test('all of them are published; damaged before, the one is named and nothing is visible', async () => {
  const made = many(contents);
  await send(made);
  const blob = blobOf(ONE);
  const bytes = contents.get(ONE) ?? Buffer.alloc(0);
  const change = (path: string, other: Buffer): void => {
    rmSync(path);
    writeFileSync(path, other);
  };
  const signature = inBuild(`signatures/${ONE}.asc`);
  const right = made.signatures.find(({ name }) => name === `${ONE}.asc`)?.bytes ?? Buffer.alloc(0);
  const other = made.signatures[0]?.bytes ?? Buffer.alloc(0);
  for (const [path, wrong, good, code] of [
    [blob, Buffer.alloc(bytes.length, 'x'), bytes, 'blob-damaged'],
    [blob, Buffer.concat([bytes, bytes]), bytes, 'blob-damaged'],
    [signature, other, right, 'chain-broken'],
  ] as const) {
    change(path, wrong);
    await expect(published()).rejects.toMatchObject({ code, message: expect.stringContaining(ONE) });
    expect(await here.tree.list('releases')).toEqual([]);
    change(path, good);
  }
  rmSync(blob);
  await expect(published()).rejects.toMatchObject({
    code: 'release-incomplete',
    message: expect.stringContaining(ONE),
  });
  writeFileSync(blob, bytes);
  expect(await published()).toBe('new');
  for (const name of ['d0/f0', ONE])
    expect(await here.tree.read(`releases/hello/1.0/${name}`)).toEqual(contents.get(name));
  expect(await here.tree.list('releases/hello/1.0/d1')).toHaveLength((2 * COUNT) / 3);
});

test.each([ONE, 'SHA256SUMS'])('without the signature of %s no artifact is read', async (name) => {
  await send(many(contents));
  const first = blobOf('d0/f0');
  rmSync(first);
  writeFileSync(first, Buffer.alloc(contents.get('d0/f0')?.length ?? 0, 'x'));
  rmSync(inBuild(`signatures/${name}.asc`));
  await expect(published()).rejects.toMatchObject({
    code: 'release-incomplete',
    message: expect.stringContaining(`${name}.asc`),
  });
});

test('one signature over other bytes among them is found', async () => {
  await send(many(contents, (name, bytes) => (name === ONE ? Buffer.from('other') : bytes)));
  await expect(published()).rejects.toMatchObject({
    kind: 'refused',
    code: 'signature-invalid',
    message: expect.stringContaining(ONE),
  });
  expect(await here.tree.list('releases')).toEqual([]);
});
