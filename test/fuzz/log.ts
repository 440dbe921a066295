/** Notes, checkpoints, proofs, and the signer's files of lines. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LineFile } from '../../src/host/line-file.ts';
import { encodeLogEntry, heartbeat } from '../../src/records/log-entry.ts';
import { toProjectName, toTimestamp } from '../../src/records/names.ts';
import { Journal } from '../../src/signer/journal.ts';
import { formatCheckpoint, parseCheckpoint } from '../../src/tlog/checkpoint.ts';
import { openNote, parseSignerKey, parseVerifierKey } from '../../src/tlog/note.ts';
import { formatProof, parseProof, unwitnessed, verifyProof } from '../../src/tlog/proof.ts';
import type { Target } from './fuzz.ts';
import { holds, same, seed } from './oracle.ts';

const logKey = parseSignerKey(seed('log-key').toString());
const { verifier } = logKey;
const note = seed('checkpoint');
/** A line that may stand anywhere in a journal. */
const beat = Buffer.concat([
  encodeLogEntry(heartbeat(toProjectName('hello', 'fuzz'), toTimestamp('2026-11-22T12:00:00Z', 'fuzz'))),
  Buffer.from('\n'),
]);
const NOTE_WORDS = [
  '\n\n',
  '\n',
  '— ',
  ' ',
  '\n— example.org/other ',
  '5',
  '05',
  '+',
  'extra ',
  'index ',
  '=',
];

/** A file of these bytes, in a directory of its own. */
async function withFile<T>(bytes: Buffer, use: (path: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'cs-fuzz-'));
  try {
    await writeFile(join(directory, 'lines'), bytes);
    return await use(join(directory, 'lines'));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** The file of lines as its last line feed ends it. */
const whole = (bytes: Buffer): Buffer => bytes.subarray(0, bytes.lastIndexOf(0x0a) + 1);

async function readLines(path: string): Promise<void> {
  const before = await readFile(path);
  const { file, lines } = await LineFile.open(path);
  try {
    same(Buffer.concat(lines.map((line) => Buffer.concat([line, Buffer.of(0x0a)]))), whole(before));
    for (const [index, line] of lines.entries()) same(await file.line(index), line);
    await file.write(Buffer.from('one more'));
  } finally {
    await file.close();
  }
  same(await readFile(path), Buffer.concat([whole(before), Buffer.from('one more\n')]));
}

export const logTargets: readonly Target[] = [
  {
    name: 'log-key',
    seeds: [seed('log-key.verifier'), seed('log-key')],
    words: ['+', '=', 'PRIVATE+KEY+', ' ', '\u00a0', '\n'],
    read: (input) => {
      const text = input.toString();
      if (text.startsWith('PRIVATE+KEY+')) parseSignerKey(text);
      else same(parseVerifierKey(text).text, text);
    },
  },
  {
    name: 'note',
    seeds: [note],
    words: NOTE_WORDS,
    read: (input) => same(openNote(input, verifier), openNote(note, verifier), 'a note that nobody signed'),
  },
  {
    name: 'checkpoint',
    seeds: [Buffer.from(openNote(note, verifier))],
    words: NOTE_WORDS,
    read: (input) => {
      const checkpoint = parseCheckpoint(input.toString());
      const extensions = checkpoint.extensions.map((line) => `${line}\n`).join('');
      same(formatCheckpoint(checkpoint) + extensions, input.toString());
    },
  },
  {
    name: 'proof',
    seeds: [seed('release.proof'), seed('refusal.proof')],
    words: NOTE_WORDS,
    read: (input) => {
      const proof = parseProof(input);
      same(formatProof(proof), input);
      const [first = '', second = ''] = seed('journal').toString().split('\n');
      const made = [seed('release.proof'), seed('refusal.proof')].map(parseProof);
      const at = proof.index === 1 ? 1 : 0;
      verifyProof(
        proof,
        Buffer.from(at === 1 ? second : first),
        unwitnessed({ origin: verifier.name, key: verifier }),
      );
      holds(proof.index === at, 'the leaf is not there');
      same(Buffer.concat([...proof.hashes]), Buffer.concat([...(made[at]?.hashes ?? [])]), 'another way up');
    },
  },
  {
    name: 'lines',
    seeds: [seed('journal'), Buffer.from('a\n\nb\ntorn')],
    words: ['\n', '\n\n', '\r'],
    slow: true,
    read: (input) => withFile(input, readLines),
  },
  {
    name: 'journal',
    seeds: [seed('journal'), Buffer.concat([beat, seed('journal')])],
    words: [
      '\n',
      '"type":"release"',
      '"type":"intent"',
      '"type":"refusal"',
      '"type":"conflict"',
      beat.toString(),
      '{}',
      '":"',
    ],
    slow: true,
    read: (input) =>
      withFile(input, async (path) => {
        const journal = await Journal.open(path, logKey, null);
        holds(journal.size === whole(input).toString('latin1').split('\n').length - 1, 'entries were lost');
        await journal.close();
      }),
  },
];
