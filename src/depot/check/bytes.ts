/** Digests of many files, and whether their signatures fit, in worker threads. */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Workers } from '../../host/workers.ts';
import type { Work } from '../../host/workers.ts';
import { parseCertificate } from '../../openpgp/certificate.ts';
import { DirectoryTree } from '../../tree/directory.ts';
import { inParallel } from '../../tree/parallel.ts';
import { batches } from '../../tree/wire.ts';
import { isUnreadable } from './facts.ts';
import { beginFit } from './signed.ts';

/** A file that is read once. */
export interface Asked {
  readonly path: string;
  readonly size: number;
  /** The path of its signature, if that is to be tried. */
  readonly signature: string | null;
}

export interface Answer {
  readonly path: string;
  /** Null for one that is gone, or can't be read. */
  readonly sha256: string | null;
  /** Whether the signature fits; null if it was not tried. */
  readonly fits: boolean | null;
  readonly unreadable: boolean;
}

interface Job {
  readonly directory: string;
  /** The project's release certificate. */
  readonly certificate: Uint8Array;
  readonly files: readonly Asked[];
}

/** All files of the job. Throws unable('disk') for what is more than one file's fault. */
export const work: Work<Job, Answer[], number> = async ({ directory, certificate, files }, { progress }) => {
  const tree = await DirectoryTree.open(directory);
  const key = parseCertificate(Buffer.from(certificate));
  const answers: Answer[] = [];
  for (const { path, size, signature } of files) {
    try {
      const made = signature === null ? null : await tree.read(signature);
      const begun = made && beginFit(made, key);
      const hash = createHash('sha256');
      const feed = begun?.pass ?? hash;
      const read = await tree.scan(path, size, (chunk) => {
        feed.update(chunk);
        progress(chunk.length);
      });
      const passed = begun?.conclude();
      const sha256 = read === size ? (passed?.sha256 ?? hash.digest('hex')) : null;
      answers.push({
        path,
        sha256,
        fits: signature === null ? null : (passed?.fits ?? false),
        unreadable: false,
      });
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      answers.push({ path, sha256: null, fits: null, unreadable: true });
    }
  }
  return answers;
};

/** What is hashed sooner than a thread has started. */
const LITTLE = { files: 200, bytes: 16 * 1024 * 1024 };

const workers = new Workers('check', work);

/** The answer for each file, on all cores. `progress` is told of bytes as they are read. Throws unable('disk'). */
export async function hashAll(
  job: Omit<Job, 'files'>,
  files: readonly Asked[],
  progress: (bytes: number) => void,
): Promise<Map<string, Answer>> {
  const answers = new Map<string, Answer>();
  const take = (some: readonly Answer[]): void => {
    for (const answer of some) answers.set(answer.path, answer);
  };
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  if (files.length <= LITTLE.files && bytes <= LITTLE.bytes) {
    take(await work({ ...job, files }, { progress, signal: new AbortController().signal }));
    return answers;
  }
  await inParallel(
    batches(files, ({ size }) => size),
    availableParallelism(),
    async (some) => take(await workers.run({ ...job, files: some }, { progress })),
  );
  return answers;
}
