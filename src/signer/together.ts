/**
 * What a depot shows of a release, asked for many files at a time. Of what does not come so, or comes otherwise, nothing
 * is known yet: asking for it by itself tells. A store of plain files answers no such question at all.
 */
import { Failure } from '../failure.ts';
import type { ProjectName, Version } from '../records/names.ts';
import type { Subject } from '../records/statement.ts';
import { inParallel } from '../tree/parallel.ts';
import { BATCH } from '../tree/tree.ts';
import type { Depot } from '../tree/tree.ts';
import { batches } from '../tree/wire.ts';

/** Requests at a time. */
export const REQUESTS = 4;

export interface ShownRelease {
  readonly depot: Depot;
  readonly project: ProjectName;
  readonly version: Version;
}

/** The names of those files that are shown as they should be. */
export async function shownSame(
  { depot, project, version }: ShownRelease,
  files: Iterable<readonly [name: string, bytes: Buffer]>,
): Promise<Set<string>> {
  const small = [...files]
    .filter(([, bytes]) => bytes.length <= BATCH.fileBytes)
    .map(([name, bytes]) => ({ name, bytes, size: bytes.length }));
  return inBatches(
    batches(small, ({ size }) => size),
    async (batch) => {
      const shown = await depot.fetchReleased(project, version, batch);
      return batch.filter(({ bytes }, at) => shown[at]?.equals(bytes));
    },
  );
}

/** The names of those artifacts that are shown with the size that they should have. */
export async function shownAsLarge(
  { depot, project, version }: ShownRelease,
  subjects: Iterable<Subject>,
): Promise<Set<string>> {
  return inBatches(
    batches(subjects, () => 0),
    async (batch) => {
      const names = batch.map(({ name }) => name);
      const sizes = await depot.releasedSizes(project, version, names);
      return batch.filter(({ size }, at) => sizes[at] === size);
    },
  );
}

async function inBatches<File extends { readonly name: string }>(
  files: Iterable<File[]>,
  ask: (batch: readonly File[]) => Promise<readonly File[]>,
): Promise<Set<string>> {
  const found = new Set<string>();
  let connected = true;
  await inParallel(files, REQUESTS, async (batch) => {
    if (!connected) return;
    try {
      for (const { name } of await ask(batch)) found.add(name);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      // else each would be tried, and waited for, again and again
      if (error.code === 'network') connected = false;
    }
  });
  return found;
}
