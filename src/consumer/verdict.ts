/** What `verify` found, as data: everything that the spoken verdict says. */
import type { KeyFact } from '../openpgp/key-fact.ts';
import type { Mode } from '../records/approval.ts';
import type { Assurance } from '../records/assurance.ts';
import type { Fingerprint, Timestamp } from '../records/names.ts';

/** Stable codes of what can be wrong with a file or a release. */
export interface Finding {
  readonly code: string;
  /** One sentence, naming the file. Foreign text in it is not escaped. */
  readonly text: string;
  /** What may be done about it. */
  readonly hint?: string;
}

export interface FileVerdict {
  /** As given on the command line, or the artifact's name when a whole directory is checked. */
  readonly file: string;
  readonly valid: boolean;
  /** The artifact of the release that these bytes are; null when they are none. */
  readonly name: string | null;
  readonly sha256: string | null;
  readonly size: number | null;
  readonly findings: readonly Finding[];
}

/** What the log, the approvals and the manifest say of a release; all of it verified. */
export interface ReleaseFacts {
  readonly project: string;
  readonly version: string;
  readonly build: string;
  readonly artifacts: number;
  readonly signedAt: Timestamp;
  readonly releaseKey: KeyFact;
  readonly signingKey: Fingerprint;
  readonly approvers: readonly KeyFact[];
  readonly requester: Fingerprint;
  readonly threshold: number;
  /** Those that agreed, with their schemes. */
  readonly builders: Readonly<Record<string, string>>;
  /** How many had to agree, of how many. */
  readonly buildersNeeded: number;
  readonly buildersApproved: number;
  readonly assurance: Assurance;
  /** Whether the signer had read the artifacts, or only the states of their hashes. */
  readonly mode: Mode;
  readonly source: { readonly uri: string; readonly commit: string } | null;
  readonly command: string | null;
  readonly log: {
    readonly origin: string;
    readonly index: number;
    readonly size: number;
    readonly time: Timestamp;
  };
  /** Those of the project's that have cosigned the tree that the release is proven in, and when. */
  readonly witnesses: readonly { readonly name: string; readonly time: Timestamp }[];
  /** How many the project asks for, of how many that it names. */
  readonly quorum: number;
  readonly witnessesNamed: number;
}

/** The log as it was found when it was read on, after the release. */
export interface HeadFacts {
  /** Where it was read. */
  readonly log: string;
  readonly size: number;
  /** Time of the newest entry, by the signer's clock; null where the entries were not read. */
  readonly newest: Timestamp | null;
  /** The signed notes, of the release's proof and of the head: two of one key that contradict each other convict it. */
  readonly checkpoints: { readonly proof: string; readonly head: string };
}

/** The release was withdrawn, after it was made. */
export interface Withdrawal {
  /** Index in the log. */
  readonly entry: number;
  /** By the signer's clock. */
  readonly time: Timestamp;
  /** Approvers who withdrew it, and why: by their own revocations, as the log names them. */
  readonly reasons: readonly {
    readonly approver: Fingerprint;
    readonly userId: string;
    readonly reason: string;
  }[];
  /** How many more the entry names, whose revocations are not shown or not theirs: the log key alone names nobody. */
  readonly unshown: number;
}

/**
 * `valid`: everything below holds. `signature-only`: the release key signed these bytes, nothing more is known.
 * `not-valid`: a verdict. `incomplete`: the copy lacks files of the release, so no verdict (exit 3).
 */
export type Outcome = 'valid' | 'signature-only' | 'not-valid' | 'incomplete';

export interface Verdict {
  readonly outcome: Outcome;
  readonly files: readonly FileVerdict[];
  /** null for `signature-only` and where the release itself is not valid or not complete. */
  readonly release: ReleaseFacts | null;
  /** With `signature-only`: the key and the time in the signature. */
  readonly signature: {
    readonly key: KeyFact;
    readonly signingKey: Fingerprint;
    readonly created: Timestamp;
  } | null;
  /** null where the log was not read, or could not be. */
  readonly head: HeadFacts | null;
  /** null where the log does not say so, or was not read. */
  readonly revoked: Withdrawal | null;
  /** Findings about the release as a whole. */
  readonly findings: readonly Finding[];
  /** What should be known of it, and does not make it less valid. */
  readonly warnings: readonly Finding[];
  /** In the order done: short clauses, "the log proof of entry 4 under the key of the project file". */
  readonly checked: readonly string[];
  /** What was not checked, and why: short clauses. */
  readonly notChecked: readonly string[];
}

/** Codes of what is no fault of the bytes: something to judge them by is not here. */
const MISSING: ReadonlySet<string> = new Set(['release-incomplete', 'release-missing', 'signature-missing']);

export const isMissing = ({ code }: Finding): boolean => MISSING.has(code);

/** What is wrong counts for more than what is missing. For what is not valid: without any finding it is just that. */
export const badOutcome = (findings: readonly Finding[]): 'not-valid' | 'incomplete' =>
  findings.length > 0 && findings.every(isMissing) ? 'incomplete' : 'not-valid';

/** A file of which nothing is known yet. */
export const unjudged = (file: string): FileVerdict => ({
  file,
  valid: false,
  name: null,
  sha256: null,
  size: null,
  findings: [],
});
