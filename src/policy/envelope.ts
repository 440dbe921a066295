/** The statement's second form, for other tools: held against the first, which is the one that decides (protocol §2, "statement"). */
import { verify } from 'node:crypto';
import { Failure } from '../failure.ts';
import type { PublicKey } from '../openpgp/public-key.ts';
import { PAYLOAD_TYPE, paeBytes, parseEnvelope } from '../records/dsse.ts';
import { attempt } from './attempt.ts';

/** Why the envelope is not these bytes signed by this key (DSSE v1.0); null when it is. */
export function envelopeProblem(envelope: Buffer, bytes: Buffer, key: PublicKey): string | null {
  const parsed = attempt(() => parseEnvelope(envelope));
  if (parsed instanceof Failure) return parsed.message;
  if (!parsed.payload.equals(bytes)) return 'its payload is not the statement';
  const [{ keyid, sig }] = parsed.signatures;
  // Nobody signs the key id, but other tools show it.
  if (keyid !== key.fingerprint) return 'its key id is not the fingerprint of the key';
  const { keyObject } = key;
  if (keyObject === null || !verify(null, paeBytes(PAYLOAD_TYPE, bytes), keyObject, sig))
    return 'its signature is wrong';
  return null;
}
