/** Revocations on their way from one depot into another: of any build, however long ago it ended. */
import { Failure } from '../../failure.ts';
import { MAX_SIGNATURE_BYTES } from '../../openpgp/signature.ts';
import { RECORD_MAX } from '../../records/canonical.ts';
import { approvalFile, revocationFile, revocationSignatureFile } from '../../records/paths.ts';
import type { Passage } from './passage.ts';

/** Carries each person's that the other depot lacks, where it knows the build. Throws unable. */
export async function carryRevocations(passage: Passage): Promise<void> {
  if (!passage.revoked || !(await passage.isThere(approvalFile))) return;
  for (const { primary } of passage.project.approvers) {
    const { fingerprint } = primary;
    const [name, signatureName] = [revocationFile(fingerprint), revocationSignatureFile(fingerprint)];
    // one with other bytes is as good as this: the gate there took it
    if (await passage.isThere(name)) continue;
    const bytes = await passage.take(name, RECORD_MAX);
    const signature = bytes && (await passage.take(signatureName, MAX_SIGNATURE_BYTES));
    if (!bytes || !signature) continue;
    try {
      await passage.submit(
        new Map([
          [signatureName, signature],
          [name, bytes],
        ]),
      );
    } catch (error) {
      if (!(error instanceof Failure) || error.kind !== 'refused') throw error;
      passage.spoil(error);
    }
  }
}
