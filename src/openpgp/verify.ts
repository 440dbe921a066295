/**
 * Our own verifier of detached signatures. It must agree with gpgv, asked as protocol §6 asks it, on every
 * case: `examineSignature` is what both begin with.
 */
import { Failure } from '../failure.ts';
import type { Fingerprint, Sha256 } from '../records/names.ts';
import { keyProblem } from './certificate.ts';
import type { Certificate, KeyProblem } from './certificate.ts';
import { leftPad } from './packet.ts';
import { SignaturePass, isLongEnough } from './pass.ts';
import type { PublicKey } from './public-key.ts';
import { parseSignature } from './signature.ts';
import type { DetachedSignature, HashName } from './signature.ts';

/** How far ahead of `now` a signature may be dated: the clocks of two hosts differ. */
export const CLOCK_TOLERANCE_SECONDS = 600;

export interface GoodSignature {
  ok: true;
  /** Whose signature it is: of two subkeys of one certificate this is the same. */
  primary: Fingerprint;
  signingKey: Fingerprint;
  /** Unix seconds. */
  created: number;
  hash: HashName;
}

export interface BadSignature {
  ok: false;
  code:
    | 'signature-malformed'
    | 'signature-of-other-key'
    | 'signature-from-future'
    | 'signature-older-than-key'
    | 'signature-bad'
    /** gpgv, asked as well, did not say exactly what it says of a good signature. */
    | 'gpgv-refused'
    | KeyProblem['code'];
  reason: string;
}

export type SignatureVerdict = GoodSignature | BadSignature;

/** A signature that is acceptable as far as that can be told without the data. */
export interface Examined {
  signature: DetachedSignature;
  key: PublicKey;
}

export interface Verification {
  /** To be fed with all of the data. */
  pass: SignaturePass;
  /** To be called once, at the end of the data. */
  conclude(): SignatureVerdict & { sha256: Sha256; size: number };
}

/**
 * Everything about a signature file that does not need the data: its form, whose it is, whether that key
 * may sign at `now`, and its date. Never throws on bad input.
 */
export function examineSignature(file: Buffer, certificate: Certificate, now: Date): Examined | BadSignature {
  // 1. One acceptable signature packet.
  const signature = parse(file);
  if ('ok' in signature) return signature;

  // 2. By a key of this certificate.
  const { issuerFingerprint, issuerKeyId, created } = signature;
  const key = certificate.keys
    .map((status) => status.key)
    .find(
      ({ fingerprint, keyId }) => keyId === issuerKeyId && fingerprint === (issuerFingerprint ?? fingerprint),
    );
  if (key === undefined) {
    const reason = `the signature is by ${issuerFingerprint ?? issuerKeyId}, not by ${certificate.primary.fingerprint}`;
    return bad('signature-of-other-key', reason);
  }
  const mismatch = mismatchOf(signature, key);
  if (mismatch !== null) return bad('signature-malformed', `the signature is not acceptable: ${mismatch}`);

  // 3. Which may sign now.
  const problem = keyProblem(certificate, key, now);
  if (problem !== null) return bad(problem.code, problem.reason);

  // 4. Dated between the key's creation and now.
  if (created > now.getTime() / 1000 + CLOCK_TOLERANCE_SECONDS) {
    return bad('signature-from-future', 'the signature is dated in the future');
  }
  if (created < key.created) {
    return bad('signature-older-than-key', `the signature is older than key ${key.fingerprint}`);
  }
  return { signature, key };
}

/**
 * Begins to verify data that comes in pieces. Never throws on bad input; `'pass' in` the answer tells a
 * verification begun from a signature refused already.
 */
export function beginVerify(file: Buffer, certificate: Certificate, now: Date): Verification | BadSignature {
  const examined = examineSignature(file, certificate, now);
  if ('ok' in examined) return examined;
  const { signature, key } = examined;
  const { hash, created, mpis } = signature;
  const pass = new SignaturePass(key, hash, signature.hashedPart);
  return {
    pass,
    conclude() {
      const { sha256, size, check } = pass.finish();
      // The packet's two octets of the digest are not compared: gpgv ignores them, and we are to agree.
      const verdict: SignatureVerdict = check(mpis)
        ? { ok: true, primary: certificate.primary.fingerprint, signingKey: key.fingerprint, created, hash }
        : bad('signature-bad', `the signature by ${key.fingerprint} does not fit these bytes`);
      return { ...verdict, sha256, size };
    },
  };
}

/** Whether `file` is a signature over exactly `data` by a key of the certificate. Never throws on bad input. */
export function verifyDetached(
  file: Buffer,
  data: Buffer,
  certificate: Certificate,
  now: Date,
): SignatureVerdict {
  const begun = beginVerify(file, certificate, now);
  if (!('pass' in begun)) return begun;
  begun.pass.update(data);
  const { sha256: _sha256, size: _size, ...verdict } = begun.conclude();
  return verdict;
}

/** What a key of this kind cannot have made, although gpgv takes some of it. */
function mismatchOf({ algorithmId, hash, mpis }: DetachedSignature, key: PublicKey): string | null {
  if (key.algorithmId !== algorithmId) return `its algorithm is not that of key ${key.fingerprint}`;
  if (!isLongEnough(hash, key)) return `its digest is too short for a key on ${key.curve}`;
  const number = leftPad(mpis[0] ?? Buffer.alloc(0), key.size);
  if (key.modulus !== null && (number === null || Buffer.compare(number, key.modulus) >= 0)) {
    return 'its number is not below the modulus of the key';
  }
  return null;
}

function parse(file: Buffer): DetachedSignature | BadSignature {
  try {
    return parseSignature(file);
  } catch (error) {
    if (error instanceof Failure && error.kind === 'refused')
      return bad('signature-malformed', error.message);
    throw error;
  }
}

const bad = (code: BadSignature['code'], reason: string): BadSignature => ({ ok: false, code, reason });
