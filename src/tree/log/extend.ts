/**
 * The log as a depot keeps it. Whatever ends a push early leaves tiles that the next one finds, or replaces; the
 * checkpoint is replaced when all that it needs is there. Protocol §4.
 */
import { Failure, unable } from '../../failure.ts';
import { judgeLog } from '../../policy/gate/log.ts';
import type { Checkpoint } from '../../tlog/checkpoint.ts';
import { mergeCosignatures } from '../../tlog/cosignature.ts';
import { edgeWidths } from '../../tlog/edge.ts';
import type { LogTrust } from '../../tlog/proof.ts';
import { TILE_WIDTH, bundlePath, tilePath, tileWidth } from '../../tlog/tile.ts';
import { DeniedFailure } from '../denied.ts';
import type { LogPush, LogStore, Written } from '../tree.ts';
import { depotLog } from './files.ts';
import { grow } from './grow.ts';
import { LogReader } from './reader.ts';
import type { Head } from './reader.ts';

const CHECKPOINT = 'log/checkpoint';

/**
 * Takes a push. Throws refused: `log-conflict` where it does not go on from what the tree has, `checkpoint-invalid`,
 * `note-invalid`, `log-malformed`; unable: `log-damaged` where the tree is not whole, `disk`, `locked`.
 */
export async function extendLog(tree: LogStore, trust: LogTrust, push: LogPush): Promise<Written> {
  // what brings nothing new, or is not taken, waits for nobody
  if ((await judge(tree, trust, push)) === null) return 'same';
  return tree.replacing(async (replace) => {
    // others may have been faster
    const news = await judge(tree, trust, push);
    if (news === null) return 'same';
    const { reader, head, checkpoint, note } = news;
    const size = head?.checkpoint.size ?? 0;
    if (head?.checkpoint.size !== checkpoint.size)
      await grow({ tree, replace, checkpoint, push, end: await ownFault(reader.end(head)) });
    await replace(CHECKPOINT, Buffer.from(note));
    await dropIncomplete(tree, size, checkpoint.size);
    return 'new';
  });
}

/** What a push would change; null for nothing. Throws as `extendLog`. */
async function judge(
  tree: LogStore,
  trust: LogTrust,
  push: LogPush,
): Promise<{ reader: LogReader; head: Head | null; checkpoint: Checkpoint; note: string } | null> {
  const reader = new LogReader(depotLog(tree), trust);
  const head = await ownFault(reader.head());
  const verdict = judgeLog({ trust, present: head?.checkpoint ?? null, ...push });
  if (!verdict.allow) throw new DeniedFailure(verdict);
  const { checkpoint } = verdict;
  const note = mergeCosignatures(
    head?.checkpoint.size === checkpoint.size ? [head.note, push.checkpoint] : [push.checkpoint],
    trust.key,
    trust.witnesses,
  );
  return note === head?.note ? null : { reader, head, checkpoint, note };
}

/** That what lies here is not whole is not the fault of whoever sends more of it. */
async function ownFault<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (!(error instanceof Failure) || error.kind === 'usage') throw error;
    const hint = 'move log/ away there: the signer sends all of it again';
    throw unable('log-damaged', `log/ of the depot is not whole: ${error.message}`, hint, error);
  }
}

/** What was incomplete when the log had `before` entries, and is complete with `size`. */
async function dropIncomplete(tree: LogStore, before: number, size: number): Promise<void> {
  for (const [level, width] of edgeWidths(before).entries()) {
    const index = Math.floor(before / TILE_WIDTH ** (level + 1));
    if (width === 0 || tileWidth(level, index, size) < TILE_WIDTH) continue;
    await tree.remove(`log/${tilePath(level, index)}.p`);
    if (level === 0) await tree.remove(`log/${bundlePath(index)}.p`);
  }
}
