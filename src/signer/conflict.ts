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
import { buildPath, manifestFile, statementFile, VARIANTS } from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import { parseStatement } from '../records/statement.ts';
import type { Round } from './signer.ts';
import { authenticatorOf, keepStatement, shownStatements } from './statement.ts';
import type { Offered } from './statement.ts';

/**
 * Looks for further statements of a build whose intent is logged, and logs, each once, those that name other
 * artifacts than its manifest. They are kept, and change nothing: it was decided what to sign. Those that agree, which
 * may be large, are read once a session. Returns whether there was one to log. Throws unable, refused(`nonce-unusable`).
 */
export async function logConflicts(round: Round, logged: BuildHistory): Promise<boolean> {
  const { state, session } = round;
  const { build, project, version, conflicts, statements } = logged;
  if (logged.approval === null) throw new RangeError('no approval is logged');
  const approval = await state.approval(build, logged.approval.sha256);
  const known = new Set([...conflicts.values()].map(({ sha256 }) => sha256));
  const before = known.size;
  for (const slot of slotsOf(approval)) {
    // What a logged one is replaced with is not looked at: so a depot that lies can't fill the log.
    const variants = VARIANTS.filter((variant) => {
      const file = statementFile(slot, variant);
      if (variant === 1 && statements.has(slot)) return false;
      return !conflicts.has(file) && !session.agreeing.has(buildPath(build, file));
    });
    for await (const other of shownStatements(round, approval, slot, variants)) {
      const sha256 = sha256Hex(other.bytes);
      if (known.has(sha256)) continue;
      const word = await wordOf(round, logged, approval, other);
      if (word === 'agrees') session.agreeing.add(buildPath(build, other.file));
      if (word !== 'differs') continue;
      known.add(sha256);
      await keepStatement(round, approval, other);
      const records = { [other.file]: sha256 };
      const time = timestamp(round.now());
      await state.journal.append({ type: 'conflict', time, build, project, version, records, keys: [] });
    }
  }
  return known.size > before;
}

/** Whether it is the slot's builder's, for this approval, and names the artifacts of the manifest. */
async function wordOf(
  round: Round,
  { build, intent }: BuildHistory,
  approval: Verified<Approval>,
  other: Offered,
): Promise<'nothing' | 'agrees' | 'differs'> {
  if (intent === null) throw new RangeError('no intent is logged');
  const { slot } = other;
  const authenticator = await authenticatorOf(round, approval, other);
  if (
    authenticator === null ||
    authenticatorProblem({ slot, authenticator, firstSeen: round.now() }) !== null
  )
    return 'nothing';
  const statement = attempt(() => parseStatement(other.bytes));
  if (statement instanceof Failure) return 'nothing';
  const manifest = parseManifest(await round.state.kept(build, manifestFile, intent.sha256));
  if (
    statement.build !== manifest.build ||
    statement.slot !== slot ||
    statement.approval !== manifest.approval
  )
    return 'nothing';
  return disagreementsOf([manifest.subjects, statement.subjects]).length > 0 ? 'differs' : 'agrees';
}

/** Says so, beside the build's result. */
export function reportConflicts(round: Round, build: BuildId): void {
  const text = conflictsText(round, build);
  if (text !== null) round.report({ kind: 'note', build, text });
}

/** What the log has of them, in a sentence; null if there are none. */
export function conflictsText({ state }: Round, build: BuildId): string | null {
  const files = [...(state.journal.history.build(build)?.conflicts.keys() ?? [])];
  if (files.length === 0) return null;
  const text = `after it was decided what to sign, a builder vouched for other artifacts (${files.join(', ')})`;
  return `${text}: logged as a conflict, and not signed`;
}
