/** A builder's statement as it lies in the depot or is kept here, and whether it is that builder's (protocol §5 step 3). */
import { builderCertificate, builderOf } from '../policy/builder-key.ts';
import type { Authenticator } from '../policy/statement-verdict.ts';
import type { Approval } from '../records/approval.ts';
import { LARGE_RECORD_MAX, RECORD_MAX } from '../records/canonical.ts';
import { isMac } from '../records/mac.ts';
import type { Sha256, Slot } from '../records/names.ts';
import { buildPath, statementAuthenticatorFile, statementFile } from '../records/paths.ts';
import type { Variant } from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { authenticate } from './authenticate.ts';
import { enrolledCertificate } from './enrolment.ts';
import { nonceOf } from './nonce.ts';
import type { Round } from './signer.ts';

/** A statement and its authenticator, as they were read; nothing of it is believed. */
export interface Offered {
  readonly slot: Slot;
  readonly file: string;
  readonly bytes: Buffer;
  readonly authenticatorFile: string;
  readonly authenticator: Buffer | null;
}

/** The files of a statement of the slot, by its scheme. */
export const statementNames = (
  approval: Approval,
  slot: Slot,
  variant: Variant = 1,
): Pick<Offered, 'file' | 'authenticatorFile'> => ({
  file: statementFile(slot, variant),
  authenticatorFile: statementAuthenticatorFile(builderOf(approval, slot).scheme, slot, variant),
});

/** What the depot has of the slot, one at a time: each may be large. A place that a write left half empty hides none behind it. */
export async function* shownStatements(
  { depot }: Round,
  approval: Approval,
  slot: Slot,
  variants: readonly Variant[],
): AsyncGenerator<Offered, undefined> {
  for (const variant of variants) {
    const { file, authenticatorFile } = statementNames(approval, slot, variant);
    const bytes = await depot.read(buildPath(approval.build, file), LARGE_RECORD_MAX);
    if (bytes === null) continue;
    const authenticator = await depot.read(buildPath(approval.build, authenticatorFile), RECORD_MAX);
    yield { slot, file, bytes, authenticatorFile, authenticator };
  }
}

/** The statement that was logged, as it was kept. Throws unable(`state-damaged`, `disk`). */
export async function keptStatement(
  { state }: Round,
  approval: Approval,
  slot: Slot,
  sha256: Sha256,
): Promise<Offered> {
  const { build } = approval;
  const { file, authenticatorFile } = statementNames(approval, slot);
  const bytes = await state.kept(build, file, sha256);
  return { slot, file, bytes, authenticatorFile, authenticator: await state.read(build, authenticatorFile) };
}

/** Keeps both files, on the disk when this returns. Throws unable(`disk`). */
export async function keepStatement({ state }: Round, { build }: Approval, offered: Offered): Promise<void> {
  await state.write(build, offered.file, offered.bytes);
  await state.write(build, offered.authenticatorFile, offered.authenticator ?? Buffer.alloc(0));
}

/** The same of one beside it, by its digest: never over the one that the log has. Throws unable(`disk`). */
export const keepBeside = (round: Round, approval: Approval, offered: Offered): Promise<void> => {
  const directory = `beside/${sha256Hex(offered.bytes)}`;
  const file = `${directory}/${offered.file}`;
  const authenticatorFile = `${directory}/${offered.authenticatorFile}`;
  return keepStatement(round, approval, { ...offered, file, authenticatorFile });
};

/**
 * Whether it is its builder's, by the slot's scheme; null while the log has no key of a builder that enrols. Throws
 * unable; refused(`nonce-unusable`).
 */
export async function authenticatorOf(
  round: Round,
  approval: Approval,
  offered: Offered,
): Promise<Authenticator | null> {
  const { slot, bytes, authenticator } = offered;
  const { build } = approval;
  const signedBy = async (certificate: Certificate): Promise<Authenticator> => {
    const verdict = await authenticate(authenticator, bytes, certificate, round.now());
    return { kind: 'signature', verdict, key: certificate.primary.fingerprint };
  };
  switch (builderOf(approval, slot).scheme) {
    case 'keypair':
      return signedBy(builderCertificate(approval, slot));
    case 'enrol': {
      const certificate = await enrolledCertificate(round, approval, slot);
      return certificate && signedBy(certificate);
    }
    case 'mac': {
      const nonce = await nonceOf(round, approval, slot);
      const valid =
        authenticator !== null && isMac(authenticator, { purpose: 'statement', nonce, build, slot }, bytes);
      return { kind: 'mac', valid };
    }
  }
}
