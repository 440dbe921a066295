/** A proof that an entry is in a log, for somebody who has no log (C2SP tlog-proof). */
import { refused, usage } from '../failure.ts';
import type { BuildId } from '../records/names.ts';
import { formatProof } from '../tlog/proof.ts';
import type { Head, LogReader } from '../tree/log/reader.ts';
import { readEntries } from './entries.ts';

/** The proof of the entry at `index`, its bytes in `extra`. Throws usage(`no-entry`), and as `LogReader.entries`. */
export async function proveEntry(reader: LogReader, head: Head, index: number): Promise<Buffer> {
  const { size } = head.checkpoint;
  if (index >= size) throw usage('no-entry', `there is no entry ${index}: the log has ${size}`);
  const hashes = await reader.inclusionProof(head, index);
  for await (const { leaf } of reader.entries(head, index, index + 1))
    return formatProof({ extra: leaf, index, hashes, checkpoint: head.note });
  throw new RangeError(`no entry ${index}`);
}

/** Where the log decided on the build: its release, or its refusal. Throws refused(`build-undecided`), and as `readEntries`. */
export async function decisionOf(reader: LogReader, head: Head, build: BuildId): Promise<number> {
  for await (const { index, entry } of readEntries(reader, head))
    if (entry.build === build && (entry.type === 'release' || entry.type === 'refusal')) return index;
  throw refused(
    'build-undecided',
    `the log has neither a release nor a refusal of build ${build}`,
    'countersign log show --build shows what it has',
  );
}
