/** The refusal: why a build ended without a signature, final (protocol §2, and rule 7). */
import { canonicalize, encodeCanonical, parseCanonical, RECORD_MAX } from './canonical.ts';
import { closedObject, integer, listOf, oneOf, text } from './fields.ts';
import { toBuildId, toSha256, toTimestamp } from './names.ts';
import type { BuildId, Sha256, Timestamp } from './names.ts';
import { printable } from './printable.ts';

export const REFUSAL_TYPE = 'application/vnd.countersign.refusal.v1+json';

/** Every reason for which H refuses a build, a stable code each. */
export const REASON_CODES = [
  // approval
  'version-taken', // another build has this project and version
  'signer', // meant for another H
  'project', // for another project
  'release-key', // names another release key
  'expired', // a statement came after `expires`
  'policy-artifacts', // patterns that the project does not allow
  'policy-limits', // counts or sizes above the project's
  'policy-lifetime', // longer than the project allows
  'policy-scheme', // a scheme of builder that the project does not allow
  'policy-mode', // digest mode, which the project does not allow
  'policy-quorum', // fewer builders have to agree than the project asks for
  'enrol-by', // builders may enrol until a time that is not between `notBefore` and `expires`
  'nonce-unusable', // a sealed nonce that opens to something else, two builders share one, or nobody is there to open it
  'key-unusable', // an ephemeral certificate of another shape, or a weak key
  'key-seen', // an ephemeral key that an earlier build had, or a key of the project file
  // enrolment
  'enrolment-malformed', // introduced by the nonce, but not an enrolment
  'enrolment-binding', // for another approval, build or slot
  // statement
  'statement-malformed', // validly signed, but not a statement
  'statement-binding', // for another approval, build or slot
  'statement-time', // signed before the approval was valid, or in the future
  'statement-mode', // hash states that the approval does not ask for, or none where it does
  'state-mismatch', // a hash state that does not finish to the digest beside it
  'name-not-allowed', // matches no pattern of the approval, or none of the policy
  'pattern-missing', // a pattern without wildcards that no artifact has
  'too-many',
  'too-large',
  'total-too-large',
  'conflict', // two valid statements or enrolments that differ: frozen
] as const;
export type ReasonCode = (typeof REASON_CODES)[number];

export interface Reason {
  readonly code: ReasonCode;
  /** The record, slot or artifact. */
  readonly where: string;
  readonly text: string;
}

export interface Refusal {
  readonly build: BuildId;
  readonly approval: Sha256;
  /** 1 to 1,000. */
  readonly reasons: readonly Reason[];
  /** How many more there were. */
  readonly more: number;
  readonly time: Timestamp;
}

const MAX_REASONS = 1000;
const MAX_WHERE = 512;
const MAX_TEXT = 1024;
/** What a refusal takes without its reasons, generously. */
const ENVELOPE = 1024;

/**
 * A refusal that fits its limits: long texts are cut, reasons beyond 1,000 or beyond what 64 KiB hold are
 * counted in `more`. Throws RangeError without a reason.
 */
export function refusalOf(facts: {
  build: BuildId;
  approval: Sha256;
  reasons: readonly Reason[];
  time: Timestamp;
}): Refusal {
  const { build, approval, time } = facts;
  if (facts.reasons.length === 0) throw new RangeError('a refusal has a reason');
  const reasons: Reason[] = [];
  let room = RECORD_MAX - ENVELOPE;
  for (const { code, where, text: why } of facts.reasons.slice(0, MAX_REASONS)) {
    const reason = { code, where: cut(where, MAX_WHERE), text: cut(why, MAX_TEXT) };
    room -= Buffer.byteLength(canonicalize(reason)) + 1;
    if (room < 0) break;
    reasons.push(reason);
  }
  return { build, approval, reasons, more: facts.reasons.length - reasons.length, time };
}

/** At most so many bytes of UTF-8, never empty, never half a character, and harmless to whoever prints it with jq. */
function cut(line: string, maxBytes: number): string {
  const whole = printable(line === '' ? '-' : line);
  if (Buffer.byteLength(whole) <= maxBytes) return whole;
  let shown = '';
  let left = maxBytes - Buffer.byteLength('…');
  for (const character of whole) {
    left -= Buffer.byteLength(character);
    if (left < 0) break;
    shown += character;
  }
  return `${shown}…`;
}

/** Reads a refusal's exact bytes. Throws refused: `record-malformed`, `record-too-large`, `name-malformed`. */
export function parseRefusal(bytes: Uint8Array): Refusal {
  const value = parseCanonical(bytes, { maxBytes: RECORD_MAX, what: 'refusal' });
  const keys = ['type', 'build', 'approval', 'reasons', 'more', 'time'] as const;
  const fields = closedObject(value, 'refusal', keys);
  oneOf(fields.type, 'refusal.type', [REFUSAL_TYPE]);
  return {
    build: toBuildId(fields.build, 'refusal.build'),
    approval: toSha256(fields.approval, 'refusal.approval'),
    reasons: listOf(fields.reasons, 'refusal.reasons', { min: 1, max: MAX_REASONS }, toReason),
    more: integer(fields.more, 'refusal.more'),
    time: toTimestamp(fields.time, 'refusal.time'),
  };
}

function toReason(value: unknown, where: string): Reason {
  const fields = closedObject(value, where, ['code', 'where', 'text']);
  return {
    code: oneOf(fields.code, `${where}.code`, REASON_CODES),
    where: text(fields.where, `${where}.where`, MAX_WHERE),
    text: text(fields.text, `${where}.text`, MAX_TEXT),
  };
}

/** The refusal's bytes: `encodeRefusal(parseRefusal(b))` is `b`. Use `refusalOf` to stay within the limits. */
export function encodeRefusal({ build, approval, reasons, more, time }: Refusal): Buffer {
  return encodeCanonical({
    type: REFUSAL_TYPE,
    build,
    approval,
    reasons: reasons.map((reason) => ({ code: reason.code, where: reason.where, text: reason.text })),
    more,
    time,
  });
}
