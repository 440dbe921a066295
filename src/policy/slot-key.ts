/** The key of a build's slot, for whoever has no nonce: in the approval, or where the log says that it was introduced. */
import { Failure, refused } from '../failure.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import type { Approval } from '../records/approval.ts';
import { parseEnrolment } from '../records/enrolment.ts';
import type { Enrolment } from '../records/enrolment.ts';
import type { Slot } from '../records/names.ts';
import { VARIANTS, enrolmentFile, enrolmentReceiptFile } from '../records/paths.ts';
import type { Variant } from '../records/paths.ts';
import type { LogTrust } from '../tlog/proof.ts';
import { attempt } from './attempt.ts';
import { builderOf, ephemeralCertificate } from './builder-key.ts';
import { verifyEnrolment } from './release-chain.ts';
import type { View } from './view.ts';

/**
 * The certificate that the slot's statement is verified with; null for a slot of scheme `mac`, whose statement convinces
 * the signer alone. `directory`: the build's, or the `countersign/` of its release.
 * Throws refused: `enrolment-unproven` where the log has taken no enrolment that is here; `key-unusable`, `slot-unknown`.
 */
export async function slotCertificate(
  approval: Approval,
  slot: Slot,
  directory: Pick<View, 'read'>,
  log: LogTrust,
): Promise<Certificate | null> {
  const builder = builderOf(approval, slot);
  switch (builder.scheme) {
    case 'keypair':
      return ephemeralCertificate(builder);
    case 'mac':
      return null;
    case 'enrol':
      return ephemeralCertificate((await provenEnrolment(approval, slot, directory, log)).enrolment);
  }
}

/**
 * The certificates that a statement of the slot may be verified with before the signer has said which: the approved one,
 * or those of all enrolments that are there; none for scheme `mac`. Throws refused: `key-unusable`, `slot-unknown`.
 */
export async function claimedCertificates(
  approval: Approval,
  slot: Slot,
  directory: Pick<View, 'read'>,
): Promise<Certificate[]> {
  const builder = builderOf(approval, slot);
  if (builder.scheme === 'keypair') return [ephemeralCertificate(builder)];
  const certificates: Certificate[] = [];
  for (const bytes of builder.scheme === 'mac' ? [] : await enrolmentsOf(directory, slot)) {
    const certificate = attempt(() => {
      const enrolment = parseEnrolment(bytes);
      const isIts = enrolment.build === approval.build && enrolment.slot === slot;
      return isIts ? ephemeralCertificate(enrolment) : null;
    });
    if (certificate !== null && !(certificate instanceof Failure)) certificates.push(certificate);
  }
  return certificates;
}

/** The enrolments of the slot that are there, whatever is in them. */
export async function enrolmentsOf(directory: Pick<View, 'read'>, slot: Slot): Promise<Buffer[]> {
  const all = await Promise.all(VARIANTS.map((variant) => directory.read(enrolmentFile(slot, variant))));
  return all.filter((bytes) => bytes !== null);
}

/** An enrolment that the log's receipt proves, as it lies there. */
export interface ProvenEnrolment {
  readonly variant: Variant;
  readonly bytes: Buffer;
  readonly receipt: Buffer;
  readonly enrolment: Enrolment;
}

/** The slot's, of the variants that are there. Throws refused(`enrolment-unproven`). */
export async function provenEnrolment(
  { build }: Approval,
  slot: Slot,
  directory: Pick<View, 'read'>,
  log: LogTrust,
): Promise<ProvenEnrolment> {
  const receipt = await directory.read(enrolmentReceiptFile(slot));
  for (const variant of receipt === null ? [] : VARIANTS) {
    const bytes = await directory.read(enrolmentFile(slot, variant));
    const proven = receipt && bytes && attempt(() => verifyEnrolment(receipt, bytes, log));
    if (!proven || proven instanceof Failure) continue;
    const { enrolment } = proven;
    if (enrolment.build === build && enrolment.slot === slot) return { variant, bytes, receipt, enrolment };
  }
  throw refused('enrolment-unproven', `the log's receipt for a key of builder ${slot} is not here`);
}
