/**
 * Sends what the statement names, then the statement: artifacts first, because the depot takes a statement only
 * when every file is there. What the depot has already is not sent again.
 */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { Failure } from '../failure.ts';
import { orNull } from '../host/files.ts';
import { slotsOf } from '../policy/builder-key.ts';
import { parseApproval } from '../records/approval.ts';
import { LARGE_RECORD_MAX, RECORD_MAX } from '../records/canonical.ts';
import { timestampDate } from '../records/names.ts';
import type { BuildId, Sha256 } from '../records/names.ts';
import { approvalFile, buildPath, statementFile } from '../records/paths.ts';
import { parseStatement } from '../records/statement.ts';
import type { Statement } from '../records/statement.ts';
import type { Subject } from '../records/statement.ts';
import { BATCH } from '../tree/tree.ts';
import type { Blob, Depot } from '../tree/tree.ts';
import { changed, hashArtifact, readSubject } from './hash.ts';
import type { Sealed } from './seal.ts';

/** Up to here a file travels with others in one request. */
const SMALL = 64 * 1024;

export interface UploadReport {
  progress(name: Subject['name'], done: number): void;
  warn(text: string): void;
}

/**
 * Sends the artifacts of a statement from below `base`. Returns how many were sent.
 *
 * Takes `resumed` when an earlier run signed: then files may have changed meanwhile, and the depot may have
 * some. A changed file that the depot has is a warning; one that it lacks throws refused `artifact-changed`,
 * for the statement can't be signed again. Throws what the depot throws.
 */
export async function uploadArtifacts(
  depot: Depot,
  { statement }: Sealed,
  base: string,
  resumed: boolean,
  report: UploadReport,
): Promise<number> {
  const { build, subjects, finishedOn } = statement;
  const batch = new Batch(depot, build);
  // an earlier run was told what the depot lacks: then it is asked for each
  const sealed = resumed ? new Set<Sha256>() : await sealedByOthers(depot, statement);
  let sent = 0;
  let bytes = 0;
  for (const subject of once(subjects)) {
    const path = join(base, subject.name);
    const small = subject.size <= SMALL;
    // asking costs as much as sending a small file: worth it only where the answer may be yes
    const present =
      sealed.has(subject.sha256) || ((resumed || !small) && (await depot.hasBlob(build, subject.sha256)));
    if (resumed && (await hasChanged(path, subject, timestampDate(finishedOn)))) {
      if (!present) throw changed(subject.name);
      report.warn(
        `${subject.name} has changed since the statement was signed; the depot keeps what was signed`,
      );
    }
    if (!present) {
      sent += 1;
      const progress = (done: number): void => report.progress(subject.name, bytes + done);
      if (small)
        await batch.add({
          sha256: subject.sha256,
          bytes: await buffer(readSubject(path, subject, progress)),
        });
      else
        await depot.putBlob(build, subject.sha256, subject.size, () => readSubject(path, subject, progress));
    }
    bytes += subject.size;
    report.progress(subject.name, bytes);
  }
  await batch.flush();
  return sent;
}

/**
 * What other builders of this build have sealed: the depot took their statements with every file in place. No more than a
 * hint: what it lacks all the same it says when our statement comes.
 */
async function sealedByOthers(depot: Depot, { build, slot }: Statement): Promise<Set<Sha256>> {
  const found = new Set<Sha256>();
  try {
    const approval = await depot.read(buildPath(build, approvalFile), RECORD_MAX);
    for (const other of approval === null ? [] : slotsOf(parseApproval(approval))) {
      if (other === slot) continue;
      const bytes = await depot.read(buildPath(build, statementFile(other)), LARGE_RECORD_MAX);
      for (const { sha256 } of bytes === null ? [] : parseStatement(bytes).subjects) found.add(sha256);
    }
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
  }
  return found;
}

/** Small files, gathered until a request is worth it. */
class Batch {
  readonly #depot: Depot;
  readonly #build: BuildId;
  #files: Blob[] = [];
  #bytes = 0;

  constructor(depot: Depot, build: BuildId) {
    this.#depot = depot;
    this.#build = build;
  }

  async add(file: Blob): Promise<void> {
    if (this.#bytes + file.bytes.length > BATCH.bytes || this.#files.length >= BATCH.files)
      await this.flush();
    this.#files.push(file);
    this.#bytes += file.bytes.length;
  }

  async flush(): Promise<void> {
    if (this.#files.length > 0) await this.#depot.putBlobs(this.#build, this.#files);
    this.#files = [];
    this.#bytes = 0;
  }
}

/** Subjects with bytes of their own: equal files are one blob. */
function* once(subjects: readonly Subject[]): Generator<Subject> {
  const seen = new Set<string>();
  for (const subject of subjects) {
    if (seen.has(subject.sha256)) continue;
    seen.add(subject.sha256);
    yield subject;
  }
}

/** Whether a file is not what was signed. Reads it only if its size is right and its time is not. */
async function hasChanged(path: string, subject: Subject, signedOn: Date): Promise<boolean> {
  const status = await orNull(lstat(path), `look at ${subject.name}`);
  if (status === null || !status.isFile() || status.size !== subject.size) return true;
  if (status.mtime < signedOn) return false;
  return (await hashArtifact({ name: subject.name, path })).sha256 !== subject.sha256;
}
