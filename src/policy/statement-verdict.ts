/**
 * Does this builder vouch for these bytes, and may it? The verdict on a statement (protocol §2 "statement",
 * §5 steps 3 and 4).
 *
 * The signature comes in as a verdict, so that the signer (gpgv) and the gate (in process) decide by one logic.
 */
import { Failure } from '../failure.ts';
import { CLOCK_TOLERANCE_SECONDS } from '../openpgp/verify.ts';
import type { SignatureVerdict } from '../openpgp/verify.ts';
import type { Approval, Source } from '../records/approval.ts';
import { timestampDate } from '../records/names.ts';
import type { Fingerprint, Sha256, Slot } from '../records/names.ts';
import { statementFile } from '../records/paths.ts';
import { hasWildcard, matcherOf } from '../records/pattern.ts';
import type { Reason, ReasonCode } from '../records/refusal.ts';
import { parseStatement } from '../records/statement.ts';
import type { Statement } from '../records/statement.ts';
import { attempt } from './attempt.ts';
import { effectiveLimits, isExpired } from './approval-policy.ts';
import { builderOf } from './builder-key.ts';
import type { ProjectPolicy } from './project.ts';
import { stateProblems } from './state-verdict.ts';
import { verifiedRecord } from './verified.ts';
import type { Verified } from './verified.ts';

/** Whether a statement is its builder's, as far as whoever asks can tell. */
export type Authenticator =
  /** Of the schemes with a key: the verdict on its signature under `key`, the slot's ephemeral key. */
  | { readonly kind: 'signature'; readonly verdict: SignatureVerdict; readonly key: Fingerprint }
  /** Of scheme `mac`, for who has the nonce. */
  | { readonly kind: 'mac'; readonly valid: boolean }
  /** Of scheme `mac`, for who has not: something else vouches for it, an upload token or the log. */
  | { readonly kind: 'unchecked' };

export interface StatementQuestion {
  readonly policy: ProjectPolicy;
  readonly approval: Verified<Approval>;
  /** SHA-256 of the approval's bytes. */
  readonly approvalDigest: Sha256;
  readonly slot: Slot;
  /** The statement, exactly as received. */
  readonly bytes: Buffer;
  readonly authenticator: Authenticator;
  /** When the statement was first seen: after a restart the time in the log, not the present. */
  readonly firstSeen: Date;
}

export type StatementVerdict =
  | { readonly verdict: 'accept'; readonly statement: Verified<Statement> }
  /** The builder signed what must not be signed: it ends the build and is logged. */
  | { readonly verdict: 'refuse'; readonly reasons: readonly Reason[] }
  /** Not this builder's word: the depot's doing for all we know, so nothing is logged (§1, rule 7). */
  | { readonly verdict: 'void'; readonly text: string };

/** The verdict, with all its reasons. */
export function judgeStatement(question: StatementQuestion): StatementVerdict {
  const { policy, approval, slot, firstSeen } = question;

  // 1. Authenticator, before anything is read: the slot's builder vouches for these bytes, and not after now.
  const unsigned = schemeProblem(question) ?? authenticatorProblem(question);
  if (unsigned !== null) return { verdict: 'void', text: unsigned };

  // 2. Bytes: canonical, closed, within the limits, with names that any file system takes.
  const read = attempt(() => parseStatement(question.bytes));
  if (read instanceof Failure) return { verdict: 'refuse', reasons: [malformed(slot, read.message)] };
  const statement = verifiedRecord(read);

  // 3. Binds this approval and slot. 4. In time. 5. Names, counts, sizes against approval and policy. 6. Hash states.
  const reasons = [
    ...bindingProblems(question, statement),
    ...timeProblems(question, firstSeen),
    ...nameProblems(policy, approval, statement),
    ...sizeProblems(policy, approval, slot, statement),
    ...stateProblems(approval.mode, statement.subjects),
  ];
  return reasons.length === 0 ? { verdict: 'accept', statement } : { verdict: 'refuse', reasons };
}

const malformed = (slot: Slot, text: string): Reason => ({
  code: 'statement-malformed',
  where: statementFile(slot),
  text,
});

/** A signature where the approval asks for a MAC says nothing, nor the other way round. */
function schemeProblem({ approval, slot, authenticator }: StatementQuestion): string | null {
  const { scheme } = builderOf(approval, slot);
  const isSigned = authenticator.kind === 'signature';
  return isSigned === (scheme !== 'mac') ? null : `builder ${slot} is of scheme ${scheme}`;
}

