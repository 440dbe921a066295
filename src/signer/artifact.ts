/** One large artifact, in a thread of its own: the one pass of protocol §5.5, as numbers. */
import { unable } from '../failure.ts';
import type { Failure } from '../failure.ts';
import type { Work } from '../host/workers.ts';
import { SignaturePass } from '../openpgp/pass.ts';
import type { Digests } from '../openpgp/pass.ts';
import { parsePublicKey } from '../openpgp/public-key.ts';
import type { HashName } from '../openpgp/signature-packet.ts';
import { scanPlace } from '../tree/place.ts';
import type { Place } from '../tree/tree.ts';

export interface ArtifactJob {
  readonly place: Place;
  readonly size: number;
  /** The signing key's packet, and the signature's hashed part. */
  readonly key: Uint8Array;
  readonly hash: HashName;
  readonly hashedPart: Uint8Array;
}

/** How many bytes are read between two words of progress. */
const PROGRESS_BYTES = 4 * 1024 * 1024;

const damaged = (text: string): Failure => unable('internal', `the signing key: ${text}`);

/** Null if that many bytes did not come, or none. Throws as `scanPlace`. */
export const work: Work<ArtifactJob, Digests | null, number> = async (job, { progress, signal }) => {
  const { place, size, key, hash, hashedPart } = job;
  const pass = new SignaturePass(parsePublicKey(Buffer.from(key), damaged), hash, Buffer.from(hashedPart));
  let unsaid = 0;
  const read = await scanPlace(place, size, (chunk) => {
    signal.throwIfAborted();
    pass.update(chunk);
    unsaid += chunk.length;
    if (unsaid < PROGRESS_BYTES) return;
    progress(unsaid);
    unsaid = 0;
  });
  progress(unsaid);
  if (read !== size) return null;
  const { check: _, ...digests } = pass.finish();
  return digests;
};
