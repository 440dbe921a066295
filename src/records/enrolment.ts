/** The enrolment: a key that a builder made for itself, introduced by its nonce (protocol §2, "enrolment"). */
import { encodeCanonical, parseCanonical, RECORD_MAX } from './canonical.ts';
import { closedObject, oneOf, text } from './fields.ts';
import { decodeBase64Strict, toBuildId, toSha256, toSlot } from './names.ts';
import type { BuildId, Sha256, Slot } from './names.ts';

export const ENROLMENT_TYPE = 'application/vnd.countersign.enrolment.v1+json';

export interface Enrolment {
  readonly build: BuildId;
  readonly slot: Slot;
  /** Digest of the approval that it answers. */
  readonly approval: Sha256;
  /** Strict base64 of the binary OpenPGP certificate; what it holds is the business of openpgp. */
  readonly certificate: string;
}

/** Reads an enrolment's exact bytes. Throws refused: `record-malformed`, `record-too-large`, `name-malformed`. */
export function parseEnrolment(bytes: Uint8Array): Enrolment {
  const value = parseCanonical(bytes, { maxBytes: RECORD_MAX, what: 'enrolment' });
  const fields = closedObject(value, 'enrolment', ['type', 'build', 'slot', 'approval', 'certificate']);
  oneOf(fields.type, 'enrolment.type', [ENROLMENT_TYPE]);
  const certificate = text(fields.certificate, 'enrolment.certificate', RECORD_MAX);
  decodeBase64Strict(certificate, 'enrolment.certificate');
  return {
    build: toBuildId(fields.build, 'enrolment.build'),
    slot: toSlot(fields.slot, 'enrolment.slot'),
    approval: toSha256(fields.approval, 'enrolment.approval'),
    certificate,
  };
}

/** The enrolment's bytes: `encodeEnrolment(parseEnrolment(b))` is `b`. */
export const encodeEnrolment = ({ build, slot, approval, certificate }: Enrolment): Buffer =>
  encodeCanonical({ type: ENROLMENT_TYPE, build, slot, approval, certificate });
