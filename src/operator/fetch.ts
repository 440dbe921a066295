/**
 * `status --fetch`: what each builder of a build made, side by side, for somebody who wants to see why it is not the same.
 * The files are in quarantine: an approver's signed request reads them (protocol §4), and nobody has vouched for them.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, mkdir, open, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { refused, unable, usage } from '../failure.ts';
import { diskFailure, errorCode, makeDirectory, writeFully } from '../host/files.ts';
import { disagreementsOf } from '../policy/quorum.ts';
import type { ReadAuthority } from '../policy/gate/token.ts';
import type { Project } from '../policy/project.ts';
import type { Approval } from '../records/approval.ts';
import { timestamp } from '../records/names.ts';
import type { BuildId, Fingerprint, Sha256 } from '../records/names.ts';
import { blobFile, buildPath } from '../records/paths.ts';
import { encodeReadRequest } from '../records/read-request.ts';
import type { Subject } from '../records/subject.ts';
import type { Depot } from '../tree/tree.ts';
import { signAsApprover } from './approver.ts';
import type { Version } from './versions.ts';

export interface Fetching {
  /** Where to; made if it is not there, else empty. */
  readonly directory: string;
  readonly approver: Fingerprint;
  /** Of the depot, as it knows itself. */
  readonly url: string;
  readonly now: () => Date;
  /** The depot, opened with a request. */
  readonly open: (readRequest: ReadAuthority) => Promise<Depot>;
  readonly report: (name: string) => void;
}

/** What lies in a directory of its own now. */
export interface Fetched {
  /** The slot, `b1`, or `b1.2` for a second statement of it. */
  readonly name: string;
  readonly directory: string;
  readonly checked: boolean;
  /** What was not checked; null: its statement is signed with the key that is the builder's. */
  readonly unchecked: string | null;
  readonly files: number;
  readonly bytes: number;
  /** Artifacts that the depot does not hold. */
  readonly missing: readonly string[];
}

/** A request is good for five minutes by the depot's clock. */
const RENEW_MS = 4 * 60_000;

/**
 * Writes `DIRECTORY/<slot>/<name>` for every artifact of these versions, each of the size and digest that its statement
 * says; all or none are there. Throws usage (`directory-not-empty`), refused (`blob-mismatch`, the depot's no), unable.
 */
export async function fetchVersions(
  project: Project,
  { build }: Approval,
  versions: readonly Version[],
  fetching: Fetching,
): Promise<Fetched[]> {
  await makeEmpty(fetching.directory);
  const reader = new Reader(project, build, fetching);
  try {
    const have = new Map<Sha256, string>();
    const fetched: Fetched[] = [];
    for (const { name, statement, unchecked } of versions) {
      const directory = join(fetching.directory, name);
      const missing: string[] = [];
      let [files, bytes] = [0, 0];
      await mkdir(directory);
      for (const subject of statement.subjects) {
        const path = join(directory, subject.name);
        fetching.report(`${name}/${subject.name}`);
        await makeDirectory(dirname(path), 0o700);
        const earlier = have.get(subject.sha256);
        if (earlier !== undefined) await copyFile(earlier, path, constants.COPYFILE_EXCL);
        else if (!(await reader.write(subject, path))) {
          missing.push(subject.name);
          continue;
        }
        have.set(subject.sha256, path);
        [files, bytes] = [files + 1, bytes + subject.size];
      }
      fetched.push({ name, directory, checked: unchecked === null, unchecked, files, bytes, missing });
    }
    return fetched;
  } catch (error) {
    // the same command again finds the directory as empty as it was, and the disk too
    for (const { name } of versions)
      await rm(join(fetching.directory, name), { recursive: true, force: true }).catch(() => {});
    throw diskFailure(error, `write below ${fetching.directory}`);
  } finally {
    reader.close();
  }
}

/** One of each that differ from each other, in order: what is to be compared. One alone, if all are the same. */
export function differing(versions: readonly Version[]): string[] {
  const kinds: Version[] = [];
  for (const version of versions) {
    const differs = ({ statement }: Version): boolean =>
      disagreementsOf([statement.subjects, version.statement.subjects]).length > 0;
    if (kinds.every(differs)) kinds.push(version);
  }
  return kinds.map(({ name }) => name);
}

/** Nothing of somebody else's is written over, and nothing there, a link say, leads elsewhere. */
async function makeEmpty(directory: string): Promise<void> {
  try {
    await mkdir(directory, { mode: 0o700 });
    return;
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw diskFailure(error, `make ${directory}`);
  }
  const names = await readdir(directory).catch((error: unknown) => {
    throw diskFailure(error, `look into ${directory}`);
  });
  if (names.length > 0)
    throw usage('directory-not-empty', `${directory} is not empty`, 'name a directory that is not there yet');
}

/** The depot, asked with a request that is renewed in time. */
class Reader {
  readonly #project: Project;
  readonly #build: BuildId;
  readonly #fetching: Fetching;
  #depot: Depot | null = null;
  #signed = 0;

  constructor(project: Project, build: BuildId, fetching: Fetching) {
    this.#project = project;
    this.#build = build;
    this.#fetching = fetching;
  }

  /** False if the depot has no such bytes. */
  async write({ name, size, sha256 }: Subject, path: string): Promise<boolean> {
    const depot = await this.#open();
    const file = await depot.open(buildPath(this.#build, blobFile(sha256)));
    if (file === null) return false;
    const wrong = refused(
      'blob-mismatch',
      `${name}: the depot sends other bytes than ${sha256}`,
      'was it cut or changed on the way? countersign check there says whether it lies there whole',
    );
    const output = await open(path, 'wx', 0o600);
    try {
      const hash = createHash('sha256');
      let left = size;
      for await (const chunk of file.stream) {
        const bytes = chunkOf(chunk);
        left -= bytes.length;
        if (left < 0) throw wrong;
        hash.update(bytes);
        await writeFully(output, bytes);
      }
      if (left !== 0 || hash.digest('hex') !== sha256) throw wrong;
      return true;
    } catch (error) {
      // half a file, or another one, would be compared as if it were the builder's
      await rm(path, { force: true });
      throw error;
    } finally {
      file.stream.destroy();
      await output.close();
    }
  }

  async #open(): Promise<Depot> {
    if (this.#depot !== null && performance.now() - this.#signed < RENEW_MS) return this.#depot;
    this.close();
    const { approver, url, now, open: openWith } = this.#fetching;
    const request = {
      signer: this.#project.log.origin,
      build: this.#build,
      depot: url,
      time: timestamp(now()),
    };
    const bytes = encodeReadRequest(request);
    const signature = await signAsApprover(this.#project, approver, bytes);
    this.#signed = performance.now();
    this.#depot = await openWith({ bytes, signature });
    return this.#depot;
  }

  close(): void {
    this.#depot?.close();
    this.#depot = null;
  }
}

function chunkOf(chunk: unknown): Buffer {
  if (Buffer.isBuffer(chunk)) return chunk;
  throw unable('network', 'the depot sends something else than bytes');
}
