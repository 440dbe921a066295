/** Checkpoints: the text of the note that says how large the log is, and its root (C2SP tlog-checkpoint). */
import { refused } from '../failure.ts';
import { decodeBase64 } from '../records/base64.ts';
import { sha256Hex } from '../records/sha256.ts';
import { openNote } from './note.ts';
import type { VerifierKey } from './note.ts';

export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  /** 32 bytes. */
  readonly root: Buffer;
  /** Lines that other logs add; ours never, for no monitor could check them. */
  readonly extensions: readonly string[];
}

/** Whose checkpoints are believed. */
export interface LogKey {
  readonly origin: string;
  readonly key: VerifierKey;
}

/** Where a witness shows what it cosigned last of a log, below its URL (C2SP tlog-witness, "Monitor Retrieval"). */
export const witnessedPath = (origin: string): string => `${sha256Hex(origin)}/checkpoint`;

/** The note text of a checkpoint without extensions: origin, size, root, a line each. */
export const formatCheckpoint = ({ origin, size, root }: Omit<Checkpoint, 'extensions'>): string =>
  `${origin}\n${size}\n${root.toString('base64')}\n`;

/** A number as a log writes it: decimal, no leading zeros, below 2^53; null for anything else. */
export function parseDecimal(text: string): number | null {
  const number = /^(?:0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : NaN;
  return Number.isSafeInteger(number) ? number : null;
}

/** Reads the note text of a checkpoint. Throws refused(`checkpoint-malformed`). */
export function parseCheckpoint(text: string): Checkpoint {
  const lines = text.split('\n');
  const [origin = '', sizeLine = '', rootLine = ''] = lines;
  const extensions = lines.slice(3, -1);
  const size = parseDecimal(sizeLine);
  const root = decodeBase64(rootLine);
  const whole = lines.length > 3 && lines.at(-1) === '' && extensions.every((line) => line !== '');
  if (!whole || origin === '' || size === null || root?.length !== 32)
    throw refused('checkpoint-malformed', 'not a checkpoint: origin, size, root, a line each');
  return { origin, size, root, extensions };
}

/**
 * A checkpoint of one of our logs: signed by its key, of its origin, without extension lines.
 * Throws refused(`checkpoint-invalid`) with its cause.
 */
export function openCheckpoint(note: Uint8Array | string, { origin, key }: LogKey): Checkpoint {
  let checkpoint: Checkpoint;
  try {
    checkpoint = parseCheckpoint(openNote(note, key));
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : 'malformed', error);
  }
  if (checkpoint.origin !== origin) throw invalid(`from the log ${checkpoint.origin}, not ${origin}`);
  if (checkpoint.extensions.length > 0) throw invalid('it has extension lines, which our logs never write');
  return checkpoint;
}

const invalid = (problem: string, cause?: unknown) =>
  refused('checkpoint-invalid', `checkpoint: ${problem}`, '', cause);
