/** Whether all of a log is what its key signed, and what it should be. */
import { unable } from '../failure.ts';
import type { Cosignature } from '../tlog/cosignature.ts';
import type { LogTrust } from '../tlog/proof.ts';
import type { Timestamp } from '../records/names.ts';
import { LogReader } from '../tree/log/reader.ts';
import type { Head, LogFiles } from '../tree/log/reader.ts';
import { blame } from './blame.ts';
import { Content } from './content.ts';
import { Findings } from './finding.ts';
import { lookAtLeftovers } from './leftovers.ts';
import type { Leftovers, List } from './leftovers.ts';
import { scanLog } from './scan.ts';

export interface LogVerdict {
  readonly head: Head;
  readonly findings: Findings;
  /** How many entries there are of each type; null for a log whose entries are not ours to read. */
  readonly counts: ReadonlyMap<string, number> | null;
  /** When the newest entry was logged, likewise; null also if there is none. */
  readonly newest: Timestamp | null;
  /** Files that the checkpoint does not need; null where they cannot be listed. */
  readonly leftovers: Leftovers | null;
}

export interface LogQuestion {
  readonly files: LogFiles;
  readonly trust: LogTrust;
  /** Whether the entries are those of a project's signer; another's are bytes to us. */
  readonly ours: boolean;
  /** Null behind HTTP. */
  readonly list: List | null;
  readonly progress: (entries: number, of: number) => void;
}

/**
 * Verifies the whole log: head, entries, tiles, and that its entries may come in this order.
 * Throws refused(`checkpoint-invalid` | `note-invalid`), unable: `no-log`, and what reading throws.
 */
export async function verifyLog({ files, trust, ours, list, progress }: LogQuestion): Promise<LogVerdict> {
  // 1. The checkpoint is signed by the log, and by as many witnesses as are asked for.
  const head = await requireHead(new LogReader(files, trust));
  const { checkpoint, cosignatures } = head;
  const findings = new Findings();
  if (cosignatures.length < trust.quorum)
    findings.add('witnesses-missing', [null, null], 'checkpoint', witnessesMissing(cosignatures, trust));
  // 2. Every entry is read; every tile over them is what it must be, up to the root.
  const content = new Content();
  const faults = new Findings();
  const scan = await scanLog(files, checkpoint.size, findings, (index, leaf) => {
    if (ours) content.take(leaf, index, faults);
    if (index % 4096 === 0) progress(index, checkpoint.size);
  });
  const truths = blame(scan, checkpoint, findings);
  // 3. What lies beside is a beginning of it.
  const leftovers = list && (await lookAtLeftovers({ files, list, size: checkpoint.size, truths }, findings));
  // 4. Every entry is one, and comes where it may. Of entries that are not what was signed nothing follows.
  const whole = findings.listed.every(({ code }) => code === 'witnesses-missing');
  if (whole) findings.take(faults);
  return { head, findings, counts: ours ? content.counts : null, newest: content.newest, leftovers };
}

/** The head of a log that must be there. Throws unable(`no-log`), and as `LogReader.head`. */
export async function requireHead(reader: LogReader): Promise<Head> {
  const head = await reader.head();
  if (head === null)
    throw unable(
      'no-log',
      'there is no log',
      'is it the address of a depot, or of a log? nothing is there before the first build',
    );
  return head;
}

export const witnessesMissing = (
  cosignatures: readonly Cosignature[],
  { witnesses, quorum }: LogTrust,
): string =>
  `the checkpoint is cosigned by ${cosignatures.length} of ${witnesses.length} witnesses, ${quorum} are asked for`;
