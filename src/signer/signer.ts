/** What a signer works with, and what it says while it works. */
import type { Mode, Scheme, Source } from '../records/approval.ts';
import type { Assurance } from '../records/assurance.ts';
import type {
  ArtifactName,
  BuildId,
  Fingerprint,
  ProjectName,
  Sha256,
  Slot,
  Version,
} from '../records/names.ts';
import type { Passed } from '../openpgp/pass.ts';
import type { Project } from '../policy/project.ts';
import type { Depot, Tree } from '../tree/tree.ts';
import type { Nonces } from './nonces.ts';
import type { LogMemory, LogPush } from './push.ts';
import type { ReleaseAgent, SigningAgent } from './release-agent.ts';
import type { BuildResult } from './result.ts';
import type { SignerState } from './state.ts';

export interface Signer {
  /** Read from its file whenever it is called: approvers are counted again right before an intent. */
  readonly loadProject: () => Promise<Project>;
  /** Opened with the signer token. */
  readonly depot: Depot;
  /** The same depot without a token: what a consumer sees, for the receipt. */
  readonly publicDepot: Depot;
  readonly state: SignerState;
  /** The directory that verified artifacts are written to as well; null for none. */
  readonly keep: Tree | null;
  /** Whether what it signs is published at the end; else the next run sees to that. */
  readonly wait: boolean;
  /** Called when there is something to sign, and when a connection was lost. */
  readonly connectAgent: () => Promise<SigningAgent>;
  /** Shows what is about to be signed and says whether to; asked once the records are judged, before artifacts are read. */
  readonly ask: (question: SigningQuestion) => Promise<boolean>;
  readonly report: (event: SignerEvent) => void;
  readonly now: () => Date;
}

/** What a signer remembers from round to round, and may forget. */
export interface Session {
  readonly agent: ReleaseAgent;
  /** The artifacts of the build whose signing was broken off last, verified: they need not be read again. */
  verified: { readonly build: BuildId; readonly passed: ReadonlyMap<Sha256, Passed> } | null;
  readonly log: LogMemory;
  readonly nonces: Nonces;
  /** Once it is aborted a round ends with the build at hand; null: rounds are never cut short. */
  readonly stop: AbortSignal | null;
  /** The builds that went on waiting when they were looked at last. */
  open: Set<BuildId>;
  /** When the releases that are out were looked at last, in milliseconds. */
  releasesSeen: number | null;
  /** Paths of statements that came after their build's intent, and agree with it. */
  readonly agreeing: Set<string>;
}

/** A round of it. */
export interface Round extends Signer {
  /** As its file was when the round began. */
  readonly project: Project;
  readonly session: Session;
  /** The log on its way out. */
  readonly log: LogPush;
}

/** A builder that vouches for what is to be signed. */
export interface AskedBuilder {
  readonly slot: Slot;
  readonly scheme: Scheme;
  /** Digest of its statement. */
  readonly statement: Sha256;
  readonly id: string;
  readonly command: string | null;
}

/** Everything a person must see before the release key is used for a build. */
export interface SigningQuestion {
  readonly build: BuildId;
  readonly project: ProjectName;
  readonly version: Version;
  readonly source: Source | null;
  readonly artifacts: readonly { readonly name: ArtifactName; readonly size: number }[];
  readonly bytes: number;
  readonly mode: Mode;
  /** Those that agree, ascending by slot. */
  readonly builders: readonly AskedBuilder[];
  /** How many builders there are in all, and how many have to agree. */
  readonly slots: number;
  readonly quorum: number;
  readonly assurance: Assurance;
  readonly approvers: readonly { readonly fingerprint: Fingerprint; readonly userId: string }[];
  readonly threshold: number;
  readonly releaseKey: { readonly fingerprint: Fingerprint; readonly userId: string };
  /** The primary or subkey that will sign. */
  readonly signingKey: Fingerprint;
}

export type SignerEvent =
  /** A build whose intent is logged: nobody is asked again. */
  | { readonly kind: 'continuing'; readonly decided: SigningQuestion }
  /** `done` of `bytes` read so far; many a second. */
  | { readonly kind: 'reading'; readonly build: BuildId; readonly done: number; readonly bytes: number }
  | { readonly kind: 'signing'; readonly build: BuildId; readonly done: number; readonly signatures: number }
  /** The signatures are made and on their way, or the depot verifies them; how far it is nobody says. */
  | { readonly kind: 'delivering'; readonly build: BuildId; readonly files: number; readonly step: string }
  /** Something a person should know that changes nothing, of a build or of all; one line. */
  | { readonly kind: 'note'; readonly build: BuildId | null; readonly text: string }
  /** A build is done with for this round; results come in this order. */
  | { readonly kind: 'result'; readonly result: BuildResult }
  /** The same, of a build that a depot that is away kept unfinished: a note has said that of all. For programs. */
  | { readonly kind: 'unreached'; readonly result: BuildResult };
