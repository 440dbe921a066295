/** The log on its way from one depot into another: before the builds, whose ends rest on it. */
import { Failure, refused } from '../../failure.ts';
import type { LogTrust } from '../../tlog/proof.ts';
import { LogReader, depotLog } from '../log/reader.ts';
import type { Head } from '../log/reader.ts';
import type { Depot } from '../tree.ts';
import type { SyncResult } from './passage.ts';

export interface LogResult extends Pick<SyncResult, 'state' | 'code' | 'text' | 'hint'> {
  /** How many entries the other depot has now, as far as it is known. */
  readonly size: number;
  /** How many of them were carried. */
  readonly entries: number;
}

/** One end, and how far its log has come. */
interface End {
  readonly reader: LogReader;
  readonly head: Head;
}

const ATTEMPTS = 3;

/**
 * Carries what the other depot lacks of the log; null where there is no log to carry. What is wrong with it is the
 * result: that two logs differ, that one is damaged, that it can't be read or written now. Throws usage, bugs of ours.
 */
export async function carryLog(from: Depot, to: Depot, trust: LogTrust): Promise<LogResult | null> {
  let size = 0;
  try {
    for (let attempt = 1; ; attempt++) {
      const sender = await endOf(from, trust);
      if (sender === null) return null;
      const receiver = await endOf(to, trust);
      size = receiver?.head.checkpoint.size ?? 0;
      if (receiver !== null) await requireSame(sender, receiver);
      try {
        return await send(sender, receiver, to);
      } catch (error) {
        // somebody else was faster
        if (!(error instanceof Failure) || error.code !== 'log-conflict' || attempt === ATTEMPTS) throw error;
      }
    }
  } catch (error) {
    if (!(error instanceof Failure) || error.kind === 'usage') throw error;
    const { kind, code, message: text, hint } = error;
    if ((kind === 'refused' && code === 'too-large') || code === 'log-too-long')
      return { ...tooLong, size, entries: 0 };
    return { state: kind === 'refused' ? 'refused' : 'unfinished', code, text, hint, size, entries: 0 };
  }
}

const tooLong: Pick<LogResult, 'state' | 'code' | 'text' | 'hint'> = {
  state: 'left',
  code: 'log-too-long',
  text: 'it is more than that depot takes of us at a time',
  hint: 'a depot behind a URL takes a long one from the signer alone: let it send its log, or use its --signer-token',
};

async function endOf(depot: Depot, trust: LogTrust): Promise<End | null> {
  const reader = new LogReader(depotLog(depot), trust);
  const head = await reader.head();
  return head && { reader, head };
}

/** Throws refused(`log-fork`) unless one of the two logs goes on from the other. */
async function requireSame(sender: End, receiver: End): Promise<void> {
  const [ours, theirs] = [sender.head.checkpoint, receiver.head.checkpoint];
  const [shorter, longer] = ours.size < theirs.size ? [ours, receiver] : [theirs, sender];
  if ((await longer.reader.rootAt(longer.head, shorter.size)).equals(shorter.root)) return;
  throw refused(
    'log-fork',
    `its ${ours.size} entries there and ${theirs.size} entries here are not one log, and one key has signed both`,
    'find out how: a signer that was restored or copied, or a stolen log key; keep both',
  );
}

async function send({ reader, head }: End, receiver: End | null, to: Depot): Promise<LogResult> {
  const { size } = head.checkpoint;
  const has = receiver?.head.checkpoint.size ?? 0;
  const result = { code: null, text: '', hint: '' };
  if (receiver !== null && (has > size || (has === size && !hasNews(head, receiver.head))))
    return { ...result, state: 'same', size: has, entries: 0 };
  const written = await to.pushLog({
    checkpoint: Buffer.from(head.note),
    from: has,
    entries: async function* () {
      for await (const { leaf } of reader.entries(head, has)) yield leaf;
    },
  });
  return { ...result, state: written === 'new' ? 'carried' : 'same', size, entries: size - has };
}

/** Whether a witness has cosigned what it had not there, or later. */
const hasNews = (head: Head, there: Head): boolean =>
  head.cosignatures.some(
    ({ key, time }) => !there.cosignatures.some((known) => known.key === key && known.time >= time),
  );
