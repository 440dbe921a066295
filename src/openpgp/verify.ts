/** in flight */
import type { Fingerprint, Sha256 } from '../records/names.ts';
import type { Certificate } from './certificate.ts';
import type { SignaturePass } from './pass.ts';
import type { PublicKey } from './public-key.ts';
import type { DetachedSignature, HashName } from './signature.ts';

export interface GoodSignature {
  ok: true;
  primary: Fingerprint;
  signingKey: Fingerprint;
  /** Unix seconds. */
  created: number;
  hash: HashName;
}

export interface BadSignature {
  ok: false;
  code: string;
  reason: string;
}

export type SignatureVerdict = GoodSignature | BadSignature;

/** A signature that is acceptable as far as it can be without the data. */
export interface Examined {
  signature: DetachedSignature;
  key: PublicKey;
}

/** Everything that can be judged without the data. Never throws on bad input. */
export function examineSignature(
  _signature: Buffer,
  _certificate: Certificate,
  _now: Date,
): Examined | BadSignature {
  throw new Error('in flight');
}

export interface Verification {
  pass: SignaturePass;
  conclude(): SignatureVerdict & { sha256: Sha256; size: number };
}

/** For streams: feed `pass`, then `conclude`. Discriminate with `'pass' in begun`. */
export function beginVerify(
  _signature: Buffer,
  _certificate: Certificate,
  _now: Date,
): Verification | BadSignature {
  throw new Error('in flight');
}

/** Never throws on bad input. */
export function verifyDetached(
  _signature: Buffer,
  _data: Buffer,
  _certificate: Certificate,
  _now: Date,
): SignatureVerdict {
  throw new Error('in flight');
}
