/** The builds of a depot, page by page, as long as it makes sense: one that goes on listing is not believed. */
import { Failure, unable } from '../failure.ts';
import type { BuildId } from '../records/names.ts';
import type { Depot, Page } from './tree.ts';

/**
 * All builds after `after`, ascending.
 * Throws unable: `depot-listing` when there are more than `most` or a page without builds promises more, else what
 * keeps the depot from listing.
 */
export async function* listBuilds(
  depot: Depot,
  most: number,
  after: BuildId | null = null,
): AsyncGenerator<BuildId, void, undefined> {
  let listed = 0;
  for (let cursor = after; ;) {
    const { builds, next } = await page(depot, cursor);
    listed += builds.length;
    if (listed > most || (next !== null && builds.length === 0))
      throw unable(
        'depot-listing',
        listed > most ? `the depot lists more than ${most} builds` : 'the depot lists builds without end',
      );
    yield* builds;
    if (next === null) return;
    cursor = next;
  }
}

/**
 * All builds that hold a revocation, ascending: what the depot says, which may be anything. A page of them may be empty
 * and promise more, as it is made of so many builds looked at.
 * Throws unable: `depot-listing` for more than `most` builds or pages, else what keeps the depot from listing.
 */
export async function* listRevoked(depot: Depot, most: number): AsyncGenerator<BuildId, void, undefined> {
  let cursor: BuildId | null = null;
  for (let left = most; left > 0;) {
    const { builds, next }: Page = await page(depot, cursor, 'revoked');
    left -= Math.max(1, builds.length);
    yield* builds;
    if (next === null) return;
    cursor = next;
  }
  throw unable('depot-listing', 'the depot lists revoked builds without end');
}

/** A list that makes no sense is the depot's fault, not a verdict. */
async function page(
  depot: Depot,
  after: BuildId | null,
  which: 'builds' | 'revoked' = 'builds',
): Promise<Page> {
  try {
    return await depot[which](after);
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'refused') throw error;
    throw unable(error.code, `the depot can't list its builds: ${error.message}`, error.hint, error);
  }
}
