/** What a log sends its witness: the body of add-checkpoint (C2SP tlog-witness). Pure. */
import { Failure, refused } from '../failure.ts';
import { decodeBase64 } from '../records/base64.ts';
import { parseCheckpoint, parseDecimal } from '../tlog/checkpoint.ts';
import type { Checkpoint } from '../tlog/checkpoint.ts';
import { HASH_BYTES } from '../tlog/merkle.ts';
import { splitNote } from '../tlog/note.ts';
import type { NoteSignature } from '../tlog/note.ts';

/** Nothing of it is verified. */
export interface Submission {
  /** The size of the tree that the log believes was cosigned last. */
  readonly oldSize: number;
  /** From there to the checkpoint. */
  readonly proof: readonly Buffer[];
  /** The note text: what is signed. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
  /** What the text says. */
  readonly checkpoint: Checkpoint;
}

/** No tree of fewer than 2^63 leaves has a longer proof. */
const PROOF_MAX = 63;

/** Reads a whole body. Throws refused(`submission-malformed`) with its cause. */
export function parseSubmission(body: Uint8Array): Submission {
  const whole = decodeUtf8(body);
  if (!whole.endsWith('\n') || /[\0-\x09\x0b-\x1f]/.test(whole))
    throw malformed('not lines of text without control characters');
  const header = whole.indexOf('\n\n');
  const note = whole.slice(header + 2);
  const end = note.lastIndexOf('\n\n');
  if (header === -1 || end === -1) throw malformed('no empty line before the checkpoint, or none behind it');
  const [first = '', ...lines] = whole.slice(0, header).split('\n');
  const oldSize = first.startsWith('old ') ? parseDecimal(first.slice('old '.length)) : null;
  if (oldSize === null) throw malformed('the first line is not `old` and a tree size below 2^53');
  if (lines.length > PROOF_MAX) throw malformed(`a proof of more than ${PROOF_MAX} hashes`);
  const text = note.slice(0, end + 1);
  return {
    oldSize,
    proof: lines.map(readHash),
    text,
    signatures: readSignatures(note),
    checkpoint: readCheckpoint(text),
  };
}

function readCheckpoint(text: string): Checkpoint {
  try {
    return parseCheckpoint(text);
  } catch (error) {
    throw malformed(error instanceof Error ? error.message : 'no checkpoint', error);
  }
}

/** Lines that cannot be read are no signature by a trusted key, and so a verdict (403), not bad grammar (400). */
function readSignatures(note: string): readonly NoteSignature[] {
  try {
    return splitNote(note).signatures;
  } catch (error) {
    if (error instanceof Failure && error.kind === 'refused') return [];
    throw error;
  }
}

function readHash(line: string): Buffer {
  const hash = decodeBase64(line);
  if (hash?.length !== HASH_BYTES) throw malformed('a line of the proof is not a hash in base64');
  return hash;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw malformed('not UTF-8', error);
  }
}

const malformed = (problem: string, cause?: unknown) =>
  refused('submission-malformed', `add-checkpoint: ${problem}`, '', cause);
