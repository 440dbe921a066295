/**
 * What the log costs (docs/performance.md): appends with an fsync each and grouped, bytes an entry, whole verification
 * up to a million entries, the size of a proof.
 */
import { closeSync, fdatasyncSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
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
import { alternate } from './measure.ts';
import type { Bench } from './section.ts';
import { say } from './section.ts';

/** `log` */
export async function log(bench: Bench): Promise<void> {
  // these first: their memory is that of this process
  for (const size of bench.sizes.logs) {
    say(`log: ${size} entries`);
    await verification(bench, size);
    proof(bench, size);
  }
  say('log: appends');
  await appends(bench);
}

async function seconds(act: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await act();
  return (performance.now() - start) / 1000;
}

/** Entries a second that a signer's journal takes. */
async function appends({ directory, notebook, rounds }: Bench): Promise<void> {
  const key = parseSignerKey(generateNoteKey('countersign/bench/00000000').signer);
  let made = 0;
  const fresh = async (): Promise<Journal> =>
    Journal.open(join(directory, `journal-${(made += 1)}`), key, null);
  const rate = async (name: string, count: number, group: number): Promise<void> => {
    const all = [...entries(count)];
    const encoded = all.map(encodeLogEntry);
    const journal = await fresh();
    const took = await seconds(async () => {
      if (group === 1) for (const entry of all) await journal.append(entry);
      else for (let at = 0; at < count; at += group) await journal.adopt(encoded.slice(at, at + group));
    });
    await journal.close();
    notebook.note(name, '/s', count / took);
  };
  const lines = [...leaves(entries(2_000))];
  await alternate(rounds(5), [
    async () =>
      notebook.note('log.append.floor', '/s', floor(join(directory, `floor-${(made += 1)}`), lines)),
    () => rate('log.append.each', 2_000, 1),
    () => rate('log.append.groups', 20_000, 100),
  ]);
}

/** Lines a second that the disk takes, one after the other. */
function floor(path: string, lines: readonly Buffer[]): number {
  const file = openSync(path, 'ax');
  const start = performance.now();
  for (const line of lines) {
    writeSync(file, line);
    fdatasyncSync(file);
  }
  closeSync(file);
  return (lines.length * 1000) / (performance.now() - start);
}

function sizeOf(path: string): number {
  const status = statSync(path);
  if (!status.isDirectory()) return status.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}

/** Whole verification of a log in a directory, entries read and judged. */
async function verification({ directory, notebook, rounds }: Bench, size: number): Promise<void> {
  const log = new MadeLog(join(directory, `log-${size}`));
  let bytes = 0;
  const counted = function* () {
    for (const leaf of leaves(entries(size))) {
      bytes += leaf.length;
      yield leaf;
    }
  };
  log.add(counted());
  let peak = 0;
  for (let each = 0; each < rounds(size > 100_000 ? 3 : 5); each++) {
    const sampling = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 20);
    const files = await openLog({ kind: 'directory', directory: log.directory });
    const took = await seconds(async () => {
      const verdict = await verifyLog({
        files,
        trust: log.trust,
        ours: true,
        list: null,
        progress: () => {},
      });
      if (verdict.findings.listed.length > 0) throw new Error('a good log is found wrong');
    });
    notebook.note(`log.verify.${size}`, 's', took);
    files.close();
    clearInterval(sampling);
  }
  notebook.note(`log.verify.${size} memory`, 'MiB', peak / 2 ** 20);
  if (size === 100_000) {
    notebook.note('log.entry', 'B', bytes / size);
    notebook.note('log.entry on disk', 'B', sizeOf(log.directory) / size);
  }
  rmSync(log.directory, { recursive: true });
}

/** A release.proof, without cosignatures; each witness adds a line of some 140 bytes. */
function proof({ notebook }: Bench, size: number): void {
  const signer = parseSignerKey(generateNoteKey('countersign/bench/00000000').signer);
  const tree = new MerkleTree();
  while (tree.size < size) tree.append(leafHash(Buffer.from(String(tree.size))));
  const checkpoint = signNote(formatCheckpoint({ origin: signer.name, size, root: tree.root() }), signer);
  const text = formatProof({ extra: null, index: 3, hashes: tree.inclusionProof(3), checkpoint });
  notebook.note(`log.proof.${size}`, 'B', text.length);
}
