/**
 * Is a build revoked? The verdict on its revocations (protocol §2 "revocation"): stopping is easier than starting.
 *
 * Signatures come in as verdicts, so that the signer (gpgv) and the gate (in process) decide by one logic.
 */
import { Failure } from '../failure.ts';
import type { SignatureVerdict } from '../openpgp/verify.ts';
import type { BuildId, Fingerprint, Sha256 } from '../records/names.ts';
import { revocationFile } from '../records/paths.ts';
import { parseRevocation } from '../records/revocation.ts';
import type { Revocation } from '../records/revocation.ts';
import { attempt } from './attempt.ts';
import type { Project } from './project.ts';
import { verifiedRecord } from './verified.ts';
import type { Verified } from './verified.ts';

/** `revocations/<FPR>.json` and what its signature is worth. */
export interface SignedRevocation {
  /** By the fingerprint in its name. */
  readonly approver: Fingerprint;
  /** Exactly as received. */
  readonly bytes: Buffer;
  readonly signature: SignatureVerdict;
}

/** What a revocation must be of. */
export interface Revocable {
  readonly build: BuildId;
  /** SHA-256 of the approval's bytes. */
  readonly approval: Sha256;
}

/** The revocation, if an approver of the project file made it, of this build; else why it does not count. */
export function readRevocation(
  project: Project,
  { build, approval }: Revocable,
  { approver, bytes, signature }: SignedRevocation,
): Verified<Revocation> | string {
  // 1. Authority, before anything is read.
  if (!project.approvers.some(({ primary }) => primary.fingerprint === approver))
    return `${approver} is no approver of the project file`;
  if (!signature.ok) return signature.reason;
  if (signature.primary !== approver) return `it is signed by ${signature.primary}`;
  // 2. Bytes. 3. Of this build, and this approval of it.
  const read = attempt(() => parseRevocation(bytes));
  if (read instanceof Failure) return read.message;
  if (read.build !== build) return `${revocationFile(approver)} is of build ${read.build}`;
  if (read.approval !== approval) return `${revocationFile(approver)} is of approval ${read.approval}`;
  return verifiedRecord(read);
}

/** How many persons a revocation takes: one, before the release is logged; after that as many as starting took. */
export const revokersNeeded = ({ threshold }: Project, released: boolean): number =>
  released ? threshold : 1;
