/** What the builders of a build say they made: each statement that is a builder's, as far as an approver can tell. */
import { Failure } from '../failure.ts';
import { MAX_SIGNATURE_BYTES } from '../openpgp/signature.ts';
import { verifyDetached } from '../openpgp/verify.ts';
import { attempt } from '../policy/attempt.ts';
import { builderOf, slotsOf } from '../policy/builder-key.ts';
import { claimedCertificates } from '../policy/slot-key.ts';
import type { Approval } from '../records/approval.ts';
import { LARGE_RECORD_MAX } from '../records/canonical.ts';
import type { Slot } from '../records/names.ts';
import { VARIANTS, buildPath, statementFile, statementSignatureFile } from '../records/paths.ts';
import type { Variant } from '../records/paths.ts';
import { parseStatement } from '../records/statement.ts';
import type { Statement } from '../records/statement.ts';
import type { Depot } from '../tree/tree.ts';
import { directoryOf } from './evidence.ts';

/** One statement. */
export interface Version {
  /** Its slot, `b1`; a second statement of it is `b1.2`. */
  readonly name: string;
  readonly slot: Slot;
  readonly variant: Variant;
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
    const certificates = await claimedCertificates(approval, slot, directoryOf(depot, approval.build));
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
      else
        versions.push({
          name: variant === 1 ? slot : `${slot}.${variant}`,
          slot,
          variant,
          statement,
          checked,
        });
    }
  }
  return { versions, left };
}
