/** The builders of an approval: their slots, ephemeral keys and upload tokens (protocol §2, §4, §6). */
import { refused } from '../failure.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { parseEphemeralCertificate } from '../openpgp/ephemeral.ts';
import type { Approval, Builder } from '../records/approval.ts';
import { decodeBase64Strict, isSlot, timestampDate } from '../records/names.ts';
import type { Slot, Timestamp } from '../records/names.ts';
import { matchesDigest } from './token.ts';

/** In ascending order. */
export const slotsOf = (approval: Approval): Slot[] => Object.keys(approval.builders).filter(isSlot).sort();

/** The builder of that slot. Throws refused(`slot-unknown`) for one that the approval does not have. */
export function builderOf(approval: Approval, slot: Slot): Builder {
  const builder = approval.builders[slot];
  if (builder === undefined) throw refused('slot-unknown', `build ${approval.build} has no slot ${slot}`);
  return builder;
}

/** An ephemeral key's certificate. Throws refused(`key-unusable`) for any but the one shape of §6. */
export const ephemeralCertificate = (holder: { readonly certificate: string }): Certificate =>
  parseEphemeralCertificate(decodeBase64Strict(holder.certificate, 'certificate'));

/**
 * The certificate that the approval names for a slot of scheme `keypair`. Throws as `ephemeralCertificate`, and for
 * builders of other schemes, whose keys are not in the approval.
 */
export function builderCertificate(approval: Approval, slot: Slot): Certificate {
  const builder = builderOf(approval, slot);
  if (builder.scheme === 'keypair') return ephemeralCertificate(builder);
  throw refused(
    'key-unusable',
    `builder ${slot} is of scheme ${builder.scheme}: its key is not in the approval`,
  );
}

/**
 * The certificates that the approval itself names, by slot: those of its `keypair` builders. Throws as
 * `ephemeralCertificate`.
 */
export function approvedCertificates(approval: Approval): Map<Slot, Certificate> {
  const certificates = new Map<Slot, Certificate>();
  for (const slot of slotsOf(approval)) {
    if (builderOf(approval, slot).scheme === 'keypair')
      certificates.set(slot, builderCertificate(approval, slot));
  }
  return certificates;
}

/** Unix seconds at which the ephemeral keys of an approval with this `notBefore` are created: an hour before (§6). */
export const ephemeralCreation = (notBefore: Timestamp): number =>
  timestampDate(notBefore).getTime() / 1000 - 3600;

/** The slot whose upload token this is; null when it is none of this approval. */
export const slotOfToken = (approval: Approval, token: Buffer): Slot | null =>
  slotsOf(approval).find((slot) => matchesDigest(token, approval.builders[slot]?.uploadTokenSha256)) ?? null;
