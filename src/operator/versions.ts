/** What the builders of a build say they made: each statement that is a builder's, as far as an approver can tell. */
import { Failure } from '../failure.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { MAX_SIGNATURE_BYTES } from '../openpgp/signature.ts';
import { verifyDetached } from '../openpgp/verify.ts';
import { attempt } from '../policy/attempt.ts';
import { builderCertificate, builderOf, ephemeralCertificate, slotsOf } from '../policy/builder-key.ts';
import type { Approval } from '../records/approval.ts';
import { LARGE_RECORD_MAX, RECORD_MAX } from '../records/canonical.ts';
import { parseEnrolment } from '../records/enrolment.ts';
import type { Slot } from '../records/names.ts';
import {
  VARIANTS,
  buildPath,
  enrolmentFile,
  statementFile,
  statementSignatureFile,
} from '../records/paths.ts';
import { parseStatement } from '../records/statement.ts';
import type { Statement } from '../records/statement.ts';
import type { Depot } from '../tree/tree.ts';

/** One statement. */
export interface Version {
  /** Its slot, `b1`; a second statement of it is `b1.2`. */
  readonly name: string;
  readonly statement: Statement;
  /** Its signature was checked; the MAC of another scheme only the signer can. */
  readonly checked: boolean;
}

export interface Versions {
  readonly versions: readonly Version[];
  /** Statements that are nobody's word, and why; a sentence each. */
  readonly left: readonly string[];
}

/** Reads the statements of every slot, variants too. Throws unable. */
export async function readVersions(depot: Depot, approval: Approval, now: Date): Promise<Versions> {
  const versions: Version[] = [];
  const left: string[] = [];
  for (const slot of slotsOf(approval)) {
    const isMac = builderOf(approval, slot).scheme === 'mac';
    const certificates = isMac ? [] : await certificatesOf(depot, approval, slot);
    for (const variant of VARIANTS) {
      const file = statementFile(slot, variant);
      const bytes = await depot.read(buildPath(approval.build, file), LARGE_RECORD_MAX);
      if (bytes === null) continue;
      const signatureFile = buildPath(approval.build, statementSignatureFile(slot, variant));
      const signature = isMac ? null : await depot.read(signatureFile, MAX_SIGNATURE_BYTES);
      const checked =
        signature !== null && certificates.some((key) => verifyDetached(signature, bytes, key, now).ok);
      const statement = checked || isMac ? attempt(() => parseStatement(bytes)) : null;
      if (statement === null) left.push(`${file} is not signed by builder ${slot}`);
      else if (statement instanceof Failure) left.push(`${file}: ${statement.message}`);
      else versions.push({ name: variant === 1 ? slot : `${slot}.${variant}`, statement, checked });
    }
  }
  return { versions, left };
}

/** The slot's keys: the one that was approved, or all that were introduced. Which of those counts the signer decides. */
async function certificatesOf(depot: Depot, approval: Approval, slot: Slot): Promise<Certificate[]> {
  if (builderOf(approval, slot).scheme === 'keypair') return [builderCertificate(approval, slot)];
  const certificates: Certificate[] = [];
  for (const variant of VARIANTS) {
    const bytes = await depot.read(buildPath(approval.build, enrolmentFile(slot, variant)), RECORD_MAX);
    const certificate = bytes && attempt(() => ephemeralCertificate(parseEnrolment(bytes)));
    if (certificate !== null && !(certificate instanceof Failure)) certificates.push(certificate);
  }
  return certificates;
}
