/** The entries of a log, read after they were found to be what was signed. */
import { Failure, refused } from '../failure.ts';
import { parseLogEntry } from '../records/log-entry.ts';
import { scanLogEntry } from '../records/log-entry-scan.ts';
import type { LogEntry } from '../records/log-entry.ts';
import type { Head, LogReader } from '../tree/log/reader.ts';

export interface IndexedEntry {
  readonly index: number;
  readonly entry: LogEntry;
}

/** An entry's bytes, as it is one. Throws refused. */
export const readEntry = (leaf: Buffer): LogEntry => scanLogEntry(leaf) ?? parseLogEntry(leaf);

/** Every entry under the head. Throws refused: `log-damaged`, `entry-malformed`; and what reading throws. */
export async function* readEntries(
  reader: LogReader,
  head: Head,
): AsyncGenerator<IndexedEntry, void, undefined> {
  for await (const { index, leaf } of reader.entries(head, 0)) yield { index, entry: readAt(leaf, index) };
}

function readAt(leaf: Buffer, index: number): LogEntry {
  try {
    return readEntry(leaf);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw refused(
      'entry-malformed',
      `entry ${index}: ${error.message}`,
      'countersign log verify finds them all',
      error,
    );
  }
}
