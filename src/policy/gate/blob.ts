/** Who may write a blob: a builder, by its upload token, within the approval's counts and sizes (protocol §4). */
import type { Approval } from '../../records/approval.ts';
import type { BuildId, Sha256, Slot } from '../../records/names.ts';
import { buildPath } from '../../records/paths.ts';
import { effectiveLimits, isExpired } from '../approval-policy.ts';
import { slotsOf } from '../builder-key.ts';
import type { Project } from '../project.ts';
import type { Verified } from '../verified.ts';
import { below } from '../view.ts';
import type { View } from '../view.ts';
import { signedApproval } from './approval.ts';
import { tokenSlot } from './token.ts';
import { denied } from './verdict.ts';
import type { Denied } from './verdict.ts';

export interface UploadQuestion {
  readonly project: Project;
  readonly build: BuildId;
  /** Decoded; null for none. */
  readonly token: Buffer | null;
  /** The whole tree. */
  readonly view: View;
  readonly now: Date;
}

/** The right of one builder to send blobs: good for as many as come in one request. */
export interface Upload {
  readonly allow: true;
  readonly approval: Verified<Approval>;
  readonly slot: Slot;
  readonly limits: BlobLimits;
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

/** Whether the token opens the build for blobs now: 404, 401 and 403 if not. */
export async function judgeUpload(question: UploadQuestion): Promise<Upload | Denied> {
  const { project, build, now } = question;
  // 1. The build is approved.
  const signed = await signedApproval(project, build, below(question.view, buildPath(build)), now);
  if ('allow' in signed) return signed;
  const { approval } = signed;
  // 2. The token is one of its builders'.
  const slot = tokenSlot(approval, question.token);
  if (typeof slot !== 'string') return slot;
  // 3. Before `expires`; after the seal too, as another builder's statement may need what this one has.
  if (isExpired(approval, now)) return denied(403, 'expired', `build ${build} ended at ${approval.expires}`);

  const { maxCount, maxBytes, maxTotalBytes } = effectiveLimits(project, approval);
  const builders = slotsOf(approval).length;
  const limits = { maxBytes, maxCount: maxCount * builders, maxTotalBytes: maxTotalBytes * builders };
  return { allow: true, approval, slot, limits };
}

/**
 * Whether one more blob fits: null if it does, else 413. `present` are the blobs that the build has or is
 * just receiving, without this one. That its bytes have the digest in its name is for whoever receives them.
 */
export function judgeBlob(
  { limits }: Upload,
  blob: { readonly sha256: Sha256; readonly size: number },
  present: BlobTotals,
): Denied | null {
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
