/**
 * Whether a push of the log is taken (protocol §4): under the log key, and nothing that the tree has may be taken back.
 * The entries are the signer's business: whoever keeps a mirror only sees that they have the root that was signed.
 */
import { openCheckpoint } from '../../tlog/checkpoint.ts';
import type { Checkpoint } from '../../tlog/checkpoint.ts';
import { cosignaturesOf } from '../../tlog/cosignature.ts';
import type { LogTrust } from '../../tlog/proof.ts';
import { Failure } from '../../failure.ts';
import { attempt } from '../attempt.ts';
import { denied, deniedBy } from './verdict.ts';
import type { Denied } from './verdict.ts';

export interface LogWrite {
  readonly trust: LogTrust;
  /** What the tree has; null where there is no log yet. */
  readonly present: Checkpoint | null;
  /** The signed note, cosigned or not. */
  readonly checkpoint: Buffer;
  /** The index of the first entry that comes with it. */
  readonly from: number;
}

/** It goes on from what is there, if the entries that come have the root that it says. */
export interface LogTaken {
  readonly allow: true;
  readonly checkpoint: Checkpoint;
}

/** Judges all but the entries: 403 for what the log key has not signed, 409 for what does not go on from what is there. */
export function judgeLog({ trust, present, checkpoint: note, from }: LogWrite): LogTaken | Denied {
  // 1. Signed by the log key; no cosignature of a witness that is known is false.
  const checkpoint = attempt(() => openCheckpoint(note, trust));
  if (checkpoint instanceof Failure) return deniedBy(checkpoint, 403);
  const cosignatures = attempt(() => cosignaturesOf(note, trust.witnesses));
  if (cosignatures instanceof Failure) return deniedBy(cosignatures, 403);
  // 2. No smaller than what is there; of the same size it is the same.
  const { size, root } = checkpoint;
  if (present !== null && size < present.size)
    return logConflict(`the log here has ${present.size} entries already, the checkpoint only ${size}`);
  if (present?.size === size && !present.root.equals(root))
    return logConflict(
      `the log here has ${present.size} entries, other ones than the ${size} of the checkpoint`,
    );
  // 3. The entries begin no later than what is there ends.
  const has = present?.size ?? 0;
  if (!Number.isSafeInteger(from) || from < 0 || from > size)
    return logMalformed(`entries from ${from} on, of a checkpoint of ${size}`);
  if (from > has)
    return logConflict(
      `the log here has ${has} entries, those of the checkpoint of ${size} begin with ${from}`,
    );
  return { allow: true, checkpoint };
}

/** What comes does not go on from what is there. */
export const logConflict = (problem: string): Denied =>
  denied(
    409,
    'log-conflict',
    problem,
    'the log of a signer never goes back: has an older copy of it been at work?',
  );

/** What comes is no continuation of any log. */
export const logMalformed = (problem: string): Denied => denied(422, 'log-malformed', problem);
