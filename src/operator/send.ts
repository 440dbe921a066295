/** Records on their way to the depot: sent once, and there or not, whatever the answer says. */
import { Failure, unable } from '../failure.ts';
import type { BuildId } from '../records/names.ts';
import { buildPath } from '../records/paths.ts';
import type { Depot } from '../tree/tree.ts';

/**
 * Submits the records of a build, the one that matters first. The answer may be lost and not the record. Or it says yes
 * and comes from something that is no depot. So what counts is what the depot shows. Throws refused, unable (`code`
 * where it took what it does not show).
 */
export async function sendRecords(
  depot: Depot,
  build: BuildId,
  files: ReadonlyMap<string, Buffer>,
  code = 'record-not-shown',
): Promise<void> {
  const failure = await failureOf(depot.submit(build, files));
  const [first] = files;
  const shown = first && (await shows(depot, buildPath(build, first[0]), first[1]));
  if (shown ?? failure === null) return;
  throw failure ?? unable(code, `the depot does not show ${first?.[0]}, which it took`, 'is this the depot?');
}

/** What the work failed with; null if it did not. */
async function failureOf(work: Promise<unknown>): Promise<Failure | null> {
  try {
    await work;
    return null;
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}

/** Whether it has these bytes there; null where the depot can't be reached. */
async function shows(depot: Depot, path: string, bytes: Buffer): Promise<boolean | null> {
  try {
    return (await depot.read(path, bytes.length))?.equals(bytes) ?? false;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return error.code === 'network' ? null : false;
  }
}
