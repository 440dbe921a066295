/**
 * The bytes of a blob on their way into a stage. What comes is gathered, and while the disk takes what was gathered the
 * next comes and is hashed.
 */
import { createHash } from 'node:crypto';
import { refused } from '../failure.ts';
import type { Failure } from '../failure.ts';
import type { Sha256 } from '../records/names.ts';
import type { BlobRef, Stage } from './tree.ts';

/** Of this size 2 GiB are written with half the work of 64 KiB, and larger ones are no faster. */
const GATHERED = 512 * 1024;
/** Tiny pieces take more room than their bytes. */
const GATHERED_CHUNKS = 64;
/** Each holds two of them, one that comes and one that is written: the more there are the smaller they are. */
const GATHERED_TOGETHER = 16 * 1024 * 1024;
/** How many are being received, into whatever tree. */
let receiving = 0;

/** Where an upload goes on: what is there, and, when it is whole, all of it once more. */
interface Begun {
  readonly size: number;
  read(): AsyncIterable<Buffer>;
}

/**
 * Writes what comes, and returns when the stage has a file of that size and digest: hashed as it comes, or, behind what was
 * there before, read again from the disk at the end.
 * Throws refused('blob-mismatch') as soon as it can't become one, what the source throws, unable('disk').
 */
export async function receive(
  stage: Stage,
  { sha256, size }: BlobRef,
  source: AsyncIterable<Buffer>,
  begun: Begun | null = null,
): Promise<void> {
  const hash = createHash('sha256');
  let received = begun?.size ?? 0;
  let gathered: Buffer[] = [];
  let bytes = 0;
  let writing = Promise.resolve();
  const write = async (): Promise<void> => {
    const chunks = gathered;
    gathered = [];
    bytes = 0;
    await writing;
    writing = stage.write(...chunks);
    // whoever awaits it is told; until then it is no fault that nobody heard of
    writing.catch(() => {});
  };
  receiving += 1;
  try {
    for await (const chunk of source) {
      received += chunk.length;
      if (received > size) throw mismatch(sha256, 'more bytes than it said');
      if (!begun) hash.update(chunk);
      gathered.push(chunk);
      bytes += chunk.length;
      const enough = Math.min(GATHERED, GATHERED_TOGETHER / (2 * receiving));
      if (bytes >= enough || gathered.length === GATHERED_CHUNKS) await write();
    }
  } finally {
    receiving -= 1;
    // also what came before the break, for an upload that goes on
    if (bytes > 0) await write();
    await writing;
  }
  if (received !== size) throw mismatch(sha256, 'fewer bytes than it said');
  if (begun) for await (const chunk of begun.read()) hash.update(chunk);
  if (hash.digest('hex') !== sha256) throw mismatch(sha256, 'another digest');
}

/** What is not what it is called. */
export const mismatch = (sha256: Sha256, how: string): Failure =>
  refused('blob-mismatch', `what came as blob ${sha256} has ${how}`);
