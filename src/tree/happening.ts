/** What happens to a depot in this process: for whoever waits for it, and for whoever counts. */
import type { BuildId } from '../records/names.ts';
import type { Tally } from './tree.ts';

export type Happening =
  /** Records of the build are new: an approval, a statement, a release …; or it is published. */
  | { readonly kind: 'changed'; readonly build: BuildId }
  /** A blob is whole and new. */
  | { readonly kind: 'received'; readonly build: BuildId; readonly bytes: number }
  /** A run of the second verification ended, well or not. */
  | { readonly kind: 'published'; readonly build: BuildId; readonly seconds: number; readonly ok: boolean }
  /** The log has grown, or got cosignatures. */
  | { readonly kind: 'logged' }
  | DroppedFiles;

/** What was given up was dropped: so many files, so large together, of one build or of any. */
interface DroppedFiles extends Tally {
  readonly kind: 'dropped';
  /** Of a closed set, for a counter. */
  readonly what: Dropped;
  readonly build: BuildId | null;
}

/** Why files went: see policy/retention.ts. */
export type Dropped = 'unnamed' | 'unapproved' | 'refused' | 'abandoned';

/** Told after the fact; throws nothing. */
export type Heard = (happening: Happening) => void;

/** Where anything went at all. */
export function tellDropped(
  heard: Heard,
  what: Dropped,
  tally: Tally | null,
  build: BuildId | null = null,
): void {
  if (tally !== null && tally.files > 0) heard({ kind: 'dropped', what, build, ...tally });
}
