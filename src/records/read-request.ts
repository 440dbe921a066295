/**
 * The read request: an approver asks a depot for artifacts in quarantine (protocol §2, §4). It travels with the
 * approver's detached signature, is good for five minutes, and is never stored.
 */
import { encodeCanonical, parseCanonical, RECORD_MAX } from './canonical.ts';
import { toOrigin } from './approval.ts';
import { closedObject, oneOf, uri } from './fields.ts';
import { toBuildId, toTimestamp } from './names.ts';
import type { BuildId, Timestamp } from './names.ts';

export const READ_TYPE = 'application/vnd.countersign.read.v1+json';

export interface ReadRequest {
  /** Log origin of the project's H. */
  readonly signer: string;
  readonly build: BuildId;
  /** URL of the depot that is asked: no other takes it. */
  readonly depot: string;
  /** When it was made. */
  readonly time: Timestamp;
}

/** Reads a request's exact bytes. Throws refused: `record-malformed`, `record-too-large`, `name-malformed`. */
export function parseReadRequest(bytes: Uint8Array): ReadRequest {
  const value = parseCanonical(bytes, { maxBytes: RECORD_MAX, what: 'read request' });
  const fields = closedObject(value, 'read request', ['type', 'signer', 'build', 'depot', 'time']);
  oneOf(fields.type, 'read request.type', [READ_TYPE]);
  return {
    signer: toOrigin(fields.signer, 'read request.signer'),
    build: toBuildId(fields.build, 'read request.build'),
    depot: uri(fields.depot, 'read request.depot'),
    time: toTimestamp(fields.time, 'read request.time'),
  };
}

/** The request's bytes: `encodeReadRequest(parseReadRequest(b))` is `b`. */
export const encodeReadRequest = ({ signer, build, depot, time }: ReadRequest): Buffer =>
  encodeCanonical({ type: READ_TYPE, signer, build, depot, time });
