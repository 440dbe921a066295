/** The builders of an approval: their slots, ephemeral keys and upload tokens (protocol §2, §4, §6). */
import { refused } from '../failure.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { parseEphemeralCertificate } from '../openpgp/ephemeral.ts';
import type { Approval } from '../records/approval.ts';
import { decodeBase64Strict, isSlot, timestampDate } from '../records/names.ts';
import type { Slot, Timestamp } from '../records/names.ts';
import { matchesDigest } from './token.ts';

/** In ascending order. */
export const slotsOf = (approval: Approval): Slot[] => Object.keys(approval.builders).filter(isSlot).sort();

/**
 * The certificate of the slot's ephemeral key. Throws refused(`key-unusable`) for any but the one shape of
 * §6, and for a slot that the approval does not have.
 */
export function builderCertificate(approval: Approval, slot: Slot): Certificate {
  const builder = approval.builders[slot];
  if (builder === undefined) throw refused('key-unusable', `build ${approval.build} has no slot ${slot}`);
  return parseEphemeralCertificate(decodeBase64Strict(builder.certificate, `builders.${slot}.certificate`));
}

/** Unix seconds at which the ephemeral keys of an approval with this `notBefore` are created: an hour before (§6). */
export const ephemeralCreation = (notBefore: Timestamp): number =>
  timestampDate(notBefore).getTime() / 1000 - 3600;

/** The slot whose upload token this is; null when it is none of this approval. */
export const slotOfToken = (approval: Approval, token: Buffer): Slot | null =>
  slotsOf(approval).find((slot) => matchesDigest(token, approval.builders[slot]?.uploadTokenSha256)) ?? null;
