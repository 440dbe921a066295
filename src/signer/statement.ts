/** Steps 3 and 4 of protocol §5: the statement that seals a build, and what it may name. */
import { Failure } from '../failure.ts';
import { isExpired } from '../policy/approval-policy.ts';
import { attempt } from '../policy/attempt.ts';
import { builderCertificate, slotsOf } from '../policy/builder-key.ts';
import { authenticatorProblem, judgeStatement } from '../policy/statement-verdict.ts';
import type { Authenticator } from '../policy/statement-verdict.ts';
import type { Verified } from '../policy/verified.ts';
import type { Approval } from '../records/approval.ts';
import { LARGE_RECORD_MAX, RECORD_MAX } from '../records/canonical.ts';
import { timestamp, timestampDate } from '../records/names.ts';
import type { BuildId, Sha256, Slot } from '../records/names.ts';
import { buildPath, statementFile, statementSignatureFile, VARIANTS } from '../records/paths.ts';
import type { Variant } from '../records/paths.ts';
import type { Reason } from '../records/refusal.ts';
import { sha256Hex } from '../records/sha256.ts';
import { parseStatement } from '../records/statement.ts';
import type { Statement, Subject } from '../records/statement.ts';
import type { Approved } from './approval.ts';
import { authenticate } from './authenticate.ts';
import { subjectDifferences } from './difference.ts';
import { refuse } from './refuse.ts';
import { Stop } from './result.ts';
import type { Round } from './signer.ts';
import { expired, spoilt } from './spoilt.ts';

/** A statement that the log has, allowed by approval and policy. */
export interface Sealed {
  readonly slot: Slot;
  readonly statement: Verified<Statement>;
  readonly sha256: Sha256;
}

/** A statement and its signature, as they were read. */
export interface Signed {
  readonly file: string;
  readonly signatureFile: string;
  readonly bytes: Buffer;
  readonly signature: Buffer | null;
}

/**
 * The statement that the log has for the build's one slot; or the depot's, judged and logged now. What the
 * depot shows besides is judged too. Throws unable.
 */
export async function sealingStatement(round: Round, approved: Approved): Promise<Sealed | Stop> {
  const { approval } = approved;
  const [slot] = slotsOf(approval);
  if (slot === undefined) throw new RangeError('an approval without builders');
  const logged = round.state.journal.history.build(approval.build)?.statements.get(slot) ?? null;
  const shown = shownStatements(round, approval.build, slot, VARIANTS);
  const first = logged ? await keptStatement(round, approval.build, slot, logged.sha256) : await next(shown);
  // Seen once all of it is here: a depot that began to answer in time may dictate the end hours later.
  const now = round.now();
  if (first === null)
    return isExpired(approval, now)
      ? expired(round, approval)
      : new Stop('waiting', 'approved', 'statement-waits', `it waits for the statement of ${slot}`);

  // Step 3, authenticator, binding and time; step 4, names, counts and sizes. By when it was first seen.
  const verdict = judgeStatement({
    policy: round.project.policy,
    approval,
    approvalDigest: approved.sha256,
    slot,
    bytes: first.bytes,
    authenticator: await authenticatorOf(round, approval, slot, first),
    firstSeen: logged ? timestampDate(logged.time) : now,
  });
  if (verdict.verdict === 'void') return spoilt(round, approved, invalid(first, verdict.text));
  if (verdict.verdict === 'refuse') return refuse(round, approved, verdict.reasons);

  // What the log has is final: a depot that does not show it any more is reported, and not believed.
  let present = logged === null;
  for await (const other of shown) {
    present ||= other.bytes.equals(first.bytes);
    if (other.bytes.equals(first.bytes)) continue;
    // A second one with the same subjects is ignored, with others it is a conflict (§2).
    const authenticator = await authenticatorOf(round, approval, slot, other);
    const problem = authenticatorProblem({ slot, authenticator, firstSeen: now });
    if (problem !== null) return spoilt(round, approved, invalid(other, problem));
    const reasons = conflictReasons(verdict.statement, other);
    if (reasons.length > 0) return refuse(round, approved, reasons);
  }
  const missing = {
    code: 'statement-missing',
    where: first.file,
    text: 'the depot does not show it as it was logged',
  };
  if (!present) return spoilt(round, approved, missing);

  if (logged === null) await logStatement(round, approved, first, now);
  return { slot, statement: verdict.statement, sha256: sha256Hex(first.bytes) };
}

/** What the depot has of the slot, up to the first of `variants` that isn't there; one at a time, each may be large. */
export async function* shownStatements(
  { depot }: Round,
  build: BuildId,
  slot: Slot,
  variants: readonly Variant[],
): AsyncGenerator<Signed, undefined> {
  for (const variant of variants) {
    const [file, signatureFile] = [statementFile(slot, variant), statementSignatureFile(slot, variant)];
    const bytes = await depot.read(buildPath(build, file), LARGE_RECORD_MAX);
    if (bytes === null) return;
    const signature = await depot.read(buildPath(build, signatureFile), RECORD_MAX);
    yield { file, signatureFile, bytes, signature };
  }
}

async function next(shown: AsyncGenerator<Signed, undefined>): Promise<Signed | null> {
  const step = await shown.next();
  return step.done === true ? null : step.value;
}

/** The statement that was logged, as it was kept. Throws unable(`state-damaged`, `disk`). */
export async function keptStatement(
  { state }: Round,
  build: BuildId,
  slot: Slot,
  sha256: Sha256,
): Promise<Signed> {
  const [file, signatureFile] = [statementFile(slot), statementSignatureFile(slot)];
  const bytes = await state.kept(build, file, sha256);
  return { file, signatureFile, bytes, signature: await state.read(build, signatureFile) };
}

/** Under the certificate that the approval names for the slot. Throws unable. */
export async function authenticatorOf(
  round: Round,
  approval: Approval,
  slot: Slot,
  { signature, bytes }: Signed,
): Promise<Authenticator> {
  const certificate = builderCertificate(approval, slot);
  const verdict = await authenticate(signature, bytes, certificate, round.now());
  return { kind: 'signature', verdict, key: certificate.primary.fingerprint };
}

const invalid = ({ file }: Signed, text: string) => ({ code: 'statement-invalid', where: file, text });

/** Its time in the log is when it was first seen; from now on it is final (§5.3). */
async function logStatement(
  round: Round,
  { approval }: Approved,
  { file, signatureFile, bytes, signature }: Signed,
  firstSeen: Date,
): Promise<void> {
  const { build, project, version } = approval;
  const kept = signature ?? Buffer.alloc(0);
  await round.state.write(build, file, bytes);
  await round.state.write(build, signatureFile, kept);
  await round.state.journal.append({
    type: 'statement',
    time: timestamp(firstSeen),
    ...{ build, project, version },
    records: { [file]: sha256Hex(bytes), [signatureFile]: sha256Hex(kept) },
    keys: [],
  });
}

/** Where another validly signed statement names other artifacts; empty if it names the same. */
function conflictReasons(first: Statement, other: Signed): Reason[] {
  const parsed = attempt(() => parseStatement(other.bytes));
  if (parsed instanceof Failure)
    return [{ code: 'conflict', where: other.file, text: `a second statement is signed: ${parsed.message}` }];
  return subjectDifferences(first.subjects, parsed.subjects).map(({ name, ours, theirs }) => ({
    code: 'conflict',
    where: name,
    text: `the first statement has ${describe(ours)}, ${other.file} has ${describe(theirs)}`,
  }));
}

const describe = (subject: Subject | null): string =>
  subject === null ? 'no such artifact' : `${subject.sha256} (${subject.size} bytes)`;
