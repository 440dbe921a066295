/** A certificate as people know it: whose it is, and the fingerprint that tells it from others. */
import type { Fingerprint } from '../records/names.ts';
import type { Certificate } from './certificate.ts';

export interface KeyFact {
  /** Of the primary key. */
  readonly fingerprint: Fingerprint;
  /** The first one; foreign text. */
  readonly userId: string;
}

export const keyFact = ({ primary, userIds }: Certificate): KeyFact => ({
  fingerprint: primary.fingerprint,
  userId: userIds[0] ?? '',
});
