/** Checkpoints: the text of the note that says how large the log is, and its root (C2SP tlog-checkpoint). */
import { refused } from '../failure.ts';
import { decodeBase64 } from '../records/base64.ts';

export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  /** 32 bytes. */
  readonly root: Buffer;
}

/** The note text of a checkpoint: origin, size, root, a line each. */
export const formatCheckpoint = ({ origin, size, root }: Checkpoint): string =>
  `${origin}\n${size}\n${root.toString('base64')}\n`;

/** A number as a log writes it: decimal, no leading zeros, below 2^53; null for anything else. */
export function parseDecimal(text: string): number | null {
  const number = /^(?:0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : NaN;
  return Number.isSafeInteger(number) ? number : null;
}

/**
 * Reads the note text of a checkpoint. Throws refused(`checkpoint-malformed`), also for the optional
 * extension lines: our logs write none, and no monitor could check them.
 */
export function parseCheckpoint(text: string): Checkpoint {
  const lines = text.split('\n');
  const [origin = '', sizeLine = '', rootLine = '', rest] = lines;
  const size = parseDecimal(sizeLine);
  const root = decodeBase64(rootLine);
  if (lines.length !== 4 || rest !== '' || origin === '' || size === null || root?.length !== 32)
    throw refused('checkpoint-malformed', 'not a checkpoint of three lines: origin, size, root');
  return { origin, size, root };
}
