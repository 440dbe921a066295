/** A log that another implementation wrote: its checkpoints, entries and tiles, read and proven by ours. */
import { copyFileSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseCheckpoint } from '../../src/tlog/checkpoint.ts';
import { RightEdge } from '../../src/tlog/edge.ts';
import { leafHash, treeOf, treeRoot } from '../../src/tlog/merkle.ts';
import { openNote, parseVerifierKey } from '../../src/tlog/note.ts';
import { formatProof, parseProof, unwitnessed, verifyProof } from '../../src/tlog/proof.ts';
import { parseLocation } from '../../src/tree/location.ts';
import { LogReader, openLog } from '../../src/tree/log/reader.ts';
import { serveFiles } from '../harness/file-server.ts';
import { sharedVectors } from '../harness/vectors.ts';

const { directory, skipped } = sharedVectors('tessera-log', 20);
const read = (...path: string[]): Buffer => readFileSync(join(directory, ...path));
const sizes = Array.from({ length: 16 }, (_, size) => size);

/** The entries of a bundle of C2SP tlog-tiles: each after its length in two bytes. */
function entries(size: number): Buffer[] {
  const bundle = size === 0 ? Buffer.alloc(0) : read('tile', 'entries', '000.p', String(size));
  const found: Buffer[] = [];
  for (let at = 0; at < bundle.length; at += 2 + bundle.readUInt16BE(at))
    found.push(bundle.subarray(at + 2, at + 2 + bundle.readUInt16BE(at)));
  return found;
}

describe.skipIf(skipped)('transparency-dev/tessera, testdata/log', () => {
  const key = () => parseVerifierKey(read('vkey').toString().trim());
  const open = (name: string) => parseCheckpoint(openNote(read(name), key()));

  test("there is one checkpoint for each size, and the last is the log's", () => {
    expect(existsSync(join(directory, 'checkpoint.15'))).toBe(true);
    expect(open('checkpoint')).toEqual(open('checkpoint.15'));
  });

  test.each(sizes)('the checkpoint of %i entries verifies, and its root is ours', (size) => {
    const checkpoint = open(`checkpoint.${size}`);
    expect(checkpoint.origin).toBe('example.com/log/testdata');
    expect(checkpoint.size).toBe(size);
    const leaves = entries(size);
    expect(leaves).toHaveLength(size);
    const hashes = leaves.map(leafHash);
    expect(treeRoot(hashes)).toEqual(checkpoint.root);
    if (size > 0) expect(Buffer.concat(hashes)).toEqual(read('tile', '0', '000.p', String(size)));
  });

  test('our proof of each entry verifies under each of its checkpoints', () => {
    for (const size of sizes) {
      const leaves = entries(size);
      const tree = treeOf(leaves.map(leafHash));
      const checkpoint = read(`checkpoint.${size}`).toString();
      const trust = unwitnessed({ origin: 'example.com/log/testdata', key: key() });
      for (const [index, leaf] of leaves.entries()) {
        const bytes = formatProof({ extra: leaf, index, hashes: tree.inclusionProof(index), checkpoint });
        expect(verifyProof(parseProof(bytes), leaf, trust).checkpoint.size).toBe(size);
      }
    }
  });

  describe('copied', () => {
    const copy = mkdtempSync(join(tmpdir(), 'cs-tessera-'));
    let server: Awaited<ReturnType<typeof serveFiles>>;
    beforeAll(async () => {
      cpSync(join(directory, 'tile'), join(copy, 'tile'), { recursive: true });
      server = await serveFiles(copy);
    });
    afterAll(async () => {
      await server.close();
      rmSync(copy, { recursive: true });
    });

    test.each([
      ['in a directory', () => copy],
      ['behind a URL', () => server.url],
    ])(
      '%s it is read whole as it grows, with its roots, its proofs, and where it goes on',
      async (_, place) => {
        const tree = treeOf(entries(15).map(leafHash));
        for (const size of sizes.slice(1)) {
          copyFileSync(join(directory, `checkpoint.${size}`), join(copy, 'checkpoint'));
          const files = await openLog(parseLocation(place()));
          const reader = new LogReader(
            files,
            unwitnessed({ origin: 'example.com/log/testdata', key: key() }),
          );
          const head = await reader.head();
          if (head === null) throw new Error('there is no log');
          expect(head.checkpoint).toEqual(open(`checkpoint.${size}`));

          const leaves: Buffer[] = [];
          for await (const { leaf } of reader.entries(head, 0)) leaves.push(leaf);
          expect(leaves).toEqual(entries(size));
          for (const old of sizes.slice(0, size + 1))
            expect(await reader.rootAt(head, old)).toEqual(open(`checkpoint.${old}`).root);
          for (const index of leaves.keys())
            expect(await reader.inclusionProof(head, index)).toEqual(tree.inclusionProof(index, size));

          const { edge } = await reader.end(head);
          const going = RightEdge.at(size, edge);
          for (const leaf of entries(15).slice(size)) going.append(leafHash(leaf));
          expect(going.root()).toEqual(open('checkpoint.15').root);
          files.close();
        }
      },
    );
  });
});
