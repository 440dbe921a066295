/**
 * `status`: where each build stands and why it waits, read from the depot and believed only as far as
 * signatures and log proofs carry it.
 */
import type { Source } from '../records/approval.ts';
import type { BuildId, Fingerprint, Timestamp } from '../records/names.ts';
import type { Reason } from '../records/refusal.ts';
import type { Project } from '../policy/project.ts';
import type { Depot } from '../tree/tree.ts';

export interface BuildStatus {
  readonly build: BuildId;
  /** approved, built, verified, signed, published, refused, frozen or expired; `unreadable` when its records are not. */
  readonly state: string;
  /** null when the approval can't be read. */
  readonly project: string | null;
  readonly version: string | null;
  readonly source: Source | null;
  readonly requester: Fingerprint | null;
  readonly expires: Timestamp | null;
  /** Approvers whose signature verifies, of `threshold`. */
  readonly approvers: readonly Fingerprint[];
  readonly threshold: number;
  readonly slots: readonly { readonly slot: string; readonly scheme: string; readonly statement: boolean }[];
  /** `single-builder` today, for every build. */
  readonly assurance: string;
  /** One sentence: what it waits for, or how it ended. */
  readonly why: string;
  /** What may be done next, a command; empty when there is nothing to do. */
  readonly hint: string;
  /** Of a refused or frozen build, as the log proves them. */
  readonly reasons: readonly Reason[];
  /** Index of the release (or refusal) entry in the log. */
  readonly logIndex: number | null;
}

/**
 * All builds of the depot in ascending order, or the one asked for.
 * Throws refused `build-unknown`, unable when the depot can't be read.
 */
export async function* listStatus(
  _project: Project,
  _depot: Depot,
  _options: { readonly build: BuildId | null; readonly now: Date },
): AsyncGenerator<BuildStatus> {
  throw new Error('not written yet');
}
