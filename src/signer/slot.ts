/** What one builder of a build has to say: the statement that counts, logged as soon as it is seen, and all others (protocol §5 step 3). */
import { Failure } from '../failure.ts';
import { attempt } from '../policy/attempt.ts';
import { disagreementsOf } from '../policy/quorum.ts';
import type { Vote } from '../policy/quorum.ts';
import { authenticatorProblem, judgeStatement } from '../policy/statement-verdict.ts';
import { verifiedRecord } from '../policy/verified.ts';
import { timestamp, timestampDate } from '../records/names.ts';
import type { Sha256, Slot } from '../records/names.ts';
import { VARIANTS } from '../records/paths.ts';
import type { Reason } from '../records/refusal.ts';
import { sha256Hex } from '../records/sha256.ts';
import { parseStatement } from '../records/statement.ts';
import type { Approved } from './approval.ts';
import type { StopCode } from './result.ts';
import type { Round } from './signer.ts';
import {
  authenticatorOf,
  keepBeside,
  keepStatement,
  keptStatement,
  shownStatements,
  statementNames,
} from './statement.ts';
import type { Offered } from './statement.ts';

/** A statement that the log has, allowed by approval and policy. */
export interface SealedSlot extends Vote {
  readonly sha256: Sha256;
}

/** What is wrong with it may be the depot's doing. */
export interface Spoilt {
  readonly code: StopCode;
  readonly where: string;
  readonly text: string;
}

export interface Heard {
  readonly slot: Slot;
  /** The one that counts. */
  readonly sealed: SealedSlot | null;
  /** The builder's too, and not counted: a second one that differs, one that came late. Kept. */
  readonly others: readonly Vote[];
  /** Why the build ends, whatever other builders say. */
  readonly reasons: readonly Reason[];
  /** That its first statement came after the approval had ended. */
  readonly late: readonly Reason[];
  readonly spoilt: Spoilt | null;
  /** Why its nonce can't be opened now, of a slot that the log has no statement of: it may be anything that it says. */
  readonly locked: Failure | null;
  /** The depot's files that were looked at. */
  readonly files: readonly string[];
}

/** The statement that the log has for the slot; or the depot's, judged and logged now. What the depot shows besides is judged too. Throws unable, refused(`nonce-unusable`). */
export async function hearSlot(round: Round, approved: Approved, slot: Slot): Promise<Heard> {
  const { approval } = approved;
  const logged = round.state.journal.history.build(approval.build)?.statements.get(slot) ?? null;
  const files: string[] = [];
  let spoilt: Spoilt | null = null;
  const nothing = { slot, sealed: null, others: [], reasons: [], late: [], locked: null, files };
  const shown = shownStatements(round, approval, slot, VARIANTS);
  const kept = logged && (await keptStatement(round, approval, slot, logged.sha256));
  for await (const first of kept ? [kept] : shown) {
    files.push(first.file);
    // Seen once all of it is here: a depot that began to answer in time may dictate the end hours later.
    const now = round.now();
    const authenticator = await authenticatorOf(round, approval, first).catch((error: unknown) => {
      if (logged === null && isLocked(error)) return error;
      throw error;
    });
    if (authenticator === null) break;
    if (authenticator instanceof Failure) return { ...nothing, spoilt, locked: authenticator };

    // Authenticator, binding, time; names, counts and sizes. By when it was first seen.
    const verdict = judgeStatement({
      ...{ policy: round.project.policy, approval, approvalDigest: approved.sha256, slot, authenticator },
      bytes: first.bytes,
      firstSeen: logged ? timestampDate(logged.time) : now,
    });
    if (verdict.verdict === 'void') {
      // Nobody's word, which anybody with an upload token can lay there first: it hides nothing that is somebody's.
      spoilt ??= invalid(first, verdict.text);
      continue;
    }
    if (verdict.verdict === 'refuse') {
      const { reasons } = verdict;
      if (logged || reasons.some(({ code }) => code !== 'expired')) return { ...nothing, spoilt, reasons };
      await keepStatement(round, approval, first);
      const statement = verifiedRecord(parseStatement(first.bytes));
      return { ...nothing, spoilt, others: [{ slot, name: first.file, statement }], late: reasons };
    }
    const sealed = { slot, name: slot, statement: verdict.statement, sha256: sha256Hex(first.bytes) };
    if (logged === null) await logStatement(round, approved, first, now);
    const besides = await hearBesides(round, approved, sealed, first, shown, logged === null);
    const found = spoilt ?? besides.spoilt;
    return { ...nothing, sealed, ...besides, spoilt: found, files: [...files, ...besides.files] };
  }
  return { ...nothing, spoilt };
}

type Besides = Pick<Heard, 'others' | 'reasons' | 'spoilt' | 'files'>;

/** Further statements of the slot: with the same subjects ignored, with others a conflict (§2). */
async function hearBesides(
  round: Round,
  { approval }: Approved,
  { slot, statement }: SealedSlot,
  first: Offered,
  shown: AsyncGenerator<Offered, undefined>,
  isShown: boolean,
): Promise<Besides> {
  const others: Vote[] = [];
  const reasons: Reason[] = [];
  const files: string[] = [];
  let spoilt: Spoilt | null = null;
  let present = isShown;
  for await (const other of shown) {
    files.push(other.file);
    present ||= other.bytes.equals(first.bytes);
    if (other.bytes.equals(first.bytes)) continue;
    const authenticator = await authenticatorOf(round, approval, other);
    if (authenticator === null) continue;
    const problem = authenticatorProblem({ slot, authenticator, firstSeen: round.now() });
    const parsed = attempt(() => parseStatement(other.bytes));
    if (problem !== null) spoilt ??= invalid(other, problem);
    else if (parsed instanceof Failure)
      reasons.push({ code: 'conflict', where: other.file, text: `a second statement of builder ${slot}: ${parsed.message}` }); // prettier-ignore
    else if (disagreementsOf([statement.subjects, parsed.subjects]).length > 0)
      others.push({ slot, name: other.file, statement: verifiedRecord(parsed) });
    else continue;
    if (problem === null) await keepBeside(round, approval, other);
  }
  // What the log has is final: a depot that does not show it any more is reported, and not believed.
  const text = 'the depot does not show it as it was logged';
  if (!present) spoilt ??= { code: 'statement-missing', where: first.file, text };
  return { others, reasons, spoilt, files };
}

const isLocked = (error: unknown): error is Failure =>
  error instanceof Failure && error.code === 'nonce-locked';

const invalid = ({ file }: Offered, text: string): Spoilt => ({
  code: 'statement-invalid',
  where: file,
  text,
});

/** Its time in the log is when it was first seen; from now on it is final (§5.3). */
async function logStatement(
  round: Round,
  { approval }: Approved,
  offered: Offered,
  firstSeen: Date,
): Promise<void> {
  const { build, project, version } = approval;
  // Under the slot's own name, whichever of the depot's it has.
  const named = { ...offered, ...statementNames(approval, offered.slot) };
  const { file, bytes, authenticatorFile, authenticator } = named;
  await keepStatement(round, approval, named);
  await round.state.journal.append({
    type: 'statement',
    time: timestamp(firstSeen),
    ...{ build, project, version },
    records: { [file]: sha256Hex(bytes), [authenticatorFile]: sha256Hex(authenticator ?? Buffer.alloc(0)) },
    keys: [],
  });
}
