/** Hashes many files: the short ones one after the other in this thread, the long ones beside them, on all cores. */
import { availableParallelism } from 'node:os';
import { setImmediate as breathe } from 'node:timers/promises';
import { Workers } from '../host/workers.ts';
import type { Work } from '../host/workers.ts';
import type { Subject } from '../records/statement.ts';
import { inParallel } from '../tree/parallel.ts';
import type { Report } from './events.ts';
import { SHORT, hashArtifact, hashShort } from './hash.ts';
import type { Found } from './walk.ts';

/** Below that a thread takes longer to start than to hash. */
export const THREADS_FROM = 64 * 1024 * 1024;
/** How long this thread hashes before it looks whether anything else is to be done: a signal, a connection. */
const TURN_MS = 10;

/** Told of each file once its digest is known; `bytes` are those of a short one, good until it returns. */
export type Hashed = (file: Found, subject: Subject, bytes: Buffer | null) => void;

/** What a thread does: one long file. */
export const work: Work<Found, Subject, number> = (file, { progress, signal }) =>
  hashArtifact(file, progress, signal);

/**
 * The subjects of all of these files, in their order. Throws as `hashArtifact`, also for a short file that is not short any
 * more, and what `hashed` throws.
 */
export async function hashAll(
  found: readonly Found[],
  report: Report,
  hashed: Hashed = () => {},
  signal?: AbortSignal,
): Promise<Subject[]> {
  const bytes = found.reduce((sum, { size }) => sum + size, 0);
  report({ kind: 'found', artifacts: found.length, bytes });
  let done = 0;
  const advance = ({ name }: Found, by: number): void => {
    done += by;
    report({ kind: 'hashing', name, done, bytes });
  };
  const subjects = new Map<Found, Subject>();
  const take = (file: Found, subject: Subject, content: Buffer | null): void => {
    subjects.set(file, subject);
    hashed(file, subject, content);
  };

  const failed = new AbortController();
  const stop = AbortSignal.any([failed.signal, ...(signal ? [signal] : [])]);
  const both = [
    hashLong(found, stop, advance, (file, subject) => take(file, subject, null)),
    hashShortOnes(found, stop, (file) => {
      const short = hashShort(file);
      take(file, short.subject, short.bytes);
      advance(file, short.subject.size);
    }),
  ];
  try {
    await Promise.all(both);
  } catch (error) {
    failed.abort(error);
    await Promise.allSettled(both);
    throw error;
  }
  return found.flatMap((file) => subjects.get(file) ?? []);
}

async function hashShortOnes(
  found: readonly Found[],
  stop: AbortSignal,
  each: (file: Found) => void,
): Promise<void> {
  let began = performance.now();
  for (const file of found) {
    if (file.size > SHORT) continue;
    each(file);
    if (performance.now() - began < TURN_MS) continue;
    await breathe();
    stop.throwIfAborted();
    began = performance.now();
  }
}

async function hashLong(
  found: readonly Found[],
  signal: AbortSignal,
  advance: (file: Found, by: number) => void,
  each: (file: Found, subject: Subject) => void,
): Promise<void> {
  const long = found.filter(({ size }) => size > SHORT);
  const bytes = long.reduce((sum, { size }) => sum + size, 0);
  // one that is alone leaves this thread nothing else to do
  const workers =
    found.length > 1 && bytes >= THREADS_FROM ? new Workers<Found, Subject, number>('hash', work) : null;
  try {
    await inParallel(long, availableParallelism(), async (file) => {
      let before = 0;
      const progress = (read: number): void => {
        advance(file, read - before);
        before = read;
      };
      each(file, await (workers?.run(file, { progress, signal }) ?? hashArtifact(file, progress, signal)));
    });
  } finally {
    await workers?.close();
  }
}
