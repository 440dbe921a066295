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

/** The names of those files that are shown as they should be. Throws unable(`network`). */
export async function shownSame(
  { depot, project, version }: ShownRelease,
  files: Iterable<readonly [name: string, bytes: Buffer]>,
): Promise<Set<string>> {
  const same = new Set<string>();
  const small = [...files]
    .filter(([, bytes]) => bytes.length <= BATCH.fileBytes)
    .map(([name, bytes]) => ({ name, bytes, size: bytes.length }));
  await inParallel(
    batches(small, ({ size }) => size),
    REQUESTS,
    (batch) =>
      orNothing(async () => {
        const shown = await depot.fetchReleased(project, version, batch);
        for (const [at, { name, bytes }] of batch.entries()) if (shown[at]?.equals(bytes)) same.add(name);
      }),
  );
  return same;
}

/** The names of those artifacts that are shown with the size that they should have. Throws unable(`network`). */
export async function shownAsLarge(
  { depot, project, version }: ShownRelease,
  subjects: Iterable<Subject>,
): Promise<Set<string>> {
  const same = new Set<string>();
  await inParallel(
    batches(subjects, () => 0),
    REQUESTS,
    (batch) =>
      orNothing(async () => {
        const names = batch.map(({ name }) => name);
        const sizes = await depot.releasedSizes(project, version, names);
        for (const [at, { name, size }] of batch.entries()) if (sizes[at] === size) same.add(name);
      }),
  );
  return same;
}

async function orNothing(ask: () => Promise<void>): Promise<void> {
  try {
    await ask();
  } catch (error) {
    // one request at a time would not get through either
    if (!(error instanceof Failure) || error.code === 'network') throw error;
  }
}
