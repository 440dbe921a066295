/** A log as a reader gets it from whoever keeps it: nothing but what was signed, or the word that it is not. */
import fc from 'fast-check';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { leafHash, verifyInclusion } from '../../src/tlog/merkle.ts';
import { parseVerifierKey } from '../../src/tlog/note.ts';
import { unwitnessed } from '../../src/tlog/proof.ts';
import { TILE_WIDTH } from '../../src/tlog/tile.ts';
import { Failure } from '../../src/failure.ts';
import { extendLog } from '../../src/tree/log/extend.ts';
import { LogReader, openLog } from '../../src/tree/log/reader.ts';
import { sharedVectors } from '../harness/vectors.ts';
import { Log, MemoryTree, filesOf, grown, readWhole, readerOf, trust, whole } from './log-scene.ts';

const directories: string[] = [];
afterAll(async () => {
  for (const directory of directories) await rm(directory, { recursive: true, force: true });
});

/** The files of a log in a directory, below `log/` as in a depot. */
async function onDisk(tree: MemoryTree): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'log-'));
  directories.push(directory);
  for (const [name, bytes] of tree.files) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), bytes);
  }
  return directory;
}

async function failure(reading: Promise<unknown>): Promise<Failure> {
  const error = await reading.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof Failure) return error;
  throw new Error('read, and should not have been', { cause: error });
}

async function headOf(reader: LogReader): Promise<NonNullable<Awaited<ReturnType<LogReader['head']>>>> {
  const head = await reader.head();
  if (head) return head;
  throw new Error('there is no head');
}

const size = whole.leaves.length;
const complete = grown(size);

describe('of a log that is whole', () => {
  test('the root of every size before, and the proof of every entry, is that of the tree', async () => {
    for (const size of [1, 2, 255, 256, 257, 700]) {
      const reader = readerOf(await grown(size));
      const head = await headOf(reader);
      const near = (at: number): boolean => at < 5 || at > size - 5 || at % 256 < 2 || at % 37 === 0;
      for (let before = 0; before <= size; before++)
        if (near(before)) expect(await reader.rootAt(head, before)).toEqual(whole.tree.root(before));
      for (let index = 0; index < size; index++)
        if (near(index))
          expect(await reader.inclusionProof(head, index)).toEqual(whole.tree.inclusionProof(index, size));
    }
  });

  test('also where it has tiles of three levels', async () => {
    const reader = readerOf(await complete);
    const head = await headOf(reader);
    for (const index of [0, 255, 256, 40_000, 65_535, 65_536, 66_299]) {
      const proof = await reader.inclusionProof(head, index);
      const leaf = leafHash(whole.leaves[index] ?? Buffer.alloc(0));
      expect(verifyInclusion(index, 66_300, leaf, proof, head.checkpoint.root)).toBe(true);
    }
    for (const size of [65_535, 65_536, 65_537, 12_345])
      expect(await reader.rootAt(head, size)).toEqual(whole.tree.root(size));
  });

  test('the entries that were asked for come, and no others', async () => {
    const reader = readerOf(await grown(600));
    const head = await headOf(reader);
    for (const [from, to] of [
      [0, 600],
      [0, 0],
      [600, 600],
      [255, 257],
      [10, 20],
      [599, 600],
    ] as const) {
      const found: number[] = [];
      for await (const { index, leaf } of reader.entries(head, from, to)) {
        expect(leaf).toEqual(whole.leaves[index]);
        found.push(index);
      }
      expect(found).toEqual(Array.from({ length: to - from }, (_, at) => from + at));
    }
    await expect(reader.entries(head, 0, 601).next()).rejects.toThrow(RangeError);
    await expect(reader.entries(head, -1).next()).rejects.toThrow(RangeError);
    await expect(reader.rootAt(head, 601)).rejects.toThrow(RangeError);
    await expect(reader.inclusionProof(head, 600)).rejects.toThrow(RangeError);
  });

  test('where there is none, there is no head; where there are no entries, there is one', async () => {
    expect(await readerOf(new MemoryTree()).head()).toBeNull();
    const tree = new MemoryTree();
    await extendLog(tree, trust, whole.push(0, 0));
    const reader = readerOf(tree);
    expect((await headOf(reader)).checkpoint.size).toBe(0);
    expect(await reader.rootAt(await headOf(reader), 0)).toEqual(whole.tree.root(0));
  });

  test('an older head is read on, from the complete tiles that came since', async () => {
    const tree = await grown(300);
    const reader = readerOf(tree);
    const head = await headOf(reader);
    await extendLog(tree, trust, whole.push(300, 600));
    expect(filesOf(tree)).not.toContain('log/tile/0/001.p/44');
    for (const each of [reader, readerOf(tree)]) {
      const found: Buffer[] = [];
      for await (const { leaf } of each.entries(head, 0)) found.push(leaf);
      expect(found).toEqual(whole.leaves.slice(0, 300));
      expect(await each.inclusionProof(head, 299)).toEqual(whole.tree.inclusionProof(299, 300));
    }
  });
});

