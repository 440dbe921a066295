/** The files of a log: as L keeps them, as somebody pushes them, as anybody reads them. */
import { cosign, cosignaturesOf, mergeCosignatures, parseWitnessSigner } from '../../src/tlog/cosignature.ts';
import { formatCheckpoint, openCheckpoint } from '../../src/tlog/checkpoint.ts';
import { leafHash, treeOf } from '../../src/tlog/merkle.ts';
import { parseSignerKey, signNote, splitNote } from '../../src/tlog/note.ts';
import type { LogTrust } from '../../src/tlog/proof.ts';
import { bundleEntries, encodeBundle, isLogPath, parseTile } from '../../src/tlog/tile.ts';
import { parsePush } from '../../src/depot/log.ts';
import { extendLog } from '../../src/tree/log/extend.ts';
import { LogReader, depotLog } from '../../src/tree/log/reader.ts';
import { packTar } from '../../src/tree/tar.ts';
import { MemoryTree } from '../tree/log-scene.ts';
import type { Target } from './fuzz.ts';
import { holds, same, seed } from './oracle.ts';
import { mended, unpack } from './wire.ts';

const logKey = parseSignerKey(seed('log-key').toString());
const witness = parseWitnessSigner(seed('witness-key').toString().trim());
const keys = [witness.verifier];
const trust: LogTrust = { origin: logKey.name, key: logKey.verifier, witnesses: keys, quorum: 0 };

/** A full tile and a little more. */
const leaves = Array.from({ length: 300 }, (_, at) => Buffer.from(`entry ${at}`));
const tree = treeOf(leaves.map(leafHash));
const textAt = (size: number): string =>
  formatCheckpoint({ origin: trust.origin, size, root: tree.root(size) });
const noteAt = (size: number): string => signNote(textAt(size), logKey);
const TIME = 1_790_000_000;
const cosigned = noteAt(300) + cosign(textAt(300), witness, TIME);
const pushOf = (from: number, size: number, note = noteAt(size)): Buffer =>
  packTar([
    { name: 'checkpoint', bytes: Buffer.from(note) },
    { name: `entries/${from}`, bytes: encodeBundle(leaves.slice(from, size)) },
  ]);

/** A depot that has the first `size` entries. */
async function depotOf(size: number): Promise<MemoryTree> {
  const store = new MemoryTree();
  if (size > 0)
    await extendLog(store, trust, {
      checkpoint: Buffer.from(noteAt(size)),
      from: 0,
      entries: () => leaves.slice(0, size),
    });
  return store;
}
const [before, whole] = [await depotOf(250), await depotOf(300)];

/** Every entry that can be read is the one that was signed. Returns how many there are; 0 without a log. */
async function readAll(files: ReadonlyMap<string, Buffer>): Promise<number> {
  const reader = new LogReader(depotLog(new MemoryTree(files)), trust);
  const head = await reader.head();
  if (head === null) return 0;
  same(splitNote(head.note).text, textAt(head.checkpoint.size), 'a checkpoint that nobody signed');
  let count = 0;
  for await (const { index, leaf } of reader.entries(head, 0)) {
    holds(index === count, 'an entry is missing');
    same(leaf, leaves[index] ?? '', 'another entry than was signed');
    count += 1;
  }
  const size = Math.min(123, count);
  holds((await reader.rootAt(head, size)).equals(tree.root(size)), 'another root than was signed');
  return count;
}

const PATH =
  /^(checkpoint|tile\/(entries|[0-9]|[1-5][0-9]|6[0-3])\/(x(?!000\/[x0-9]*\/?$)[0-9]{3}\/)*[0-9]{3}(\.p\/[1-9][0-9]{0,2})?)$/;

export const tileTargets: readonly Target[] = [
  {
    name: 'tile',
    seeds: [whole.files.get('log/tile/0/001.p/44') ?? Buffer.alloc(0)],
    read: (input) => same(Buffer.concat(parseTile(input)), input),
  },
  {
    name: 'bundle',
    seeds: [encodeBundle(leaves.slice(0, 9)), encodeBundle([Buffer.alloc(0), Buffer.alloc(300)])],
    words: ['\0\0', '\0\u0001', '\u00ff\u00ff'],
    read: (input) => same(encodeBundle([...bundleEntries(input)]), input),
  },
  {
    name: 'log-path',
    seeds: ['checkpoint', 'tile/0/001.p/44', 'tile/entries/x001/x234/067', 'tile/63/x123/456'].map((path) =>
      Buffer.from(path),
    ),
    words: ['tile/', 'entries/', 'x000/', '000', '.p/', '256', '/', '..', '0', 'x', '%2e'],
    read: (input) => {
      const path = input.toString('latin1');
      if (isLogPath(path)) holds(PATH.test(path), 'not a path of a log');
    },
  },
  {
    name: 'cosigned-note',
    seeds: [Buffer.from(cosigned), Buffer.from(noteAt(300))],
    words: ['\n\n', '\n', '— ', ' ', witness.name, `— ${witness.name} `, logKey.name, '300', 'extension\n'],
    read: (input) => {
      const found = cosignaturesOf(input, keys);
      const { text } = splitNote(input);
      for (const { time } of found) {
        same(text, textAt(300), 'a note that no witness has cosigned');
        holds(time === TIME, 'another time than was cosigned');
      }
      const { size } = openCheckpoint(input, trust);
      holds(size === 300, 'another size than was signed');
      holds(
        cosignaturesOf(mergeCosignatures([input], logKey.verifier, keys), keys).length === found.length,
        'not the same cosignatures when merged',
      );
    },
  },
  {
    name: 'log-push',
    seeds: [pushOf(250, 300), pushOf(250, 251), pushOf(200, 300, cosigned), pushOf(250, 250)],
    words: ['checkpoint', 'entries/', 'entries/250', '250', '300', '\n\n', '— ', '\0'],
    slow: true,
    read: async (input) => {
      const store = new MemoryTree(before.files);
      const push = parsePush(await unpack(mended(input)));
      try {
        await extendLog(store, trust, push);
      } finally {
        holds((await readAll(store.files)) >= 250, 'the log got shorter');
      }
    },
  },
  {
    name: 'log-files',
    seeds: [packTar([...whole.files].map(([name, bytes]) => ({ name, bytes })))],
    words: ['log/', 'checkpoint', 'tile/0/', 'entries/', '000', '001.p/44', '300', '\0\0'],
    slow: true,
    read: async (input) => {
      const files = await unpack(mended(input));
      await readAll(new Map(files.map(({ name, bytes }) => [name, bytes])));
    },
  },
];
