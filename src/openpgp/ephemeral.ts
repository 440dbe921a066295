/** in flight */
import type { Fingerprint } from '../records/names.ts';
import type { Certificate } from './certificate.ts';

export interface Ephemeral {
  /** Binary OpenPGP certificate, at most 1 KiB. */
  certificate: Buffer;
  /** The same with the unencrypted secret half: a transferable secret key. */
  secretKey: Buffer;
}

export interface EphemeralSecret {
  fingerprint: Fingerprint;
  certificate: Buffer;
  /** Binary detached signature packet, SHA-256; `created` in unix seconds. */
  sign(data: Buffer, created: number): Buffer;
  /** Plain Ed25519 over `data`: for DSSE. */
  signRaw(data: Buffer): Buffer;
}

/** `created` in unix seconds. */
export function makeEphemeral(_about: { userId: string; created: number }): Ephemeral {
  throw new Error('in flight');
}

/** @throws refused `key-unusable` for any shape but the one that makeEphemeral writes */
export function parseEphemeralCertificate(_bytes: Buffer): Certificate {
  throw new Error('in flight');
}

/** @throws refused `key-unusable` */
export function parseEphemeralSecret(_bytes: Buffer): EphemeralSecret {
  throw new Error('in flight');
}