/**
 * Why the statement does not count as the builder's; null when it does. Its signature's own time may lie ten
 * minutes outside [`notBefore`, now], as the builder's clock is its own (§6); a MAC has none.
 */
export function authenticatorProblem({
  slot,
  authenticator,
  firstSeen,
}: Pick<StatementQuestion, 'slot' | 'authenticator' | 'firstSeen'>): string | null {
  switch (authenticator.kind) {
    case 'unchecked':
      return null;
    case 'mac':
      return authenticator.valid ? null : `its MAC is not made with the nonce of builder ${slot}`;
    case 'signature': {
      const { verdict, key } = authenticator;
      if (!verdict.ok) return verdict.reason;
      if (verdict.primary !== key)
        return `it is signed by ${verdict.primary}, not by the key of builder ${slot}`;
      return verdict.created > seconds(firstSeen) + CLOCK_TOLERANCE_SECONDS
        ? 'its signature is dated in the future'
        : null;
    }
  }
}

const seconds = (date: Date): number => Math.floor(date.getTime() / 1000);

function bindingProblems(question: StatementQuestion, statement: Statement): Reason[] {
  const { approval, approvalDigest, slot } = question;
  const reasons: Reason[] = [];
  const compare = (field: string, stated: string, expected: string): void => {
    if (stated === expected) return;
    const text = `its ${field} is ${stated}, the approval's is ${expected}`;
    reasons.push({ code: 'statement-binding', where: statementFile(slot), text });
  };
  compare('build', statement.build, approval.build);
  compare('slot', statement.slot, slot);
  compare('approval', statement.approval, approvalDigest);
  compare('source', sourceText(statement.source), sourceText(approval.source));
  return reasons;
}

const sourceText = (source: Source | null): string =>
  source === null ? 'not stated' : `${source.uri}@${source.digest.gitCommit}`;

function timeProblems({ approval, slot, authenticator }: StatementQuestion, firstSeen: Date): Reason[] {
  const reasons: Reason[] = [];
  const where = statementFile(slot);
  if (isExpired(approval, firstSeen))
    reasons.push({ code: 'expired', where, text: `it came after the approval ended at ${approval.expires}` });
  const earliest = seconds(timestampDate(approval.notBefore)) - CLOCK_TOLERANCE_SECONDS;
  const verdict = authenticator.kind === 'signature' ? authenticator.verdict : null;
  if (verdict?.ok === true && verdict.created < earliest)
    reasons.push({ code: 'statement-time', where, text: `it was signed before ${approval.notBefore}` });
  return reasons;
}

/** Each name matches a pattern of the approval and one of the policy; each pattern without wildcards is there. */
function nameProblems(policy: ProjectPolicy, approval: Approval, { subjects }: Statement): Reason[] {
  const reasons: Reason[] = [];
  const { patterns } = approval.artifacts;
  const [isApproved, isAllowed] = [matcherOf(patterns), matcherOf(policy.patterns)];
  for (const { name } of subjects) {
    if (!isApproved(name))
      reasons.push({ code: 'name-not-allowed', where: name, text: 'the approval has no pattern for it' });
    else if (!isAllowed(name))
      reasons.push({
        code: 'name-not-allowed',
        where: name,
        text: "the project's policy has no pattern for it",
      });
  }
  const names = new Set<string>(subjects.map((subject) => subject.name));
  for (const pattern of new Set(patterns))
    if (!hasWildcard(pattern) && !names.has(pattern))
      reasons.push({ code: 'pattern-missing', where: pattern, text: 'the approval asks for it' });
  return reasons;
}

/** More artifacts than the approval and the policy allow, or larger ones, or more bytes. */
export function sizeProblems(
  policy: ProjectPolicy,
  approval: Approval,
  slot: Slot,
  { subjects }: Pick<Statement, 'subjects'>,
): Reason[] {
  const reasons: Reason[] = [];
  const { maxCount, maxBytes, maxTotalBytes } = effectiveLimits(policy, approval);
  const reason = (code: ReasonCode, where: string, text: string): number =>
    reasons.push({ code, where, text });
  if (subjects.length > maxCount)
    reason('too-many', statementFile(slot), `${subjects.length} artifacts, ${maxCount} are allowed`);
  let total = 0;
  for (const { name, size } of subjects) {
    if (size > maxBytes) reason('too-large', name, `${size} bytes, ${maxBytes} are allowed`);
    total += size;
  }
  // Each size is below 2^53 and there are at most 100,000: the sum is rounded, never wrapped.
  if (total > maxTotalBytes)
    reason('total-too-large', statementFile(slot), `${total} bytes in all, ${maxTotalBytes} are allowed`);
  return reasons;
}
