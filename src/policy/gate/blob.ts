/**
 * Who may write a blob: a builder, by its upload token, within the approval's counts and sizes (protocol §4); and the
 * signer, or whoever keeps the tree, one that a logged release names. Not anybody: while it is sent it takes room.
 */
import type { BuildId, Sha256 } from '../../records/names.ts';
import { buildPath, releaseProofFile } from '../../records/paths.ts';
import { effectiveLimits, isExpired } from '../approval-policy.ts';
import { slotsOf } from '../builder-key.ts';
import { revokersNeeded } from '../revocation-verdict.ts';
import { below } from '../view.ts';
import type { Project } from '../project.ts';
import { matchesDigest } from '../token.ts';
import type { View } from '../view.ts';
import { signedApproval } from './approval.ts';
import type { SignedApproval } from './approval.ts';
import { readDecided } from './decided.ts';
import type { Decided } from './decided.ts';
import { validRevocations } from './revocation.ts';
import { isProject } from './rules.ts';
import type { GateRules } from './rules.ts';
import { CARRIER, tokenOf, tokenSlot } from './token.ts';
import type { Bearer } from './token.ts';
import { denied } from './verdict.ts';
import type { Denied } from './verdict.ts';

export interface UploadQuestion {
  readonly rules: GateRules;
  readonly build: BuildId;
  readonly bearer: Bearer;
  /** The whole tree. */
  readonly view: View;
  readonly now: Date;
  /** What the log has decided on the build, where whoever asks remembers it: reading it costs. */
  readonly decided?: () => Promise<Decided | null>;
  /** The build's approval as `signedApproval` finds it, likewise. */
  readonly signed?: () => Promise<SignedApproval | Denied>;
}

/** The right to send blobs: good for as many as come in one request. */
export interface Upload {
  readonly allow: true;
  /** A builder's; null for whoever may send only what is logged. */
  readonly limits: BlobLimits | null;
  /** Blobs that a logged release names, with their sizes: for the signer and the carrier. */
  readonly logged: ReadonlyMap<Sha256, number>;
}

export interface BlobLimits {
  /** Of each blob. */
  readonly maxBytes: number;
  /** Of all blobs of the build: what the approval allows one builder, times builders, as they may all differ. */
  readonly maxCount: number;
  readonly maxTotalBytes: number;
}

/** Blobs of a build, together. */
export interface BlobTotals {
  readonly count: number;
  readonly bytes: number;
}

/** Whether the build is open for blobs now, for this bearer: 404, 401 and 403 if not. */
export async function judgeUpload(question: UploadQuestion): Promise<Upload | Denied> {
  const { rules, build, view, bearer } = question;
  const limits = await judgeBuilder(question);
  const trusted =
    bearer === CARRIER || (isProject(rules) && matchesDigest(tokenOf(bearer), rules.signerTokenSha256));
  const read = question.decided ?? (() => readDecided(rules, build, below(view, buildPath(build))));
  const decided = trusted ? await read() : null;
  const logged = decided?.artifacts ?? new Map<Sha256, number>();
  if (!('allow' in limits)) return { allow: true, limits, logged };
  return logged.size > 0 ? { allow: true, limits: null, logged } : limits;
}

/** What a builder of the build may send now, if the bearer is one: 404, 401 and 403 if not. */
export async function judgeBuilder(question: UploadQuestion): Promise<BlobLimits | Denied> {
  const { rules, build, bearer, now } = question;
  // 1. The build is approved.
  const directory = below(question.view, buildPath(build));
  const signed = await (question.signed?.() ?? signedApproval(rules, build, directory, now));
  if ('allow' in signed) return signed;
  const { approval } = signed;
  // 2. The token is one of its builders'.
  const slot = bearer === CARRIER ? bearer : tokenSlot(approval, bearer);
  if (typeof slot !== 'string') return slot;
  // 3. Before `expires`; after the seal too, as another builder's statement may need what this one has.
  if (isExpired(approval, now)) return denied(403, 'expired', `build ${build} ended at ${approval.expires}`);

  const { maxCount, maxBytes, maxTotalBytes } = effectiveLimits(rules.policy, approval);
  const builders = slotsOf(approval).length;
  return { maxBytes, maxCount: maxCount * builders, maxTotalBytes: maxTotalBytes * builders };
}

/**
 * Whether as many approvers have revoked the build as that takes, by the records in its directory. Its builders may send what
 * they have until the approval ends, as anybody's word on that is H's to judge; but nobody makes way for them.
 */
export async function isRevoked(
  project: Project,
  { approval: { build }, digest }: SignedApproval,
  directory: Pick<View, 'read' | 'size'>,
  now: Date,
): Promise<boolean> {
  const revoked = await validRevocations(project, { build, approval: digest }, directory, now);
  const isReleased = (await directory.size(releaseProofFile)) !== null;
  return revoked.size >= revokersNeeded(project, isReleased);
}

/**
 * Whether one more blob fits: null if it does, else 413. `present` are the blobs that the build has or is
 * just receiving, without this one. That its bytes have the digest in its name is for whoever receives them.
 */
export function judgeBlob(
  { limits, logged }: Upload,
  blob: { readonly sha256: Sha256; readonly size: number },
  present: BlobTotals,
): Denied | null {
  if (logged.get(blob.sha256) === blob.size) return null;
  if (limits === null)
    return denied(403, 'not-released', `the release has no artifact ${blob.sha256} of ${blob.size} bytes`);
  if (blob.size > limits.maxBytes)
    return denied(
      413,
      'too-large',
      `blob ${blob.sha256} has ${blob.size} bytes, ${limits.maxBytes} are allowed`,
    );
  if (present.count + 1 > limits.maxCount)
    return denied(413, 'too-many', `the build has ${present.count} blobs, ${limits.maxCount} are allowed`);
  if (present.bytes + blob.size > limits.maxTotalBytes)
    return denied(
      413,
      'total-too-large',
      `the blobs of the build exceed the ${limits.maxTotalBytes} bytes allowed`,
    );
  return null;
}
