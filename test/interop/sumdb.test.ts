/** Our logs read, checked and continued by golang.org/x/mod/sumdb, and its logs by us. */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cosignaturesOf } from '../../src/tlog/cosignature.ts';
import { leafHash, treeOf } from '../../src/tlog/merkle.ts';
import { generateNoteKey, parseSignerKey, parseVerifierKey } from '../../src/tlog/note.ts';
import { formatProof, parseProof, unwitnessed, verifyProof } from '../../src/tlog/proof.ts';
import type { LogTrust } from '../../src/tlog/proof.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { parseLocation } from '../../src/tree/location.ts';
import { extendLog } from '../../src/tree/log/extend.ts';
import { LogReader, openLog } from '../../src/tree/log/reader.ts';
import type { Head } from '../../src/tree/log/reader.ts';
import { MadeLog } from '../harness/made-log.ts';
import { trust, whole } from '../tree/log-scene.ts';
import { add } from '../witness/host.ts';
import { started } from '../witness/program.ts';
import { Sumdb } from './stranger.ts';

let sumdb: Sumdb;
beforeAll(async () => {
  sumdb = await Sumdb.build();
}, 60_000);
afterAll(() => sumdb.close());

const leafAt = (index: number): Buffer => Buffer.from(`entry ${index}\n`);
const range = (from: number, to: number): Buffer[] =>
  Array.from({ length: to - from }, (_, at) => leafAt(from + at));
const rootOf = (size: number): string => treeOf(range(0, size).map(leafHash)).root().toString('base64');

const key = (log: MadeLog): string => log.signer.verifier.text;

async function open(directory: string, trust: LogTrust): Promise<{ reader: LogReader; head: Head }> {
  const reader = new LogReader(await openLog(parseLocation(directory)), trust);
  const head = await reader.head();
  if (head === null) throw new Error(`no log in ${directory}`);
  return { reader, head };
}

// Around the edges of tiles, and a tile of the third level.
const SIZES = [1, 255, 256, 257, 65_536, 65_800];

describe('our log, in a directory', () => {
  let log: MadeLog;
  beforeAll(() => {
    log = new MadeLog(sumdb.path('ours'));
    for (const size of SIZES) writeFileSync(sumdb.path(`ours.${size}`), log.add(range(log.size, size)));
  });

  test('is read whole, and has the root that its entries have', async () => {
    const size = SIZES.at(-1) ?? 0;
    expect(await sumdb.says('read', key(log), log.directory)).toBe(
      `${log.signer.name} ${size} ${rootOf(size)}\n`,
    );
  });

  test('continues each of its checkpoints', async () => {
    for (const size of SIZES) {
      const body = await sumdb.says('grown', key(log), log.directory, sumdb.path(`ours.${size}`));
      expect(body.startsWith(`old ${size}\n`)).toBe(true);
    }
  });

  test('does not continue a checkpoint of another log by the same key', async () => {
    const other = new MadeLog(sumdb.path('other'), log.signer);
    writeFileSync(sumdb.path('other.note'), other.add(range(1, 300)));
    const said = await sumdb.run('grown', key(log), log.directory, sumdb.path('other.note'));
    expect(said).toEqual({ code: 1, stdout: '', stderr: 'invalid transparency proof\n' });
  });

  test.each([0, 65_535, 65_799])('our proof of entry %i is good', async (index) => {
    const { reader, head } = await open(log.directory, log.trust);
    const hashes = await reader.inclusionProof(head, index);
    const proof = formatProof({ extra: leafAt(index), index, hashes, checkpoint: head.note });
    const [leafFile, proofFile] = [sumdb.path('leaf'), sumdb.path('proof')];
    writeFileSync(leafFile, leafAt(index));
    writeFileSync(proofFile, proof);
    const said = await sumdb.says('check', key(log), leafFile, proofFile);
    expect(said).toBe(`${log.signer.name} ${log.size} ${index}\n`);
    // and that of no other entry
    writeFileSync(leafFile, leafAt(index + 1));
    expect((await sumdb.run('check', key(log), leafFile, proofFile)).code).toBe(1);
    // ours is its own, byte for byte but for the extra line
    expect(await sumdb.says('prove', key(log), log.directory, `${index}`)).toBe(
      proof.toString().replace(/^extra .*\n/m, ''),
    );
  });
});

test('our log as a depot keeps it is read at each size that it is pushed to', async () => {
  const tree = await DirectoryTree.make(sumdb.path('depot'));
  let from = 0;
  for (const size of [1, 255, 256, 257, 512, 700]) {
    await extendLog(tree, trust, whole.push(from, size));
    const root = whole.tree.root(size).toString('base64');
    const said = await sumdb.says('read', trust.key.text, sumdb.path('depot', 'log'));
    expect(said).toBe(`${trust.origin} ${size} ${root}\n`);
    from = size;
  }
});

