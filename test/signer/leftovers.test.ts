/** A signer restored from a backup, and a depot that broke off in the push that the backup does not have. */
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { buildPath } from '../../src/records/paths.ts';
import { LogReader, depotLog } from '../../src/tree/log/reader.ts';
import { Scene } from './scene.ts';

test('the depot has tiles of entries that nobody has now: the log goes on without them', async () => {
  const scene = await Scene.make();
  try {
    const sealed = async (version: string) => {
      const build = await scene.approve(version);
      await scene.attest(build, { 'hello.txt': 'hello' });
      return build;
    };
    await sealed('1.0');
    await scene.sign();
    const [backup, checkpoint] = [
      join(scene.directory, 'backup'),
      await readFile(scene.path('log/checkpoint')),
    ];
    await cp(scene.state, backup, { recursive: true });
    const lost = await sealed('1.1');
    await scene.sign();
    // the depot had come as far as the tiles; then H's disk died
    await writeFile(scene.path('log/checkpoint'), checkpoint);
    for (const path of [buildPath(lost.build), 'releases/hello/1.1'])
      await rm(scene.path(path), { recursive: true });
    await rm(scene.state, { recursive: true });
    await cp(backup, scene.state, { recursive: true });
    await scene.reopenDepot();
    scene.pass(60);

    await sealed('1.2');
    expect((await scene.sign()).result?.outcome).toBe('published');
    const reader = new LogReader(depotLog(scene.depot.as(null)), scene.project.log);
    const head = await reader.head();
    if (head === null) throw new Error('no log');
    const leaves: Buffer[] = [];
    for await (const { leaf } of reader.entries(head, 0)) leaves.push(leaf);
    expect(`${leaves.join('\n')}\n`).toBe(await readFile(join(scene.state, 'journal'), 'utf8'));
  } finally {
    await scene.close();
  }
});