describe('of a log that is damaged', () => {
  /** The entries that a file is about. */
  function about(name: string): { readonly from: number; readonly to: number } {
    const [, level = '', at = ''] = /^log\/tile\/(\w+)\/([x0-9/]+)(?:\.p\/\d+)?$/.exec(name) ?? [];
    const index = Number(at.replace(/[x/]/g, ''));
    const each = TILE_WIDTH ** (level === 'entries' ? 0 : Number(level));
    return { from: index * TILE_WIDTH * each, to: Math.min(size, (index + 1) * TILE_WIDTH * each) };
  }

  async function read(tree: MemoryTree, name: string): Promise<void> {
    const reader = readerOf(tree);
    const head = await headOf(reader);
    const { from, to } = about(name);
    for await (const _ of reader.entries(head, from, to));
  }

  test('any byte that is changed is found, and which entry it is about', async () => {
    const { files } = await complete;
    const names = [...files.keys()].filter((name) => name !== 'log/checkpoint');
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...names),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (name, where, flip) => {
          const tree = new MemoryTree(files);
          const bytes = Buffer.from(files.get(name) ?? '');
          const at = where % bytes.length;
          bytes[at] = (bytes[at] ?? 0) ^ flip;
          tree.files.set(name, bytes);
          const { code, message } = await failure(read(tree, name));
          expect(code).toBe('log-damaged');
          const named = Number(/entr(?:y|ies) (\d+)/.exec(message)?.[1]);
          const { from } = about(name);
          const each = /tile\/(\d)/.exec(name)?.[1];
          if (each !== undefined) expect(named).toBe(from + Math.floor(at / 32) * TILE_WIDTH ** Number(each));
          else {
            // the entry that the byte is in, by the lengths that were there
            let [index, end] = [from, 0];
            for (; ; index++) {
              end += 2 + (whole.leaves[index]?.length ?? 0);
              if (at < end) break;
            }
            expect(named).toBe(index);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a checkpoint that is changed is not believed', async () => {
    const { files } = await complete;
    const note = files.get('log/checkpoint') ?? Buffer.alloc(0);
    for (let at = 0; at < note.length; at++) {
      const tree = new MemoryTree(files);
      const bytes = Buffer.from(note);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      tree.files.set('log/checkpoint', bytes);
      expect((await failure(readerOf(tree).head())).code).toBe('checkpoint-invalid');
    }
  });

  test('a file that is cut, prolonged, empty or another one is not taken for it', async () => {
    const { files } = await complete;
    for (const name of ['log/tile/0/000', 'log/tile/0/258.p/252', 'log/tile/1/000', 'log/tile/entries/000']) {
      const bytes = files.get(name) ?? Buffer.alloc(0);
      expect(bytes.length).toBeGreaterThan(0);
      const longer = Buffer.concat([bytes, bytes.subarray(0, 32)]);
      const other = files.get('log/tile/0/001') ?? Buffer.alloc(0);
      for (const bad of [bytes.subarray(0, -1), bytes.subarray(0, -32), longer, Buffer.alloc(0), other]) {
        const tree = new MemoryTree(files);
        tree.files.set(name, bad);
        expect((await failure(read(tree, name))).code).toBe('log-damaged');
      }
    }
  });

  test('tiles and bundles that agree with each other, of entries that were not signed, are another log', async () => {
    const tree = await grown(300);
    const other = new MemoryTree();
    const forged = new Log(300, (index) => Buffer.from(`forged ${index}`));
    await extendLog(other, trust, forged.push(0));
    other.files.set('log/checkpoint', tree.files.get('log/checkpoint') ?? Buffer.alloc(0));
    const { code, message } = await failure(readWhole(other));
    expect([code, message]).toEqual([
      'log-damaged',
      expect.stringContaining('not the 300 entries of the checkpoint'),
    ]);
    // and where only what is below a good edge is
    for (const name of ['log/tile/0/000', 'log/tile/entries/000'])
      tree.files.set(name, other.files.get(name) ?? Buffer.alloc(0));
    expect((await failure(readWhole(tree))).message).toContain('not the entries that the tile above has');
  });
});

describe('of a log that is not there whole', () => {
  test('it is incomplete, and not forged: a copy on its way has the checkpoint first, or last', async () => {
    const { files } = await grown(600);
    const all = [...files.keys()].filter((name) => name !== 'log/checkpoint');
    for (const name of all) {
      const tree = new MemoryTree(files);
      tree.files.delete(name);
      const { kind, code, message, hint } = await failure(readWhole(tree));
      expect([kind, code, hint]).toEqual(['unable', 'log-incomplete', expect.stringContaining('try again')]);
      expect(message).toContain(name.slice('log/'.length));
    }
  });
});

describe('wherever it is', () => {
  test('in a depot, or by itself', async () => {
    const depot = await onDisk(await grown(300));
    const itself = join(depot, '..', `${depot}-mirror`);
    directories.push(itself);
    await cp(join(depot, 'log'), itself, { recursive: true });
    for (const directory of [depot, itself, join(depot, 'log')]) {
      const files = await openLog({ kind: 'directory', directory });
      const reader = new LogReader(files, trust);
      const head = await headOf(reader);
      let count = 0;
      for await (const { index, leaf } of reader.entries(head, 0)) {
        expect(leaf).toEqual(whole.leaves[index]);
        count += 1;
      }
      expect(count).toBe(300);
      files.close();
    }
  });

  test('in a directory without one there is no head; without the directory there is nothing', async () => {
    const directory = await onDisk(new MemoryTree());
    expect(await new LogReader(await openLog({ kind: 'directory', directory }), trust).head()).toBeNull();
    const gone = openLog({ kind: 'directory', directory: join(directory, 'gone') });
    await expect(gone).rejects.toMatchObject({ kind: 'unable', code: 'no-depot' });
  });

  const { directory: tessera, skipped } = sharedVectors('tessera-log', 1);
  test.skipIf(skipped)('and whoever wrote it: transparency-dev/tessera, testdata/log', async () => {
    const key = parseVerifierKey((await readFile(join(tessera, 'vkey'), 'utf8')).trim());
    const files = await openLog({ kind: 'directory', directory: tessera });
    const reader = new LogReader(files, unwitnessed({ origin: key.name, key }));
    const head = await headOf(reader);
    expect(head.checkpoint.size).toBe(15);
    let index = 0;
    for await (const { leaf } of reader.entries(head, 0)) {
      const proof = await reader.inclusionProof(head, index);
      expect(verifyInclusion(index++, 15, leafHash(leaf), proof, head.checkpoint.root)).toBe(true);
    }
    expect(index).toBe(15);
  });
});
