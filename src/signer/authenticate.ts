/** Whether a person or a builder signed a record: both verifiers must say so (protocol §6). */
import { verifyWithGpgv } from '../openpgp/gpgv.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { verifyDetached } from '../openpgp/verify.ts';
import type { SignatureVerdict } from '../openpgp/verify.ts';

/**
 * The verdict of gpgv, where our own verifier agrees with it in every field; any disagreement is not valid.
 * A signature that isn't there is none. Throws unable (`gpgv-missing`, `gpgv-failed`).
 */
export async function authenticate(
  signature: Buffer | null,
  data: Buffer,
  certificate: Certificate,
  now: Date,
): Promise<SignatureVerdict> {
  if (signature === null) return { ok: false, code: 'signature-malformed', reason: 'it has no signature' };
  const ours = verifyDetached(signature, data, certificate, now);
  if (!ours.ok) return ours;
  const theirs = await verifyWithGpgv({ signature, data, certificate, now });
  if (!theirs.ok) return theirs;
  const agree =
    ours.primary === theirs.primary &&
    ours.signingKey === theirs.signingKey &&
    ours.created === theirs.created &&
    ours.hash === theirs.hash;
  return agree ? theirs : { ok: false, code: 'gpgv-refused', reason: 'gpgv and our own verifier disagree' };
}
