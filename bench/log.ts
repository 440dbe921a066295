/**
 * What the log costs (docs/performance.md): appends with an fsync each and grouped, bytes an entry, whole verification
 * up to a million entries, the size of a proof. `npm run bench -- log`.
 */
import {
  closeSync,
  fdatasyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyLog } from '../src/audit/verify.ts';
import { Journal } from '../src/signer/journal.ts';
import { encodeLogEntry } from '../src/records/log-entry.ts';
import { MerkleTree, leafHash } from '../src/tlog/merkle.ts';
import { generateNoteKey, parseSignerKey, signNote } from '../src/tlog/note.ts';
import { formatCheckpoint } from '../src/tlog/checkpoint.ts';
import { formatProof } from '../src/tlog/proof.ts';
import { openLog } from '../src/tree/log/reader.ts';
import { MadeLog, entries, leaves } from '../test/harness/made-log.ts';

const directory = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const ROUNDS = 5;

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

async function seconds(act: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await act();
  return (performance.now() - start) / 1000;
}

const round = (value: number): string => value.toPrecision(3);
function row(...cells: (string | number)[]): void {
  writeSync(1, `| ${cells.join(' | ')} |\n`);
}

/** Entries a second that a signer's journal takes. */
async function appends(): Promise<void> {
  const key = parseSignerKey(generateNoteKey('countersign/bench/00000000').signer);
  let made = 0;
  const fresh = async (): Promise<Journal> =>
    Journal.open(join(directory, `journal-${(made += 1)}`), key, null);
  const rate = async (count: number, group: number): Promise<number> => {
    const all = [...entries(count)];
    const encoded = all.map(encodeLogEntry);
    const rates: number[] = [];
    for (let each = 0; each < ROUNDS; each++) {
      const journal = await fresh();
      const took = await seconds(async () => {
        if (group === 1) for (const entry of all) await journal.append(entry);
        else for (let at = 0; at < count; at += group) await journal.adopt(encoded.slice(at, at + group));
      });
      await journal.close();
      rates.push(count / took);
    }
    return median(rates);
  };
  row('appends a second', '');
  row(
    'the floor: write and fdatasync of a line, nothing else',
    Math.round(floor([...leaves(entries(2_000))])),
  );
  row('an fsync each', Math.round(await rate(2_000, 1)));
  row('groups of 100, an fsync a group', Math.round(await rate(20_000, 100)));
}

/** Lines a second that the disk takes, one after the other. */
function floor(lines: readonly Buffer[]): number {
  const rates = Array.from({ length: ROUNDS }, (_, each) => {
    const file = openSync(join(directory, `floor-${each}`), 'ax');
    const start = performance.now();
    for (const line of lines) {
      writeSync(file, line);
      fdatasyncSync(file);
    }
    closeSync(file);
    return (lines.length * 1000) / (performance.now() - start);
  });
  return median(rates);
}

function sizeOf(path: string): number {
  const status = statSync(path);
  if (!status.isDirectory()) return status.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}

/** Whole verification of logs in a directory, entries read and judged. */
async function verification(): Promise<void> {
  row('entries', 'seconds to verify', 'peak memory, MiB', 'bytes an entry', 'bytes an entry on disk');
  for (const size of [1_000, 10_000, 100_000, 1_000_000]) {
    const log = new MadeLog(join(directory, `log-${size}`));
    let bytes = 0;
    const counted = function* () {
      for (const leaf of leaves(entries(size))) {
        bytes += leaf.length;
        yield leaf;
      }
    };
    log.add(counted());
    const times: number[] = [];
    let peak = 0;
    for (let each = 0; each < (size > 100_000 ? 3 : ROUNDS); each++) {
      const sampling = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 20);
      const files = await openLog({ kind: 'directory', directory: log.directory });
      times.push(
        await seconds(async () => {
          const verdict = await verifyLog({
            files,
            trust: log.trust,
            ours: true,
            list: null,
            progress: () => {},
          });
          if (verdict.findings.listed.length > 0) throw new Error('a good log is found wrong');
        }),
      );
      files.close();
      clearInterval(sampling);
    }
    row(size, round(median(times)), Math.round(peak / 2 ** 20), Math.round(bytes / size), Math.round(sizeOf(log.directory) / size)); // prettier-ignore
    rmSync(log.directory, { recursive: true });
  }
}

/** A release.proof, without cosignatures; each witness adds a line of some 140 bytes. */
function proofs(): void {
  const signer = parseSignerKey(generateNoteKey('countersign/bench/00000000').signer);
  const tree = new MerkleTree();
  row('entries', 'bytes of a proof');
  for (const size of [1_000, 10_000, 100_000, 1_000_000]) {
    while (tree.size < size) tree.append(leafHash(Buffer.from(String(tree.size))));
    const checkpoint = signNote(formatCheckpoint({ origin: signer.name, size, root: tree.root() }), signer);
    row(size, formatProof({ extra: null, index: 3, hashes: tree.inclusionProof(3), checkpoint }).length);
  }
}

await appends();
await verification();
proofs();
