/** in flight */
import type { Fingerprint } from '../records/names.ts';
import type { PublicKey } from './public-key.ts';

/** One of the certificate's keys with the facts that its self-signatures establish. */
export interface KeyStatus {
  key: PublicKey;
  isPrimary: boolean;
}

export interface Certificate {
  /** The binary certificate as received. */
  bytes: Buffer;
  primary: PublicKey;
  userIds: string[];
  keys: KeyStatus[];
}

export type SigningKey = PublicKey;

export const MAX_CERTIFICATE_BYTES = 256 * 1024;

/** @throws refused `certificate-malformed` */
export function parseCertificate(_binary: Buffer): Certificate {
  throw new Error('in flight');
}

/** Null, or why this key of the certificate may not sign at `now`. */
export function keyProblem(
  _certificate: Certificate,
  _key: PublicKey,
  _now: Date,
): { code: string; reason: string } | null {
  throw new Error('in flight');
}

/** The keys that may sign at `now`, the newest first. */
export function signingKeys(_certificate: Certificate, _now: Date): SigningKey[] {
  throw new Error('in flight');
}

/** Every key that could ever sign for this certificate, the primary always among them. */
export function allSigningFingerprints(_certificate: Certificate): Fingerprint[] {
  throw new Error('in flight');
}
