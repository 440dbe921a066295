/** The end of a build without a signature: logged, kept, and shown to the depot (protocol §2, refusal). */
import { Failure } from '../failure.ts';
import { bothVersions } from '../policy/again.ts';
import { elsewhereHint } from '../policy/approval-policy.ts';
import { loggedApproval } from '../policy/logged.ts';
import type { Approval } from '../records/approval.ts';
import { timestamp } from '../records/names.ts';
import type { BuildId, Sha256 } from '../records/names.ts';
import { approvalFile, buildPath, refusalFile, refusalProofFile } from '../records/paths.ts';
import { encodeRefusal, parseRefusal, refusalOf } from '../records/refusal.ts';
import type { Reason, Refusal } from '../records/refusal.ts';
import { sha256Hex } from '../records/sha256.ts';
import { readSmall } from './approvers.ts';
import { wayOn } from './holder.ts';
import { endsRound } from './lost.ts';
import { ownProof } from './proof.ts';
import { Stop } from './result.ts';
import type { Round } from './signer.ts';

/**
 * Refuses the build for good, for reasons that approvers or a builder signed (§1 rule 7). A depot that can't
 * be told now is told by a later run. Throws unable(`disk`).
 */
export async function refuse(
  round: Round,
  { approval, sha256 }: { readonly approval: Approval; readonly sha256: Sha256 },
  reasons: readonly Reason[],
): Promise<Stop> {
  const { build, project, version } = approval;
  const time = timestamp(round.now());
  const refusal = refusalOf({ build, approval: sha256, reasons, time });
  const bytes = encodeRefusal(refusal);
  await round.state.write(build, refusalFile, bytes);
  const records = { [refusalFile]: sha256Hex(bytes) };
  await round.state.journal.append({ type: 'refusal', time, build, project, version, records, keys: [] });
  const stop = describe('refused', refusal, await nextStep(round, approval, reasons));
  try {
    await settleRefusal(round, build);
  } catch (error) {
    if (!(error instanceof Failure) || endsRound(error)) throw error;
    round.report({ kind: 'note', build, text: `the depot could not be told yet: ${error.message}` });
  }
  return stop;
}

/**
 * A build that an earlier run refused: the depot is told if it wasn't yet. Null if the log has no refusal of it.
 * Throws unable, refused (what the depot says).
 */
export async function settleRefusal(round: Round, build: BuildId): Promise<Stop | null> {
  const history = round.state.journal.history.build(build);
  if (!history?.refusal) return null;
  const bytes = await round.state.kept(build, refusalFile, history.refusal.sha256);
  if (!(await round.state.isSettled(build))) {
    const proof = await ownProof(round, build, refusalProofFile, history.refusal);
    // An approval of another project, which only a depot that lies shows here: this one's has no place for it.
    if (history.project === round.project.name)
      await round.depot.submit(build, new Map([[refusalFile, bytes], [refusalProofFile, proof]])); // prettier-ignore
    await round.state.settle(build, round.now());
  }
  const refusal = parseRefusal(bytes);
  const approval = await refusedApproval(round, refusal);
  const hint = approval === null ? 'approve another one' : await nextStep(round, approval, refusal.reasons);
  return describe('decided', refusal, hint);
}

/** As approvers signed it: the log names it in the refusal, and has no other entry of one that was never accepted. Null where the depot has lost it. Throws unable. */
async function refusedApproval(round: Round, { build, approval: sha256 }: Refusal): Promise<Approval | null> {
  const bytes = await readSmall(round, buildPath(build, approvalFile));
  return bytes !== null && sha256Hex(bytes) === sha256 ? loggedApproval(bytes, sha256) : null;
}

/** What a person can do about it: another approval doesn't help against another project's depot. */
async function nextStep(round: Round, approval: Approval, reasons: readonly Reason[]): Promise<string> {
  return elsewhereHint(reasons) || `${bothVersions(approval.build, reasons)}${await wayOn(round, approval)}`;
}

function describe(outcome: 'refused' | 'decided', { reasons, more }: Refusal, hint: string): Stop {
  const [first] = reasons;
  if (first === undefined) throw new RangeError('a refusal has a reason');
  const { code, where, text: why } = first;
  const others = reasons.length - 1 + more;
  const text = `${where}: ${why}${others > 0 ? ` (and ${others} more)` : ''}`;
  return new Stop(outcome, code === 'conflict' ? 'frozen' : 'refused', code, text, hint);
}
