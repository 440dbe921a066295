/**
 * The log as a depot keeps it. Whatever ends a push early leaves tiles that the next one finds, or writes again with the
 * same bytes; the checkpoint is replaced when all that it needs is there. Protocol §4.
 */
import { Failure, unable } from '../../failure.ts';
import { judgeLog } from '../../policy/gate/log.ts';
import { mergeCosignatures } from '../../tlog/cosignature.ts';
import { edgeWidths } from '../../tlog/edge.ts';
import type { LogTrust } from '../../tlog/proof.ts';
import { TILE_WIDTH, bundlePath, tilePath, tileWidth } from '../../tlog/tile.ts';
import { DeniedFailure } from '../denied.ts';
import type { LogPush, LogStore, Written } from '../tree.ts';
import { depotLog } from './files.ts';
import { grow } from './grow.ts';
import { LogReader } from './reader.ts';

const CHECKPOINT = 'log/checkpoint';
const ATTEMPTS = 5;

/**
 * Takes a push. Throws refused: `log-conflict` where it does not go on from what the tree has, `checkpoint-invalid`,
 * `note-invalid`, `log-malformed`; unable: `log-damaged` where the tree is not whole, `disk`. One at a time in a
 * process; among processes whoever loses is judged again.
 */
export async function extendLog(tree: LogStore, trust: LogTrust, push: LogPush): Promise<Written> {
  const reader = new LogReader(depotLog(tree), trust);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const head = await ownFault(reader.head());
    const verdict = judgeLog({ trust, present: head?.checkpoint ?? null, ...push });
    if (!verdict.allow) throw new DeniedFailure(verdict);
    const { checkpoint } = verdict;
    const size = head?.checkpoint.size ?? 0;
    const same = head?.checkpoint.size === checkpoint.size;
    const note = mergeCosignatures(
      same ? [head.note, push.checkpoint] : [push.checkpoint],
      trust.key,
      trust.witnesses,
    );
    if (note === head?.note) return 'same';
    if (!same) await grow({ tree, checkpoint, push, end: await ownFault(reader.end(head)) });
    if (!(await tree.replace(CHECKPOINT, head && Buffer.from(head.note), Buffer.from(note)))) continue;
    await dropIncomplete(tree, size, checkpoint.size);
    return 'new';
  }
  throw unable('busy', 'others write the log here at the same time', 'try again');
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
