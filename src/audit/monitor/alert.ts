/** What a monitor says. */

export type AlertCode =
  /** Two signed checkpoints that cannot both be of one log. */
  | 'fork'
  /** The log had more entries. */
  | 'rollback'
  /** What is there is not what was signed. */
  | 'damaged'
  /** The newest entry is older than the project allows, or a witness has seen more than is shown. */
  | 'stale-head'
  /** The head is not cosigned by as many witnesses as the project asks for. */
  | 'witnesses'
  /** A release that nobody expected. */
  | 'unexpected-release'
  /** Builders disagreed after it was decided to sign. */
  | 'conflict'
  /** An entry of another project, which its signer never writes. */
  | 'foreign'
  /** An entry that no log may have there. */
  | 'order'
  /** One that is dated long before those before it. */
  | 'time'
  | 'entry-malformed';

export interface Alert {
  readonly code: AlertCode;
  readonly text: string;
  /** Where it is about an entry. */
  readonly index?: number;
  readonly build?: string;
  readonly version?: string;
  /** Signed notes, whole. */
  readonly evidence?: readonly string[];
}

/** What is as it should be, as far as anybody said: a release; that one was withdrawn, or a build revoked before. */
export interface News {
  readonly news: 'release' | 'withdrawal' | 'revocation';
  readonly index: number;
  readonly time: string;
  readonly build: string;
  readonly project: string;
  readonly version: string;
}
