/** Artifacts on their way from one depot into another: small ones together, large ones as streams. */
import { Readable } from 'node:stream';
import { Failure, refused } from '../../failure.ts';
import type { Manifest } from '../../records/manifest.ts';
import type { Sha256 } from '../../records/names.ts';
import { blobFile, buildPath, releaseDir, releaseProofFile } from '../../records/paths.ts';
import { sha256Hex } from '../../records/sha256.ts';
import type { Subject } from '../../records/statement.ts';
import { inParallel } from '../parallel.ts';
import type { Passage } from './passage.ts';
import type { Blob } from '../tree.ts';
import { batches } from '../wire.ts';

/** Up to here artifacts travel together. */
const SMALL = 64 * 1024;
const STREAMS = 3;
const ASKED_AT_ONCE = 8;

/** Equal files once. */
const distinct = (subjects: readonly Subject[]): Subject[] => [
  ...new Map(subjects.map((subject) => [subject.sha256, subject])).values(),
];

/** Those that the other depot lacks; null where it does not tell. Throws unable. */
export async function lackingBlobs(
  { to, build }: Passage,
  subjects: readonly Subject[],
): Promise<Subject[] | null> {
  const present = new Set<Sha256>();
  const wanted = distinct(subjects);
  try {
    await inParallel(wanted, ASKED_AT_ONCE, async ({ sha256, size }) => {
      // one of another size is a broken copy: sending it makes the depot say so
      if ((await to.size(buildPath(build, blobFile(sha256)))) === size) present.add(sha256);
    });
  } catch (error) {
    if (error instanceof Failure && error.kind === 'refused') return null;
    throw error;
  }
  return wanted.filter(({ sha256 }) => !present.has(sha256));
}

/** Where the artifacts of a passage are read. */
export interface BlobSource {
  /** The path of one by itself. */
  path(subject: Subject): string;
  /** Small ones together, as far as they are there. Throws what it says of any of them. */
  fetch(batch: readonly Subject[]): Promise<Blob[]>;
}

/** Builds show theirs only to the signer. */
export const quarantine = ({ build, from: { depot } }: Passage): BlobSource => ({
  path: ({ sha256 }) => buildPath(build, blobFile(sha256)),
  async fetch(batch) {
    const blobs: Blob[] = [];
    for await (const blob of depot.fetchBlobs(build, batch)) blobs.push(blob);
    return blobs;
  },
});

/** A published release shows them to everybody; null if it is not published. */
export async function publishedSource(
  { from: { depot } }: Passage,
  { project, version }: Manifest,
): Promise<BlobSource | null> {
  const target = releaseDir(project, version);
  if ((await depot.size(`${target}/countersign/${releaseProofFile}`)) === null) return null;
  return {
    path: ({ name }) => `${target}/${name}`,
    async fetch(batch) {
      const blobs: Blob[] = [];
      await inParallel(batch, ASKED_AT_ONCE, async ({ name, sha256, size }) => {
        const bytes = await depot.read(`${target}/${name}`, size);
        if (bytes) blobs.push({ sha256, bytes });
      });
      return blobs;
    },
  };
}

/** Whether all of them are there now. What is missing or wrong spoils the passage, the others travel all the same. Throws unable. */
export async function carryBlobs(
  passage: Passage,
  subjects: readonly Subject[],
  source: BlobSource,
): Promise<boolean> {
  const wanted = distinct(subjects);
  const carrying = new Carrying(passage, wanted, source);
  const small = wanted.filter(({ size }) => size <= SMALL);
  for (const batch of batches(small, ({ size }) => size)) await carrying.together(batch);
  // by itself: each large one, and each small one that did not come, came wrong, or was not taken
  const rest = wanted.filter(({ sha256 }) => !carrying.done.has(sha256));
  await inParallel(rest, STREAMS, (subject) => carrying.alone(subject));
  return carrying.done.size === wanted.length;
}

class Carrying {
  readonly done = new Set<Sha256>();
  readonly #passage: Passage;
  readonly #source: BlobSource;
  readonly #total: number;
  #bytes = 0;

  constructor(passage: Passage, subjects: readonly Subject[], source: BlobSource) {
    this.#passage = passage;
    this.#source = source;
    this.#total = subjects.reduce((sum, { size }) => sum + size, 0);
  }

  async together(batch: readonly Subject[]): Promise<void> {
    const { to, build } = this.#passage;
    try {
      const blobs = await this.#source.fetch(batch);
      const good = blobs.filter(({ sha256, bytes }) => sha256Hex(bytes) === sha256);
      await to.putBlobs(build, good);
      for (const { sha256, bytes } of good) {
        this.done.add(sha256);
        this.#passage.count(bytes.length);
        this.#progress(bytes.length);
      }
    } catch (error) {
      // Whatever it was, sending each by itself tells which. Not a connection that is gone: that is all of them.
      if (!(error instanceof Failure) || error.code === 'network') throw error;
    }
  }

  async alone(subject: Subject): Promise<void> {
    const { to, build } = this.#passage;
    const { sha256, size, name } = subject;
    try {
      const source = (): Readable => Readable.from(this.#read(subject), { objectMode: false });
      if ((await to.putBlob(build, sha256, size, source)) === 'new') this.#passage.count(size);
      this.done.add(sha256);
    } catch (error) {
      if (!(error instanceof Failure) || error.kind !== 'refused') throw error;
      this.#passage.spoil(refused(error.code, `${name}: ${error.message}`, error.hint, error));
    }
  }

  async *#read(subject: Subject): AsyncGenerator<Buffer, void, undefined> {
    const { sha256, size } = subject;
    const path = this.#source.path(subject);
    const file = await this.#passage.from.depot.open(path);
    if (file === null) throw refused('blob-missing', `there is no ${path}`, 'copy it again');
    try {
      if (file.size !== size)
        throw refused(
          'blob-mismatch',
          `${sha256} has ${file.size} bytes there, not ${size}`,
          'copy it again',
        );
      for await (const chunk of file.stream as AsyncIterable<Buffer>) {
        this.#progress(chunk.length);
        yield chunk;
      }
    } finally {
      file.stream.destroy();
    }
  }

  /** A second attempt counts again: no more than all of it is shown. */
  #progress(bytes: number): void {
    this.#bytes += bytes;
    this.#passage.progress(Math.min(this.#bytes, this.#total), this.#total);
  }
}
