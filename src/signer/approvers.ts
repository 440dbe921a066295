/** Who allowed a build: the approvers whose signatures are over its approval, as gpgv and we see it. */
import { Failure } from '../failure.ts';
import type { SignatureVerdict } from '../openpgp/verify.ts';
import { countApprovers, missingApprovers } from '../policy/approval-verdict.ts';
import type { Project } from '../policy/project.ts';
import type { Approval } from '../records/approval.ts';
import { RECORD_MAX } from '../records/canonical.ts';
import type { BuildId, Fingerprint, Sha256 } from '../records/names.ts';
import { approvalSignatureFile, buildPath } from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import { authenticate } from './authenticate.ts';
import type { Round } from './signer.ts';

/** A signature file and what it is worth. */
interface Signed {
  readonly bytes: Buffer;
  readonly verdict: SignatureVerdict;
  /** It is in the state directory already. */
  readonly kept: boolean;
}

/** By the approver that the file's name says it is of. */
export type ApprovalSignatures = ReadonlyMap<Fingerprint, Signed>;

/** The approvers that count, and the digests of their signatures as log entries name them. */
export interface Count {
  readonly approvers: readonly Fingerprint[];
  readonly records: Readonly<Record<string, Sha256>>;
  /** Whom the approval still waits for, in words; null for nobody. */
  readonly missing: string | null;
}

/**
 * The signatures over these bytes by the project's approvers: those kept here, and where there is none that
 * is good, the depot's. No other file is looked at, so the depot can't make this long. Throws unable.
 */
export async function approvalSignatures(
  round: Round,
  project: Project,
  build: BuildId,
  bytes: Buffer,
): Promise<ApprovalSignatures> {
  const signatures = new Map<Fingerprint, Signed>();
  for (const approver of project.approvers) {
    const { fingerprint } = approver.primary;
    const file = approvalSignatureFile(fingerprint);
    const kept = await round.state.read(build, file);
    const keptVerdict = kept && (await authenticate(kept, bytes, approver, round.now()));
    if (kept && keptVerdict?.ok) {
      signatures.set(fingerprint, { bytes: kept, verdict: keptVerdict, kept: true });
      continue;
    }
    const shown = await readSmall(round, buildPath(build, file));
    if (shown === null) continue;
    const verdict = await authenticate(shown, bytes, approver, round.now());
    signatures.set(fingerprint, { bytes: shown, verdict, kept: false });
  }
  return signatures;
}

/** Counts persons against the project file of this moment, and keeps what counts. Throws unable. */
export async function countSigned(
  round: Round,
  project: Project,
  approval: Approval,
  signatures: ApprovalSignatures,
): Promise<Count> {
  const approvers = countApprovers(project, verdictsOf(signatures));
  const records: Record<string, Sha256> = {};
  for (const approver of approvers) {
    const file = approvalSignatureFile(approver);
    const { bytes = Buffer.alloc(0), kept = false } = signatures.get(approver) ?? {};
    if (!kept) await round.state.write(approval.build, file, bytes);
    records[file] = sha256Hex(bytes);
  }
  return { approvers, records, missing: missingApprovers(project, approval, approvers) };
}

export const verdictsOf = (signatures: ApprovalSignatures): Map<Fingerprint, SignatureVerdict> =>
  new Map([...signatures].map(([approver, { verdict }]) => [approver, verdict]));

/** A small file that is too large is a bad one, not a fault: it must not stand in the way of the good ones. Throws unable. */
export async function readSmall({ depot }: Round, path: string): Promise<Buffer | null> {
  try {
    return await depot.read(path, RECORD_MAX);
  } catch (error) {
    if (error instanceof Failure && error.code === 'too-large') return Buffer.alloc(0);
    throw error;
  }
}
