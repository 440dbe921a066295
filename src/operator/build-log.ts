/** What the signer's log, as the depot has it, says of a build: read under the log key, so that it is not the depot's word. */
import { Failure } from '../failure.ts';
import { attempt } from '../policy/attempt.ts';
import type { Project } from '../policy/project.ts';
import { parseLogEntry } from '../records/log-entry.ts';
import type { BuildEntry, BuildEntryType } from '../records/log-entry.ts';
import type { BuildId, Timestamp } from '../records/names.ts';
import { LogReader, depotLog } from '../tree/log/reader.ts';
import type { Head } from '../tree/log/reader.ts';
import type { Depot } from '../tree/tree.ts';

export interface BuildLog {
  /** How many entries the log has; null where it could not be read, or there is none. */
  readonly size: number | null;
  /** Those of the build. */
  readonly entries: readonly {
    readonly index: number;
    readonly type: BuildEntryType;
    readonly time: Timestamp;
  }[];
  /** Why it could not be read; null if it was. */
  readonly problem: string | null;
}

/** Reads the whole log for the build's entries. Throws no Failure. */
export async function readBuildLog(
  project: Project,
  depot: Depot,
  build: BuildId,
  progress: (done: number, entries: number) => void,
): Promise<BuildLog> {
  try {
    const reader = logOf(project, depot);
    const head = await reader.head();
    if (head === null) return { size: null, entries: [], problem: 'the depot has no log' };
    const entries = [];
    for await (const { index, entry } of entriesOf(reader, head, build, 0, progress))
      entries.push({ index, type: entry.type, time: entry.time });
    return { size: head.checkpoint.size, entries, problem: null };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { size: null, entries: [], problem: error.message };
  }
}

/**
 * The builds whose release is logged, and its index: those that are asked for. Empty where the log can't be read; throws
 * no Failure.
 */
export async function loggedReleases(
  project: Project,
  depot: Depot,
  builds: ReadonlySet<BuildId>,
  progress: (done: number, entries: number) => void,
): Promise<ReadonlyMap<BuildId, number>> {
  const releases = new Map<BuildId, number>();
  try {
    const reader = logOf(project, depot);
    const head = await reader.head();
    if (head === null) return releases;
    for await (const { index, leaf } of reader.entries(head, 0)) {
      progress(index + 1, head.checkpoint.size);
      if (!leaf.includes('"release"')) continue;
      const entry = attempt(() => parseLogEntry(leaf));
      if (!(entry instanceof Failure) && entry.type === 'release' && builds.has(entry.build))
        releases.set(entry.build, index);
    }
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
  }
  return releases;
}

export const logOf = ({ log }: Project, depot: Depot): LogReader => new LogReader(depotLog(depot), log);

/** The build's entries from `from` on. Throws refused, unable, as the reader. */
export async function* entriesOf(
  reader: LogReader,
  head: Head,
  build: BuildId,
  from: number,
  progress: (done: number, entries: number) => void = () => {},
): AsyncGenerator<{ readonly index: number; readonly entry: BuildEntry }, void, undefined> {
  for await (const { index, leaf } of reader.entries(head, from)) {
    progress(index + 1 - from, head.checkpoint.size - from);
    // most are of other builds: to parse them all takes a minute a million
    if (!leaf.includes(build)) continue;
    // an entry of a kind that a newer signer has says nothing here
    const entry = attempt(() => parseLogEntry(leaf));
    if (!(entry instanceof Failure) && entry.type !== 'heartbeat' && entry.build === build)
      yield { index, entry };
  }
}
