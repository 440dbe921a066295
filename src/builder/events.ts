/** What `attest` tells as it goes, and what it returns: the whole of what a person sees of it. */
import type { Scheme } from '../records/approval.ts';
import type { ArtifactName, BuildId, Fingerprint, Sha256, Slot, Timestamp } from '../records/names.ts';

export type AttestEvent =
  | {
      readonly kind: 'ticket';
      readonly build: BuildId;
      readonly slot: Slot;
      readonly project: string;
      readonly version: string;
    }
  | { readonly kind: 'warning'; readonly text: string }
  /** A key of this builder's own is kept, in `directory`; `resumed`: by an earlier run. */
  | {
      readonly kind: 'enrolling';
      readonly key: Fingerprint;
      readonly directory: string;
      readonly resumed: boolean;
    }
  /** The enrolment is on the depot; so long this waits for the signer. */
  | { readonly kind: 'waiting'; readonly key: Fingerprint; readonly until: Timestamp }
  /** The signer has taken the key, and the log says so. */
  | { readonly kind: 'enrolled'; readonly key: Fingerprint }
  | { readonly kind: 'running'; readonly command: string }
  | { readonly kind: 'found'; readonly artifacts: number; readonly bytes: number }
  /** `done` of `bytes` read so far; many a second. */
  | { readonly kind: 'hashing'; readonly name: ArtifactName; readonly done: number; readonly bytes: number }
  | {
      readonly kind: 'signed';
      readonly statement: Sha256;
      readonly artifacts: number;
      readonly scheme: Scheme;
    }
  /** A statement of an earlier run is sent; nothing is signed again. */
  | { readonly kind: 'resuming'; readonly statement: Sha256; readonly signedOn: string }
  /** The depot has `had` bytes of this large file, of an earlier run: the rest is sent. */
  | {
      readonly kind: 'going-on';
      readonly name: ArtifactName;
      readonly had: number;
      readonly size: number;
    }
  /** `done` of `bytes` are there; `had`: how many of them the depot had before. */
  | {
      readonly kind: 'uploading';
      readonly name: ArtifactName;
      readonly done: number;
      readonly had: number;
      readonly bytes: number;
    }
  | { readonly kind: 'sealed'; readonly statement: Sha256 };

export interface AttestResult {
  readonly build: BuildId;
  readonly slot: Slot;
  readonly project: string;
  readonly version: string;
  readonly scheme: Scheme;
  readonly statement: Sha256;
  readonly artifacts: number;
  readonly bytes: number;
  /** How many blobs were sent; the others were there already. */
  readonly uploaded: number;
  /** True if the statement was signed by an earlier run. */
  readonly resumed: boolean;
  /** False if the ticket stays where it came from, its secret with it: a variable, standard input, a credential. */
  readonly ticketRemoved: boolean;
}

export type Report = (event: AttestEvent) => void;
