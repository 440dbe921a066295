/** What a file of a depot should be, and where its bytes may come from. */
import type { Sha256 } from '../../records/names.ts';

/** What is wrong with a file. */
export interface Problem {
  readonly code: string;
  readonly text: string;
}

export interface Expected {
  /** In the depot. */
  readonly path: string;
  /** Its digest, or what looks at its bytes and says what is wrong with them. */
  readonly is: Digest | ((bytes: Buffer) => Problem | null);
  /** Why it must be there; null if it need not. */
  readonly needed: string | null;
  /** Other files that have the same bytes, if they are whole. */
  readonly sources: readonly string[];
  /** Makes it of what else there is; null where that can't be. */
  readonly make?: (() => Promise<Buffer | null>) | undefined;
}

export interface Digest {
  readonly sha256: Sha256;
  readonly size: number | null;
  /** What names it. */
  readonly by: string;
  /** Its signature by the release key, which must fit it. */
  readonly signature?: string;
}

/** A file that is not the one that something names. */
export const otherBytes = (by: string): Problem => ({
  code: 'digest',
  text: `it is not the file that ${by} names`,
});
