/**
 * What a certificate says about one of its keys, and whether that lets it sign at a given time.
 *
 * Stricter than gpgv, which reports an expired or revoked key and still exits 0: every current statement
 * about a key must allow it, and at least one must say that it is for signing.
 */
import type { PublicKey } from './public-key.ts';
import type { SelfSignature } from './self-signature.ts';

/** The key flag (RFC 4880 §5.2.3.21) of a key that may sign data. */
export const MAY_SIGN = 0x02;
/** Of one that may speak of other keys, and say whose a key is. */
const MAY_CERTIFY = 0x01;
/** Of communications, or of storage: gpg makes both of one. */
const MAY_ENCRYPT = 0x0c;
/** RSA, ElGamal, ECDH: whatever any gpg encrypts to. */
const ENCRYPTION_ALGORITHMS: ReadonlySet<number> = new Set([1, 16, 18]);

/** One key of a certificate with what the primary key verifiably says about it. */
export interface KeyStatus {
  key: PublicKey;
  isPrimary: boolean;
  revoked: boolean;
  /**
   * The verified statements about this key, one group for each place where they stand: the key itself and
   * every user id not revoked, or the subkey's binding. In a group the newest counts.
   */
  groups: SelfSignature[][];
}

/** Why a key may not sign. */
export interface KeyProblem {
  code: 'key-revoked' | 'key-expired' | 'key-not-yet-valid' | 'key-unusable' | 'key-cannot-sign';
  reason: string;
}

/** Null, or why this key counts for nothing at `now`, whatever it is for. */
export function lifeProblem(status: KeyStatus, now: Date): KeyProblem | null {
  const { key, revoked } = status;
  const seconds = now.getTime() / 1000;
  const name = nameOf(status);
  if (revoked) return { code: 'key-revoked', reason: `${name} has been revoked` };
  if (key.created > seconds) {
    return { code: 'key-not-yet-valid', reason: `${name} is dated in the future (${utc(key.created)})` };
  }
  const current = currentStatements(status, seconds);
  if (current.length === 0) {
    return { code: 'key-unusable', reason: `${name} has no valid self-signature of SHA-256 or better` };
  }
  const expiry = expiryOf(status, now);
  if (expiry <= seconds) return { code: 'key-expired', reason: `${name} expired at ${utc(expiry)}` };
  return null;
}

/** When the key expires by what is said of it at `now`, in Unix seconds; Infinity for never. */
export function expiryOf(status: KeyStatus, now: Date): number {
  const current = currentStatements(status, now.getTime() / 1000);
  const lifetimes = current.map(({ keyLifetime }) => keyLifetime).filter((lifetime) => lifetime !== null);
  return status.key.created + Math.min(...lifetimes);
}

/** Null, or why this key is not one that signs data. */
export function purposeProblem(status: KeyStatus, now: Date): KeyProblem | null {
  const { key, isPrimary } = status;
  const name = nameOf(status);
  if (key.algorithm === 'unsupported') {
    return {
      code: 'key-unusable',
      reason: `${name} (algorithm ${key.algorithmId}) is of a kind or size not supported`,
    };
  }
  const current = currentStatements(status, now.getTime() / 1000);
  const flags = current.map((statement) => statement.flags).filter((flags) => flags !== null);
  if (flags.length === 0) return { code: 'key-cannot-sign', reason: `${name} has no usage flags` };
  if (!flags.every(maySign)) return { code: 'key-cannot-sign', reason: `${name} is not for signing` };
  if (!isPrimary && !current.every(({ backSigned }) => backSigned)) {
    return { code: 'key-cannot-sign', reason: `${name} has not signed its binding to the primary key` };
  }
  return null;
}

/** Null, or why nothing can be encrypted to this key, whose life is another question. */
export function encryptionPurposeProblem(status: KeyStatus, now: Date): string | null {
  const flags = currentStatements(status, now.getTime() / 1000).map((statement) => statement.flags);
  const isMeant = flags.length > 0 && flags.every((each) => each !== null && (each & MAY_ENCRYPT) !== 0);
  if (!isMeant) return `${nameOf(status)} is not for encryption`;
  const { algorithmId } = status.key;
  return ENCRYPTION_ALGORITHMS.has(algorithmId)
    ? null
    : `${nameOf(status)} (algorithm ${algorithmId}) is of a kind not supported`;
}

/** Whether anything that was ever said of the key lets it certify: the primary can, whatever is said. */
export const mayCertify = ({ isPrimary, groups }: KeyStatus): boolean =>
  isPrimary || groups.flat().some(({ flags }) => flags !== null && (flags & MAY_CERTIFY) !== 0);

export const maySign = (flags: number): boolean => (flags & MAY_SIGN) !== 0;

/** The newest statement of each group, as far as it has begun and not ended. */
function currentStatements({ groups }: KeyStatus, seconds: number): SelfSignature[] {
  return groups
    .map(
      (group) =>
        group.filter(({ created }) => created <= seconds).toSorted((a, b) => b.created - a.created)[0],
    )
    .filter((newest) => newest !== undefined)
    .filter(({ ends }) => ends === null || ends > seconds);
}

const nameOf = ({ key, isPrimary }: KeyStatus): string =>
  `${isPrimary ? 'key' : 'subkey'} ${key.fingerprint}`;

/** Unix seconds for a person; a lifetime of 2^32 seconds after a creation in 2106 still is a date. */
const utc = (seconds: number): string => new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
