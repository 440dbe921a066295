/**
 * `endorse`: a further approver's signature, over an approval that another asked for, or to withdraw a release for the
 * reason that another gave. Protocol §2 (approval, revocation).
 */
import { refused } from '../failure.ts';
import type { Failure } from '../failure.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { approveAgain } from '../policy/again.ts';
import { approvalProblems } from '../policy/approval-policy.ts';
import type { Project } from '../policy/project.ts';
import type { Approval } from '../records/approval.ts';
import type { BuildId, Fingerprint, Sha256 } from '../records/names.ts';
import { approvalSignatureFile, releaseProofFile } from '../records/paths.ts';
import type { Depot } from '../tree/tree.ts';
import { chooseApprover, signAsApprover } from './approver.ts';
import { readAskedBuild } from './asked-build.ts';
import type { AskedBuild } from './asked-build.ts';
import type { CountedRevocation } from './evidence.ts';
import { sendRevocation } from './revoke.ts';
import { sendRecords } from './send.ts';
import { expectedTerms } from './terms.ts';
import { releasedBuild } from './version-taken.ts';

export interface EndorsementRequest {
  readonly build: BuildId;
  /** `--approver`, a fingerprint. */
  readonly approver: string | null;
  /** `--expect`, the terms. */
  readonly expect: string | null;
  readonly now: Date;
}

/** What a person must see before saying yes. */
export interface PreparedEndorsement {
  readonly approval: Approval;
  /** The exact bytes of the approval. */
  readonly bytes: Buffer;
  readonly terms: Sha256;
  readonly approver: Certificate;
  /** Who has signed what is to be endorsed, so far. */
  readonly signed: readonly Fingerprint[];
  /** They have signed it before. */
  readonly already: boolean;
  /** The build is released, and this withdraws it: what is endorsed is no longer the approval. */
  readonly revocation: CountedRevocation | null;
}

export interface Endorsed {
  readonly build: BuildId;
  readonly approvers: readonly Fingerprint[];
  readonly threshold: number;
  /** How many are still missing. */
  readonly missing: number;
}

/**
 * Reads what waits for a signature. Nothing is signed or sent.
 * Throws usage (no approver key here), refused (what nobody asked for, what the signer would refuse, what is decided), unable.
 */
export async function prepareEndorsement(
  project: Project,
  depot: Depot,
  request: EndorsementRequest,
): Promise<PreparedEndorsement> {
  const { build, now } = request;
  const approver = await chooseApprover(project, request.approver);
  const asked = await readAskedBuild(project, depot, build, now);
  const { approval, bytes, evidence } = asked;
  if (!evidence.approvers.includes(approval.requester))
    throw refused(
      'requester-unsigned',
      `build ${build}: ${approval.requester}, who is said to have asked for it, has not signed its approval`,
      'endorse nothing that nobody asked for: ask them',
    );
  const agreed = expectedTerms(approval, request.expect);

  const revocation = isReleased(asked) ? (evidence.revocations[0] ?? null) : null;
  const signed =
    revocation === null ? evidence.approvers : evidence.revocations.map(({ approver: by }) => by);
  const already = signed.includes(approver.primary.fingerprint);
  if (!already && revocation === null) {
    const why = await whyNot(project, depot, asked, now);
    if (why !== null) throw why;
  }
  return { approval, bytes, terms: agreed, approver, signed, already, revocation };
}

const isReleased = ({ evidence }: AskedBuild): boolean => evidence.files.has(releaseProofFile);

/** Why a signature more would be in vain; null if it would not. */
async function whyNot(project: Project, depot: Depot, asked: AskedBuild, now: Date): Promise<Failure | null> {
  const { approval, evidence } = asked;
  const { build, version } = approval;
  const again = `a new approval: ${approveAgain(project, approval)}`;
  if (isReleased(asked))
    return refused('build-decided', `build ${build} is released: there is nothing to endorse`);
  if (evidence.refusal !== null)
    return refused('build-decided', `build ${build} is refused: there is nothing to endorse`, again);
  const [revocation] = evidence.revocations;
  if (revocation !== undefined)
    return refused('build-decided', `build ${build} is revoked, by ${revocation.approver}`, again);
  const [problem] = approvalProblems(project, approval, now);
  if (problem !== undefined)
    return refused(problem.code, `build ${build}: the signer would refuse it: ${problem.text}`, again);
  const released = await releasedBuild(project, depot, version);
  if (released === null || released === build) return null;
  const what = `${approval.project} ${version} is released, by build ${released}`;
  return refused(
    'version-taken',
    `build ${build}: the signer would refuse it: ${what}`,
    'approve another version',
  );
}

/** Has gpg sign the exact bytes that were shown (pinentry as usual), and sends the signature. Throws refused, unable. */
export async function submitEndorsement(
  project: Project,
  depot: Depot,
  prepared: PreparedEndorsement,
  now: Date,
): Promise<Endorsed> {
  const { approval, bytes, approver, revocation } = prepared;
  const { fingerprint } = approver.primary;
  if (revocation === null) {
    const signature = await signAsApprover(project, fingerprint, bytes);
    await sendRecords(depot, approval.build, new Map([[approvalSignatureFile(fingerprint), signature]]));
  } else await sendRevocation(project, depot, { approval: bytes, approver, reason: revocation.reason, now });
  return endorsed(project, { ...prepared, signed: [...prepared.signed, fingerprint].sort() });
}

/** What has been signed so far, and what is missing yet. */
export function endorsed({ threshold }: Project, { approval, signed }: PreparedEndorsement): Endorsed {
  const missing = Math.max(0, threshold - signed.length);
  return { build: approval.build, approvers: signed, threshold, missing };
}
