/** The revocation: an approver revokes a build, before or after it is released (protocol §2, "revocation"). */
import { encodeCanonical, parseCanonical, RECORD_MAX } from './canonical.ts';
import { closedObject, oneOf, text } from './fields.ts';
import { toBuildId, toSha256, toTimestamp } from './names.ts';
import type { BuildId, Sha256, Timestamp } from './names.ts';

export const REVOCATION_TYPE = 'application/vnd.countersign.revocation.v1+json';

/** Of a reason, in bytes of UTF-8. */
export const REASON_MAX = 1024;

export interface Revocation {
  readonly build: BuildId;
  /** Digest of the approval that is revoked. */
  readonly approval: Sha256;
  /** For people; whoever shows it escapes it. */
  readonly reason: string;
  readonly time: Timestamp;
}

/** Reads a revocation's exact bytes. Throws refused: `record-malformed`, `record-too-large`, `name-malformed`. */
export function parseRevocation(bytes: Uint8Array): Revocation {
  const value = parseCanonical(bytes, { maxBytes: RECORD_MAX, what: 'revocation' });
  const fields = closedObject(value, 'revocation', ['type', 'build', 'approval', 'reason', 'time']);
  oneOf(fields.type, 'revocation.type', [REVOCATION_TYPE]);
  return {
    build: toBuildId(fields.build, 'revocation.build'),
    approval: toSha256(fields.approval, 'revocation.approval'),
    reason: text(fields.reason, 'revocation.reason', REASON_MAX),
    time: toTimestamp(fields.time, 'revocation.time'),
  };
}

/** The revocation's bytes: `encodeRevocation(parseRevocation(b))` is `b`. */
export const encodeRevocation = ({ build, approval, reason, time }: Revocation): Buffer =>
  encodeCanonical({ type: REVOCATION_TYPE, build, approval, reason, time });
