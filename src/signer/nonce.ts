/** The nonces of the builders' tickets, which only the signer can open (protocol §2, schemes `mac` and `enrol`). */
import { Failure, refused } from '../failure.ts';
import { builderOf } from '../policy/builder-key.ts';
import type { Approval } from '../records/approval.ts';
import type { Slot } from '../records/names.ts';
import { sha256Hex } from '../records/sha256.ts';
import type { Approved } from './approval.ts';
import { refuse } from './refuse.ts';
import type { Stop } from './result.ts';
import type { Round } from './signer.ts';

/**
 * The nonce of the slot, as the approval promises it. Throws unable(`nonce-locked`, `gpg-missing`);
 * refused(`nonce-unusable`) for anything else than that, which approvers signed: see `orRefused`.
 */
export async function nonceOf({ session }: Round, approval: Approval, slot: Slot): Promise<Buffer> {
  const builder = builderOf(approval, slot);
  if (builder.scheme === 'keypair') throw new RangeError(`builder ${slot} has no nonce`);
  const nonce = await session.nonces.open(builder.sealedNonce).catch((error: unknown) => {
    if (!(error instanceof Failure)) throw error;
    throw new Failure(error.kind, error.code, `builder ${slot}: ${error.message}`, error.hint, error);
  });
  if (sha256Hex(nonce) === builder.nonceSha256) return nonce;
  throw unusable(`builder ${slot}: the sealed nonce opens to another than ${builder.nonceSha256}`);
}

const unusable = (text: string): Failure => refused('nonce-unusable', text);

/** What `work` gives; a nonce that can't be used ends the build, for approvers signed it (§1 rule 7). Throws as `work`. */
export async function orRefused<T>(
  round: Round,
  approved: Approved,
  work: () => Promise<T>,
): Promise<T | Stop> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'nonce-unusable') throw error;
    return refuse(round, approved, [
      { code: 'nonce-unusable', where: 'approval.json: builders', text: error.message },
    ]);
  }
}
