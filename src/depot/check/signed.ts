/**
 * Whether a signature fits its bytes, whatever has become of the key since: here it is asked what a disk has kept, not
 * whom to believe.
 */
import { Failure } from '../../failure.ts';
import type { Certificate } from '../../openpgp/certificate.ts';
import { SignaturePass } from '../../openpgp/pass.ts';
import { parseSignature } from '../../openpgp/signature.ts';
import { attempt } from '../../policy/attempt.ts';

/** A pass over the data; null for what is no signature by a key of this certificate. */
export function beginFit(
  signature: Buffer,
  certificate: Certificate,
): {
  readonly pass: SignaturePass;
  readonly conclude: () => ReturnType<SignaturePass['finish']> & { fits: boolean };
} | null {
  const parsed = attempt(() => parseSignature(signature));
  if (parsed instanceof Failure) return null;
  const { issuerFingerprint, issuerKeyId, hash, hashedPart, mpis } = parsed;
  const key = certificate.keys
    .map((status) => status.key)
    .find(
      (each) => each.keyId === issuerKeyId && each.fingerprint === (issuerFingerprint ?? each.fingerprint),
    );
  if (key === undefined || key.algorithmId !== parsed.algorithmId) return null;
  const pass = new SignaturePass(key, hash, hashedPart);
  return {
    pass,
    conclude() {
      const passed = pass.finish();
      return { ...passed, fits: passed.check(mpis) };
    },
  };
}

/** Whether it is a signature over these bytes by a key of the certificate. */
export function fits(signature: Buffer, bytes: Buffer, certificate: Certificate): boolean {
  const begun = beginFit(signature, certificate);
  begun?.pass.update(bytes);
  return begun?.conclude().fits === true;
}