describe('a byte of our log that is another', () => {
  let log: MadeLog;
  beforeAll(() => {
    log = new MadeLog(sumdb.path('small'));
    log.add(range(0, 300));
  });

  // A place: behind a text that stands there, or so many bytes from the end.
  test.each<[string, string | number, RegExp]>([
    ['checkpoint', '00000000\n', /invalid signature/],
    ['checkpoint', 20, /invalid signature|malformed note/],
    ['tile/0/000', 100, /inconsistent tile|entry 252 is not what/],
    ['tile/0/001.p/44', 1, /inconsistent tile/],
    ['tile/1/000.p/1', 32, /inconsistent tile/],
    ['tile/entries/000', 'entry 7', /entry 7 is not what was signed/],
    ['tile/entries/001.p/44', 1, /entry 299 is not what was signed/],
    ['tile/entries/001.p/44', 'entry 299\n'.length + 1, /tile\/entries\/001.p\/44 /],
  ])('in %s, at %j: %s', async (path, place, message) => {
    const directory = sumdb.path('tampered');
    cpSync(log.directory, directory, { recursive: true });
    const file = `${directory}/${path}`;
    const bytes = readFileSync(file);
    const at = typeof place === 'number' ? bytes.length - place : bytes.indexOf(place) + place.length;
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    writeFileSync(file, bytes);
    const said = await sumdb.run('read', key(log), directory);
    rmSync(directory, { recursive: true });
    expect(said).toMatchObject({ code: 1, stdout: '' });
    expect(said.stderr).toMatch(message);
  });
});

describe('its log, in a directory', () => {
  const directory = (): string => sumdb.path('theirs');
  let believed: LogTrust;
  let pair: { signer: string; verifier: string };
  beforeAll(async () => {
    pair = await sumdb.key('sum.example.org/log');
    const verifier = parseVerifierKey(pair.verifier);
    believed = unwitnessed({ origin: verifier.name, key: verifier });
    writeFileSync(sumdb.path('theirs.key'), pair.signer);
  });

  test('is read whole by ours, as it grows, its proofs are ours', async () => {
    for (const size of [1, 256, 700]) {
      await sumdb.says('write', sumdb.path('theirs.key'), directory(), `${size}`);
      const { reader, head } = await open(directory(), believed);
      expect(head.checkpoint).toMatchObject({ size, origin: 'sum.example.org/log' });
      const leaves: Buffer[] = [];
      for await (const { leaf } of reader.entries(head, 0)) leaves.push(leaf);
      expect(Buffer.concat(leaves).equals(Buffer.concat(range(0, size)))).toBe(true);
      const proof = parseProof(
        Buffer.from(await sumdb.says('prove', pair.verifier, directory(), `${size - 1}`)),
      );
      expect(verifyProof(proof, leafAt(size - 1), believed).checkpoint).toEqual(head.checkpoint);
      expect(await reader.inclusionProof(head, size - 1)).toEqual(proof.hashes);
    }
    const { reader, head } = await open(directory(), believed);
    for (const size of [1, 256])
      expect((await reader.rootAt(head, size)).toString('base64')).toBe(rootOf(size));
  });

  test('its private key signs in our hands, ours in its', async () => {
    const ours = parseSignerKey(pair.signer);
    expect(ours.verifier.text).toBe(pair.verifier);
    const log = new MadeLog(sumdb.path('signed'), ours);
    log.add(range(0, 3));
    expect(await sumdb.says('read', pair.verifier, log.directory)).toContain(' 3 ');

    const { signer, verifier } = generateNoteKey('countersign/widget/01234567');
    writeFileSync(sumdb.path('ours.key'), signer);
    await sumdb.says('write', sumdb.path('ours.key'), sumdb.path('written'), '3');
    const verifierKey = parseVerifierKey(verifier);
    const { head } = await open(
      sumdb.path('written'),
      unwitnessed({ origin: verifierKey.name, key: verifierKey }),
    );
    expect(head.checkpoint).toMatchObject({ size: 3, origin: 'countersign/widget/01234567' });
  });
});

test('our witness cosigns what its proofs show, and it believes the cosignature', async () => {
  const { signer, verifier } = await sumdb.key('sum.example.org/witnessed');
  const [keyFile, directory] = [sumdb.path('witnessed.key'), sumdb.path('witnessed')];
  writeFileSync(keyFile, signer);
  const witness = await started([
    ...['--state', sumdb.path('witness'), '--name', 'witness.example.org/w1', '--log', verifier],
  ]);
  try {
    await sumdb.says('write', keyFile, directory, '5');
    const first = readFileSync(`${directory}/checkpoint`, 'utf8');
    expect((await add(witness.url, `old 0\n\n${first}`)).status).toBe(200);
    writeFileSync(sumdb.path('first.note'), first);
    await sumdb.says('write', keyFile, directory, '300');
    const answer = await add(
      witness.url,
      await sumdb.says('grown', verifier, directory, sumdb.path('first.note')),
    );
    expect(answer.status).toBe(200);

    const note = readFileSync(`${directory}/checkpoint`, 'utf8') + answer.body.toString();
    writeFileSync(sumdb.path('cosigned.note'), note);
    const [cosignature] = cosignaturesOf(note, [witness.key]);
    expect(await sumdb.says('cosigned', verifier, sumdb.path('cosigned.note'), witness.key.text)).toBe(
      `witness.example.org/w1 ${cosignature?.time}\n`,
    );
    // the time is signed too: its last byte stands in front of the signature
    const lines = answer.body.toString().trim().split(' ');
    const bytes = Buffer.from(lines[2] ?? '', 'base64');
    bytes.writeUInt8(bytes.readUInt8(11) ^ 1, 11);
    lines[2] = bytes.toString('base64');
    writeFileSync(sumdb.path('cosigned.note'), `${first}${lines.join(' ')}\n`);
    const said = await sumdb.run('cosigned', verifier, sumdb.path('cosigned.note'), witness.key.text);
    expect(said).toMatchObject({ code: 1, stderr: expect.stringContaining('invalid signature') });
  } finally {
    await witness.stop();
  }
});
