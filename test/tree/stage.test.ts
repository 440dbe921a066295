/** What is staged goes to the disk while more of it comes. */
import { mkdtemp, open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { newBuildId } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import type { Stage } from '../../src/tree/tree.ts';

let root: string;
let tree: DirectoryTree;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tree-'));
  tree = await DirectoryTree.make(root);
});
afterEach(() => rm(root, { recursive: true }));

test('of a large one much is on the disk before its end, and what the disk could not take is told', async () => {
  const chunk = Buffer.alloc(8 * 2 ** 20);
  const fill = async (stage: Pick<Stage, 'write'>): Promise<void> => {
    for (let at = 0; at < 9; at++) await stage.write(chunk);
  };
  const file = await open(root, 'r');
  const datasync = vi.spyOn(Object.getPrototypeOf(file) as FileHandle, 'datasync');
  await file.close();
  try {
    const sound = await tree.stage();
    await fill(sound);
    expect(datasync).toHaveBeenCalledOnce();
    expect(await sound.commit('builds/x/blob')).toBe('new');
    await expect(datasync.mock.results[0]?.value).resolves.toBeUndefined();

    const broken = (): Promise<void> =>
      Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO', syscall: 'fdatasync' }));
    datasync.mockImplementationOnce(broken);
    const stage = await tree.stage();
    await fill(stage);
    await expect(stage.commit('builds/x/other')).rejects.toMatchObject({ kind: 'unable', code: 'disk' });
    datasync.mockImplementationOnce(broken);
    const key = {
      build: newBuildId(new Date(0), Buffer.alloc(10)),
      holder: '0'.repeat(32),
      sha256: sha256Hex('x'),
    };
    const piece = await tree.pieces.open(key, true);
    await fill(piece);
    expect(await piece.leave(), 'a piece is no better').toBeNull();
    expect(await tree.pieces.size(key)).toBe(0);
  } finally {
    datasync.mockRestore();
  }
  expect(await tree.list('builds/x')).toEqual(['blob']);
});
