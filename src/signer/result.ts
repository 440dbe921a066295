/** What a round did with each build, and the exit status that follows from it. */
import type { Failure } from '../failure.ts';
import type { BuildState } from '../policy/state.ts';
import type { BuildId } from '../records/names.ts';
import type { ReasonCode } from '../records/refusal.ts';

/**
 * How this run left a build.
 *
 * - `published`: the release is visible and was read back
 * - `sent`: signed, and the depot has it; to publish it is left to the next run, as was asked for
 * - `waiting`: for approvals, its time, its statement; nobody did wrong
 * - `void`: its approval is nobody's word; a verdict for whoever named it, nothing to everybody else
 * - `declined`: the person at the signer said no to the question
 * - `decided`: refused, frozen or expired by an earlier run, expired without a statement, or revoked: what approvers may
 *   do at any time is nobody's wrong
 * - `refused`: refused or frozen for good by this run
 * - `bad`: wrong or missing bytes or a bad authenticator; rule 7: tried again on every run
 * - `unfinished`: network, disk, agent; tried again
 */
export type Outcome =
  'published' | 'sent' | 'waiting' | 'void' | 'declined' | 'decided' | 'refused' | 'bad' | 'unfinished';

/** What a build meets that ends nothing, or was no refusal; docs/refusals.md has each, with its cure. */
export const STOP_CODES = [
  // it waits
  'approval-waits',
  'statement-waits',
  'enrolment-open',
  'declined',
  // the depot or the network could have done it: tried again
  'approval-missing',
  'approval-invalid',
  'build-taken',
  'enrolment-invalid',
  'statement-invalid',
  'statement-missing',
  'artifact-missing',
  'artifact-wrong',
  'proof-insufficient',
  'release-differs',
  // of digest mode, on this host: tried again
  'release-key-certifies',
  'release-key-ecdsa',
  // the log, or a state that was lost
  'intent-invalid',
  'closed',
  // approvers ended it
  'revoked',
] as const;
export type StopCode = (typeof STOP_CODES)[number] | ReasonCode;

/** Where a build stands when this run is done with it. */
export interface Standing {
  readonly outcome: Outcome;
  /** As far as the log says; `unknown` for a build that it does not have. */
  readonly state: BuildState | 'unknown';
  /** A `StopCode`, or that of the failure that kept it unfinished; null where all is well. */
  readonly code: string | null;
  /** One line for a person; may quote foreign text, which the terminal escapes. */
  readonly text: string;
  /** What to do next; empty when there is nothing to do. */
  readonly hint: string;
}

export interface Tally {
  /** As the statement names them; 0 before there is one. */
  readonly artifacts: number;
  readonly bytes: number;
  /** First read of an artifact to last signature stored, in this run. */
  readonly signSeconds: number;
  /** From there, or from the start of this run's delivery, to the release read back, or sent. */
  readonly publishSeconds: number;
}

export interface BuildResult extends Standing, Tally {
  readonly build: BuildId;
}

/** What a round did. */
export interface RoundResult {
  readonly results: readonly BuildResult[];
  /** Why the log could not go out at its end; null if it did, or had nothing new. */
  readonly log: Failure | null;
}

/** A build that goes no further in this run, as a value: what a step returns instead of its result. */
export class Stop {
  readonly standing: Standing;

  constructor(outcome: Outcome, state: Standing['state'], code: StopCode | null, text: string, hint = '') {
    this.standing = { outcome, state, code, text, hint };
  }
}

/**
 * The exit status of `sign --once` (cli.md, last section): 1 if this run refused, froze or found wrong bytes
 * or a bad authenticator in a sealed build, if a person said no to one (as with `approve`), or if a build in `named`
 * is not published because of a verdict;
 * else 3 if one could not be finished, or the log not sent; else 0. Builds decided earlier or still waiting do not count.
 */
export function exitStatus({ results, log }: RoundResult, named: readonly BuildId[] = []): 0 | 1 | 3 {
  const verdicts = new Set<Outcome>(['refused', 'bad', 'declined']);
  const verdictsOfNamed = new Set<Outcome>([...verdicts, 'decided', 'void']);
  const isVerdict = ({ build, outcome }: BuildResult) =>
    (named.includes(build) ? verdictsOfNamed : verdicts).has(outcome);
  if (results.some(isVerdict)) return 1;
  return log !== null || results.some(({ outcome }) => outcome === 'unfinished') ? 3 : 0;
}
