/** Dissent after the intent (protocol §2, quorum): a builder vouches for other artifacts than are signed. */
import { Failure } from '../failure.ts';
import { attempt } from '../policy/attempt.ts';
import { slotsOf } from '../policy/builder-key.ts';
import type { BuildHistory } from '../policy/history.ts';
import { disagreementsOf } from '../policy/quorum.ts';
import { authenticatorProblem } from '../policy/statement-verdict.ts';
import type { Verified } from '../policy/verified.ts';
import type { Approval } from '../records/approval.ts';
import { parseManifest } from '../records/manifest.ts';
import { timestamp } from '../records/names.ts';
import type { BuildId } from '../records/names.ts';
import { manifestFile, statementFile, VARIANTS } from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import { parseStatement } from '../records/statement.ts';
import type { Round } from './signer.ts';
import { authenticatorOf, keepStatement, shownStatements } from './statement.ts';
import type { Offered } from './statement.ts';

/**
 * Looks for further statements of a build whose intent is logged, and logs, each once, those that name other
 * artifacts than its manifest. They are kept, and change nothing: it was decided what to sign. Throws unable.
 */
export async function logConflicts(round: Round, logged: BuildHistory): Promise<void> {
  const { state } = round;
  const { build, project, version, conflicts, statements } = logged;
  if (logged.approval === null) throw new RangeError('no approval is logged');
  const approval = await state.approval(build, logged.approval.sha256);
  const known = new Set([...conflicts.values()].map(({ sha256 }) => sha256));
  for (const slot of slotsOf(approval)) {
    // What a logged one is replaced with is not looked at: so a depot that lies can't fill the log.
    const variants = VARIANTS.filter(
      (variant) => !(variant === 1 && statements.has(slot)) && !conflicts.has(statementFile(slot, variant)),
    );
    for await (const other of shownStatements(round, approval, slot, variants)) {
      const sha256 = sha256Hex(other.bytes);
      if (known.has(sha256) || !(await isDissent(round, logged, approval, other))) continue;
      known.add(sha256);
      await keepStatement(round, approval, other);
      const records = { [other.file]: sha256 };
      const time = timestamp(round.now());
      await state.journal.append({ type: 'conflict', time, build, project, version, records, keys: [] });
    }
  }
}

/** Whether it is the slot's builder's, for this approval, and names other artifacts. */
async function isDissent(
  round: Round,
  { build, intent }: BuildHistory,
  approval: Verified<Approval>,
  other: Offered,
): Promise<boolean> {
  if (intent === null) throw new RangeError('no intent is logged');
  const { slot } = other;
  const authenticator = await authenticatorOf(round, approval, other);
  if (
    authenticator === null ||
    authenticatorProblem({ slot, authenticator, firstSeen: round.now() }) !== null
  )
    return false;
  const statement = attempt(() => parseStatement(other.bytes));
  if (statement instanceof Failure) return false;
  const manifest = parseManifest(await round.state.kept(build, manifestFile, intent.sha256));
  return (
    statement.build === manifest.build &&
    statement.slot === slot &&
    statement.approval === manifest.approval &&
    disagreementsOf([manifest.subjects, statement.subjects]).length > 0
  );
}

/** Says so, beside the build's result. */
export function reportConflicts({ state, report }: Round, build: BuildId): void {
  const files = [...(state.journal.history.build(build)?.conflicts.keys() ?? [])];
  if (files.length === 0) return;
  const text = `after it was decided what to sign, a builder vouched for other artifacts (${files.join(', ')})`;
  report({ kind: 'note', build, text: `${text}: logged as a conflict, and not signed` });
}
