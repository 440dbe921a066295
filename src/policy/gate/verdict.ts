/** What the gate answers, and how a refusal becomes an answer over HTTP (protocol §4). */
import type { Failure } from '../../failure.ts';
import type { Reason } from '../../records/refusal.ts';
import { elsewhereHint } from '../approval-policy.ts';

/**
 * 401 no token where one is needed · 403 no authority · 404 no such build · 409 other bytes are there ·
 * 413 too much · 422 not what it should be.
 */
export type DeniedStatus = 401 | 403 | 404 | 409 | 413 | 422;

export interface Denied {
  readonly allow: false;
  readonly status: DeniedStatus;
  /** Stable, kebab-case. */
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

export interface Allowed {
  readonly allow: true;
  /** What to write, in this order, by path below `builds/<build>/`: authenticators before their record. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** To be taken away before: authenticators that a write left which never came to its record. */
  readonly abandoned: readonly string[];
}

export type GateVerdict = Allowed | Denied;

export const allowed = (
  files: Iterable<readonly [string, Buffer]>,
  abandoned: readonly string[] = [],
): Allowed => ({
  allow: true,
  files: new Map(files),
  abandoned,
});

export const denied = (status: DeniedStatus, code: string, message: string, hint = ''): Denied => ({
  allow: false,
  status,
  code,
  message,
  hint,
});

/** A parser's or a chain's refusal as an answer: too large is always 413, anything else the status given. */
export const deniedBy = (failure: Failure, status: DeniedStatus): Denied =>
  denied(failure.code === 'record-too-large' ? 413 : status, failure.code, failure.message, failure.hint);

/** The first of a verdict's reasons as an answer, and how many more there are. Throws RangeError for none. */
export function deniedFor(status: DeniedStatus, reasons: readonly Reason[]): Denied {
  const [first] = reasons;
  if (first === undefined) throw new RangeError('a refusal has a reason');
  const others = reasons.length > 1 ? ` (and ${reasons.length - 1} more)` : '';
  return denied(status, first.code, `${first.where}: ${first.text}${others}`, elsewhereHint(reasons));
}
