/** What a person is shown as builders' work: as far as the log and the limits carry it, whoever else wrote into the depot. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { readVersions } from '../../src/operator/versions.ts';
import type { Versions } from '../../src/operator/versions.ts';
import { buildPath } from '../../src/records/paths.ts';
import { approveMany, attestBy, sealingScene, statementBy } from '../signer/builders.ts';
import type { ManyBuild } from '../signer/builders.ts';
import { enrol, enrolmentOf, newKey, withKey } from '../signer/enrolling.ts';
import { Scene } from '../signer/scene.ts';

let scene: Scene;
afterEach(() => scene.close());

const read = ({ approval }: ManyBuild): Promise<Versions> =>
  readVersions(scene.project, scene.depot, approval, scene.now());
const token = ({ tickets }: ManyBuild, slot: string): Buffer => tickets[slot]?.token ?? Buffer.alloc(0);

test('a key that somebody put beside the one the log has taken in signs nothing that is called checked', async () => {
  scene = await sealingScene();
  const build = await approveMany(scene, ['enrol', 'enrol'], 2);
  const keys = [newKey(build), newKey(build)] as const;
  await enrol(scene, build, 'b1', keys[0]);
  await enrol(scene, build, 'b2', keys[1]);
  await attestBy(scene, withKey(build, 'b1', keys[0]), 'b1', { app: 'good' });
  const early = await read(build);
  expect(early.versions).toMatchObject([{ name: 'b1', unchecked: 'the log has not taken in its key' }]);

  await scene.sign(); // and the receipts are there
  // L: a key of its own, introduced by nobody's nonce
  const own = newKey(build);
  const introduced = enrolmentOf(scene, build, 'b2', own, { nonce: Buffer.alloc(32) });
  const made = statementBy(scene, withKey(build, 'b2', own), 'b2', { app: 'back door' });
  for (const [file, bytes] of [...introduced, ...made]) {
    const path = scene.path(
      buildPath(build.build, file.replace('enrolments/b2.json', 'enrolments/b2.2.json')),
    );
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes);
  }
  const { versions } = await read(build);
  expect(versions.map(({ name, unchecked }) => [name, unchecked])).toEqual([
    ['b1', null],
    ['b2', 'the log has not taken in its key'],
  ]);
});

test('a second statement that names more than is allowed is not fetched, and not passed over in silence', async () => {
  scene = await Scene.make();
  const build = await approveMany(scene, ['keypair', 'keypair'], 2, {
    artifacts: { patterns: ['**'], maxCount: 2, maxBytes: 10, maxTotalBytes: 15 },
  });
  await attestBy(scene, build, 'b1', { app: 'good' });
  await attestBy(scene, build, 'b2', { app: 'evil' });
  const more = [
    Object.fromEntries(['x', 'y', 'z'].map((name) => [name, 'evil'])),
    { app: 'x'.repeat(11) },
    { app: 'x'.repeat(8), other: 'x'.repeat(8) },
  ];
  for (const contents of more)
    await scene.depot.as(token(build, 'b2')).submit(build.build, statementBy(scene, build, 'b2', contents));
  const { versions, over } = await read(build);
  expect(versions.map(({ name }) => name)).toEqual(['b1', 'b2']);
  expect(over).toEqual([
    'statements/b2.2.json: 3 artifacts, 2 are allowed',
    'statements/b2.3.json: 11 bytes, 10 are allowed',
    'statements/b2.4.json: 16 bytes in all, 15 are allowed',
  ]);
});
