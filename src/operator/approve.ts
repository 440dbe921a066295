/**
 * `approve`: makes a build's ephemeral key and the approval that names it, has an approver's key sign it
 * through gpg, and hands out the ticket. Protocol §2 (approval, ticket).
 *
 * Two steps, so that a person can look in between: `prepareApproval`, then `submitApproval`.
 */
import type { Approval } from '../records/approval.ts';
import type { BuildId, Fingerprint, Sha256, Slot, Timestamp } from '../records/names.ts';
import type { Ticket } from '../records/ticket.ts';
import type { Project } from '../policy/project.ts';
import type { Depot } from '../tree/tree.ts';

/** What the command line says; null where it says nothing. */
export interface ApprovalRequest {
  readonly version: string;
  /** `--source URI@COMMIT`; null: origin and HEAD of the checkout at `directory`. */
  readonly source: string | null;
  readonly directory: string;
  readonly patterns: readonly string[] | null;
  readonly maxCount: number | null;
  readonly maxBytes: number | null;
  readonly maxTotalBytes: number | null;
  readonly builders: number | null;
  readonly quorum: number | null;
  readonly scheme: string | null;
  readonly mode: string | null;
  /** `--expires`, seconds. */
  readonly lifetime: number | null;
  /** `--approver`, a fingerprint. */
  readonly approver: string | null;
  /** `--expect`, the terms. */
  readonly expect: string | null;
  /** The depot the ticket will name: `--depot`, else the project's. */
  readonly depot: string | null;
  readonly now: Date;
}

/** What a person must see before saying yes. */
export interface ApprovalSummary {
  readonly approval: Approval;
  /** Digest of the approval less ids, times and keys. */
  readonly terms: Sha256;
  readonly depot: string;
  readonly approver: { readonly fingerprint: Fingerprint; readonly userId: string };
  readonly releaseKey: { readonly fingerprint: Fingerprint; readonly userId: string };
  readonly threshold: number;
  /** How many further approvers the project file asks for after this one. */
  readonly furtherApprovers: number;
  readonly assurance: 'single-builder';
}

export interface PreparedApproval {
  readonly summary: ApprovalSummary;
  /** The exact bytes that will be signed. */
  readonly bytes: Buffer;
  /** Secret: one ticket a slot. */
  readonly tickets: ReadonlyMap<Slot, Ticket>;
}

export interface SubmittedApproval {
  readonly build: BuildId;
  readonly terms: Sha256;
  readonly expires: Timestamp;
  /** Path of each slot's ticket. */
  readonly tickets: Readonly<Record<string, string>>;
}

/**
 * Builds the approval. Nothing is signed, written or sent.
 * Throws usage (wrong or not yet supported options, no approver key here), refused (`--expect`, policy).
 */
export async function prepareApproval(
  _project: Project,
  _request: ApprovalRequest,
): Promise<PreparedApproval> {
  throw new Error('not written yet');
}

/**
 * Has gpg sign (pinentry as usual), writes the tickets into `directory` (0600, never over another file), submits.
 * When the submission fails the tickets are removed again. Throws usage, refused, unable.
 */
export async function submitApproval(
  _project: Project,
  _prepared: PreparedApproval,
  _where: { readonly depot: Depot; readonly directory: string; readonly now: Date },
): Promise<SubmittedApproval> {
  throw new Error('not written yet');
}
