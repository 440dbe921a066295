/**
 * Did the ticket's holder introduce this key, and may it be used? The verdict on an enrolment (protocol §2 "enrolment").
 *
 * MAC and signature come in as verdicts: the signer has the nonce and asks gpgv, the gate has neither.
 */
import { Failure } from '../failure.ts';
import { CLOCK_TOLERANCE_SECONDS } from '../openpgp/verify.ts';
import type { SignatureVerdict } from '../openpgp/verify.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import type { Approval } from '../records/approval.ts';
import { parseEnrolment } from '../records/enrolment.ts';
import type { Enrolment } from '../records/enrolment.ts';
import { timestampDate } from '../records/names.ts';
import type { Fingerprint, Sha256, Slot } from '../records/names.ts';
import { enrolmentFile } from '../records/paths.ts';
import type { Reason, ReasonCode } from '../records/refusal.ts';
import { ephemeralProblem } from './approval-policy.ts';
import { attempt } from './attempt.ts';
import { builderOf, ephemeralCertificate } from './builder-key.ts';
import { verifiedRecord } from './verified.ts';
import type { Verified } from './verified.ts';

export interface EnrolmentQuestion {
  readonly approval: Verified<Approval>;
  /** SHA-256 of the approval's bytes. */
  readonly approvalDigest: Sha256;
  readonly slot: Slot;
  /** The enrolment, exactly as received. */
  readonly bytes: Buffer;
  /** Whether its MAC is made with the slot's nonce; null for who has no nonce, and trusts an upload token. */
  readonly mac: boolean | null;
  /** The verdict on its signature under the certificate in it: possession. */
  readonly verify: (certificate: Certificate) => Promise<SignatureVerdict>;
  /** Keys that this one must not be: logged before, or of the project file. */
  readonly keysSeen: ReadonlySet<Fingerprint>;
  /** After a restart the time in the log, not the present. */
  readonly firstSeen: Date;
}

export type EnrolmentVerdict =
  | { readonly verdict: 'accept'; readonly enrolment: Verified<Enrolment>; readonly certificate: Certificate }
  /** The nonce's holder introduced what must not be used: it ends the build and is logged. */
  | { readonly verdict: 'refuse'; readonly reasons: readonly Reason[] }
  /** Nobody's word, or too late: nothing is logged (§1, rule 7). */
  | { readonly verdict: 'void'; readonly text: string };

/** The verdict, with all its reasons. */
export async function judgeEnrolment(question: EnrolmentQuestion): Promise<EnrolmentVerdict> {
  const { approval, slot, firstSeen } = question;
  const builder = builderOf(approval, slot);
  if (builder.scheme !== 'enrol') return { verdict: 'void', text: `builder ${slot} does not enrol` };
  // 1. In time, by the signer's clock.
  if (firstSeen >= timestampDate(builder.enrolBy))
    return {
      verdict: 'void',
      text: `it was not taken before ${builder.enrolBy}, until when builder ${slot} could enrol`,
    };
  // 2. Introduced by the nonce, before anything is read.
  if (question.mac === false)
    return { verdict: 'void', text: `its MAC is not made with the nonce of builder ${slot}` };
  // 3. Bytes: canonical and closed; for this approval and slot; a key of the one shape that nobody else has.
  const read = attempt(() => parseEnrolment(question.bytes));
  if (read instanceof Failure) return refuse('enrolment-malformed', slot, read.message);
  const reasons = [...bindingProblems(question, read), ...keyProblems(question, read)];
  if (reasons.length > 0) return { verdict: 'refuse', reasons };
  // 4. Possession: somebody else's key can be named, and not signed with.
  const certificate = ephemeralCertificate(read);
  const signature = await question.verify(certificate);
  if (!signature.ok) return { verdict: 'void', text: signature.reason };
  if (signature.created > firstSeen.getTime() / 1000 + CLOCK_TOLERANCE_SECONDS)
    return { verdict: 'void', text: 'its signature is dated in the future' };
  return { verdict: 'accept', enrolment: verifiedRecord(read), certificate };
}

const reason = (code: ReasonCode, slot: Slot, text: string): Reason => ({
  code,
  where: enrolmentFile(slot),
  text,
});

const refuse = (code: ReasonCode, slot: Slot, text: string): EnrolmentVerdict => ({
  verdict: 'refuse',
  reasons: [reason(code, slot, text)],
});

function bindingProblems({ approval, approvalDigest, slot }: EnrolmentQuestion, read: Enrolment): Reason[] {
  const reasons: Reason[] = [];
  const compare = (field: string, stated: string, expected: string): void => {
    if (stated === expected) return;
    const text = `its ${field} is ${stated}, the approval's is ${expected}`;
    reasons.push(reason('enrolment-binding', slot, text));
  };
  compare('build', read.build, approval.build);
  compare('slot', read.slot, slot);
  compare('approval', read.approval, approvalDigest);
  return reasons;
}

function keyProblems({ approval, slot, keysSeen }: EnrolmentQuestion, read: Enrolment): Reason[] {
  const problem = ephemeralProblem(approval, read);
  if (problem !== null) return [reason('key-unusable', slot, problem)];
  const { fingerprint } = ephemeralCertificate(read).primary;
  if (!keysSeen.has(fingerprint)) return [];
  return [reason('key-seen', slot, `key ${fingerprint} is in the log already, or in the project file`)];
}
