/** Where a build stands, derived from its files (protocol §3) and never stored. */
import type { Approval } from '../records/approval.ts';
import type { Slot } from '../records/names.ts';
import {
  logEntryFile,
  manifestFile,
  refusalFile,
  refusalProofFile,
  releaseFile,
  releaseProofFile,
  signaturesListFile,
  enrolmentReceiptFile,
  statementAuthenticatorFile,
  statementFile,
} from '../records/paths.ts';
import type { Refusal } from '../records/refusal.ts';
import { isExpired } from './approval-policy.ts';
import { builderOf, slotsOf } from './builder-key.ts';

/** In the order in which a build passes them; then the ways in which it ends without a release. */
export const BUILD_STATES = [
  'approved', // an approver has signed; the threshold may still be missing
  'enrolled', // as many builders as the quorum asks for may begin: the signer has taken their keys
  'built', // as many builders as the quorum asks for have sealed it
  'verified', // the log holds its release; not all that the release names is here
  'signed', // all that the release names is here
  'published', // the release is visible
  'refused',
  'frozen', // refused for a conflict: two valid statements, or enrolments, that differ
  'revoked', // by approvers; of a published one: its release is withdrawn
  'expired', // nothing came in time
] as const;
export type BuildState = (typeof BUILD_STATES)[number];

export interface BuildFacts {
  readonly approval: Approval;
  /** Paths below `builds/<build>/`; blobs and signatures may be left out. */
  readonly files: ReadonlySet<string>;
  /** `refusal.json`, where there is one. */
  readonly refusal: Refusal | null;
  /** Whether as many approvers have revoked it as that takes. */
  readonly revoked: boolean;
  /** Whether `releases/<project>/<version>/countersign/release.proof` is there, and of this build. */
  readonly published: boolean;
  readonly now: Date;
}

/**
 * The state that the files show. Nothing here is verified: whoever believes no depot checks the signatures
 * and proofs behind the names.
 */
export function buildState({ approval, files, refusal, revoked, published, now }: BuildFacts): BuildState {
  const has = (...names: string[]): boolean => names.every((name) => files.has(name));

  if (revoked) return 'revoked';
  if (published) return 'published';
  if (has(logEntryFile, releaseProofFile))
    return has(releaseFile, manifestFile, signaturesListFile) ? 'signed' : 'verified';
  if (refusal !== null && has(refusalFile, refusalProofFile))
    return refusal.reasons.some(({ code }) => code === 'conflict') ? 'frozen' : 'refused';

  const slots = slotsOf(approval);
  const isSealed = (slot: Slot): boolean =>
    has(statementFile(slot), statementAuthenticatorFile(builderOf(approval, slot).scheme, slot));
  if (slots.filter(isSealed).length >= approval.quorum) return 'built';
  if (isExpired(approval, now)) return 'expired';
  const enrolling = slots.filter((slot) => builderOf(approval, slot).scheme === 'enrol');
  const mayBegin = (slot: Slot): boolean => !enrolling.includes(slot) || has(enrolmentReceiptFile(slot));
  return enrolling.length > 0 && slots.filter(mayBegin).length >= approval.quorum ? 'enrolled' : 'approved';
}
