/**
 * The signer's state directory (`signer/`, mode 0700): log key, signer token, journal, and what is kept of
 * each build. Protocol §5, last paragraph.
 */
import type { Sha256 } from '../records/names.ts';
import type { Project } from '../policy/project.ts';

/** What an open state directory gives; whoever has it holds the lock. */
export interface SignerState {
  readonly directory: string;
  /** Secret: lets the signer read blobs in quarantine. */
  readonly token: Buffer;
  close(): Promise<void>;
}

/** The public halves of a new state directory, for the project file. */
export interface NewState {
  readonly logKey: string;
  readonly tokenSha256: Sha256;
}

/**
 * Makes the directory with a new log key, whose log is named `origin`, and a new signer token.
 * Throws usage(`state-exists`) if it is there, unable(`disk`).
 */
export async function createState(_directory: string, _origin: string): Promise<NewState> {
  throw new Error('not written yet');
}

/**
 * Opens and locks it. Throws usage (not there, not mode 0700, another user's, keys of another project),
 * unable (`locked`, `journal-damaged`, `disk`).
 */
export async function openState(_directory: string, _project: Project): Promise<SignerState> {
  throw new Error('not written yet');
}
