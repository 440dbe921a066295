/** What a log sends its witness: the body of add-checkpoint (C2SP tlog-witness). Pure. */
import { refused } from '../failure.ts';
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
  const end = whole.indexOf('\n\n');
  if (end === -1) throw malformed('no empty line before the checkpoint');
  const [first = '', ...lines] = whole.slice(0, end).split('\n');
  const oldSize = first.startsWith('old ') ? parseDecimal(first.slice('old '.length)) : null;
  if (oldSize === null) throw malformed('the first line is not `old` and a tree size below 2^53');
  if (lines.length > PROOF_MAX) throw malformed(`a proof of more than ${PROOF_MAX} hashes`);
  try {
    const note = whole.slice(end + 2);
    // no signature at all is none by a trusted key: a verdict (403), not bad grammar
    const unsigned = note.endsWith('\n\n');
    const { text, signatures } = unsigned ? { text: note.slice(0, -1), signatures: [] } : splitNote(note);
    return { oldSize, proof: lines.map(readHash), text, signatures, checkpoint: parseCheckpoint(text) };
  } catch (error) {
    throw malformed(error instanceof Error ? error.message : 'no checkpoint', error);
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
