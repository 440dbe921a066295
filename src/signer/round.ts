/** One round of `sign`: every build that waits, each on its own, in ascending order. Protocol §5. */
import type { BuildId } from '../records/names.ts';
import type { BuildResult } from './result.ts';
import type { Signer } from './signer.ts';

/**
 * Handles the builds in `named`, or, if it is empty, all that the depot has or that an earlier run left
 * unfinished. A build's fault is its result and stops no other build.
 * Throws usage (no usable release key, configuration), unable (the depot can't be listed).
 */
export async function runRound(_signer: Signer, _named: readonly BuildId[] = []): Promise<BuildResult[]> {
  throw new Error('not written yet');
}
