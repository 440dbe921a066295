/**
 * `verify`: is this file what the project released? Protocol §7, the part that needs no network beside the
 * release itself.
 */
import type { Certificate } from '../openpgp/certificate.ts';
import type { Project } from '../policy/project.ts';
import type { Verdict } from './verdict.ts';

/** What the consumer trusts: a project file, or the release certificate alone. */
export type Trust =
  | { readonly kind: 'project'; readonly project: Project }
  | { readonly kind: 'key'; readonly certificate: Certificate };

export interface VerifyOptions {
  /** Files, or directories that each hold a whole release. */
  readonly paths: readonly string[];
  readonly trust: Trust;
  /** `--release`: URL or directory; null: beside the file, else in the project's depot. */
  readonly release: string | null;
  /** `--depot`: URL or directory that holds `releases/`; null: the project's. */
  readonly depot: string | null;
  /** `--project`, `--version`: what the release must be. */
  readonly project: string | null;
  readonly version: string | null;
  /** `--offline`: read nothing over the network. */
  readonly offline: boolean;
  readonly now: Date;
  /** Bytes read of a file so far; many a second. */
  readonly progress?: (file: string, done: number, bytes: number) => void;
}

/**
 * Verifies. Returns a verdict, also a bad one; the caller maps it to the exit status (valid 0, not-valid 1,
 * signature-only 1 unless `--signature-only`, incomplete 3).
 * Throws usage (nothing to look the file up in), unable (network, disk).
 */
export async function verifyFiles(_options: VerifyOptions): Promise<Verdict> {
  throw new Error('not written yet');
}
