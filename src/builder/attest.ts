/**
 * `attest`, the whole of the builder's work: run the build if asked, hash what it made, sign one statement
 * that seals it, send it, forget the key. Protocol §1 and §2 (statement).
 */
import type { Readable } from 'node:stream';
import type { ArtifactName, BuildId, Sha256, Slot } from '../records/names.ts';
import type { Depot } from '../tree/tree.ts';

export interface AttestOptions {
  /** `--ticket`: a file, `-` for standard input, null to look in the environment. */
  readonly ticket: string | null;
  /** Files and directories; names are relative to `base`. */
  readonly paths: readonly string[];
  readonly base: string;
  /** Patterns (protocol §2) of names that a walk leaves out. */
  readonly exclude: readonly string[];
  /** `--run`: a shell command that makes the artifacts, run in the working directory before anything is read. */
  readonly run: string | null;
  /** `--run-as`: the user it runs as. */
  readonly runAs: string | null;
  /** Where `COUNTERSIGN_TICKET`, `CREDENTIALS_DIRECTORY`, `STATE_DIRECTORY` and the like are looked up. */
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  readonly stdin: Readable;
  readonly now: () => Date;
  /** Opens the depot that the ticket names (or that `--depot` names instead). */
  readonly connect: (ticket: TicketDepot) => Depot | Promise<Depot>;
}

/** What a ticket says of its depot. The token is secret. */
export interface TicketDepot {
  readonly url: string;
  readonly insecureHttp: boolean;
  readonly token: Buffer;
}

export type AttestEvent =
  | {
      readonly kind: 'ticket';
      readonly build: BuildId;
      readonly slot: Slot;
      readonly project: string;
      readonly version: string;
    }
  | { readonly kind: 'warning'; readonly text: string }
  | { readonly kind: 'running'; readonly command: string }
  | { readonly kind: 'found'; readonly artifacts: number; readonly bytes: number }
  /** `done` of `bytes` read so far; many a second. */
  | { readonly kind: 'hashing'; readonly name: ArtifactName; readonly done: number; readonly bytes: number }
  | { readonly kind: 'signed'; readonly statement: Sha256; readonly artifacts: number }
  /** A statement of an earlier run is sent; nothing is signed again. */
  | { readonly kind: 'resuming'; readonly statement: Sha256; readonly signedOn: string }
  | { readonly kind: 'uploading'; readonly name: ArtifactName; readonly done: number; readonly bytes: number }
  | { readonly kind: 'sealed'; readonly statement: Sha256 };

export interface AttestResult {
  readonly build: BuildId;
  readonly slot: Slot;
  readonly project: string;
  readonly version: string;
  readonly statement: Sha256;
  readonly artifacts: number;
  readonly bytes: number;
  /** How many blobs were sent; the others were there already. */
  readonly uploaded: number;
  /** True if the statement was signed by an earlier run. */
  readonly resumed: boolean;
}

/**
 * Attests. Returns once the depot holds artifacts, statement and signatures, and the key and the ticket are gone.
 * Throws usage (no ticket, bad paths), refused (bad names, expired ticket, another statement was there first),
 * unable (disk, network: run again, the same statement is sent).
 */
export async function attest(
  _options: AttestOptions,
  _report: (event: AttestEvent) => void,
): Promise<AttestResult> {
  throw new Error('not written yet');
}
