/** The ticket: what one builder needs, secret, on one line (protocol §2, "ticket"). */
import { Failure, refused } from '../failure.ts';
import { artifactLimitsJson, toArtifactLimits } from './artifact-limits.ts';
import type { ArtifactLimits } from './artifact-limits.ts';
import { MODES, SCHEMES, toOrigin } from './approval.ts';
import type { Mode, Scheme } from './approval.ts';
import { encodeCanonical, parseCanonical, RECORD_MAX } from './canonical.ts';
import { boolean, closedObject, malformed, nullOr, oneOf, text, uri } from './fields.ts';
import {
  decodeBase64Strict,
  decodeBase64Url,
  toBuildId,
  toProjectName,
  toSha256,
  toSlot,
  toTimestamp,
  toVersion,
} from './names.ts';
import type { BuildId, ProjectName, Sha256, Slot, Timestamp, Version } from './names.ts';
import { sourceJson, toSource } from './source.ts';
import type { Source } from './source.ts';

export interface Ticket {
  readonly build: BuildId;
  readonly slot: Slot;
  readonly project: ProjectName;
  readonly version: Version;
  /** URL of L. */
  readonly depot: string;
  readonly insecureHttp: boolean;
  /** H's log: its origin and the text of its verifier key. */
  readonly log: { readonly origin: string; readonly key: string };
  /** What the builder proves itself with. */
  readonly secret: TicketSecret;
  /** Base64url of 32 bytes. */
  readonly uploadToken: string;
  readonly source: Source | null;
  readonly artifacts: ArtifactLimits;
  /** Whether its statement has hash states. */
  readonly mode: Mode;
  readonly notBefore: Timestamp;
  readonly expires: Timestamp;
  /** Digest of the approval that it belongs to. */
  readonly approval: Sha256;
}

/** The private half. Null is what has done its one act, and is gone. */
export type TicketSecret =
  | {
      readonly scheme: 'keypair';
      /** Base64 of the OpenPGP secret key packets, until they have signed the statement. */
      readonly secretKey: string | null;
    }
  | {
      readonly scheme: 'mac';
      /** Base64url of 32 bytes, until they have authenticated the statement. */
      readonly nonce: string | null;
    }
  | {
      readonly scheme: 'enrol';
      /** Base64url of 32 bytes, until they have introduced a key. */
      readonly nonce: string | null;
      /** The key that the builder made and the nonce has introduced, until it has signed the statement. */
      readonly secretKey: string | null;
      readonly enrolBy: Timestamp;
    };

const PREFIX = 'countersign-ticket-v1.';
const TOKEN_BYTES = 32;

/** The ticket as one line without a newline. Secret: it goes into a file of mode 0600 and nowhere else. */
export function formatTicket(ticket: Ticket): string {
  const { build, slot, project, version, depot, insecureHttp, log, secret } = ticket;
  const { uploadToken, source, artifacts, mode, notBefore, expires, approval } = ticket;
  const json = encodeCanonical({
    build,
    slot,
    project,
    version,
    depot,
    insecureHttp,
    log: { origin: log.origin, key: log.key },
    ...secretJson(secret),
    uploadToken,
    source: sourceJson(source),
    artifacts: artifactLimitsJson(artifacts),
    mode,
    notBefore,
    expires,
    approval,
  });
  return PREFIX + json.toString('base64url');
}

/**
 * Reads a ticket; white space around it is what files and environments put there. Throws
 * refused(`ticket-malformed`), naming a field at most: no message, hint or cause holds any of the ticket.
 */
export function parseTicket(line: string): Ticket {
  try {
    return read(line.trim());
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw refused(
      'ticket-malformed',
      error.message,
      'was it copied whole? it is one line, countersign-ticket-v1.…',
    );
  }
}

/** Whether a file that begins so could be read as a ticket: white space in front is no hindrance to `parseTicket`. */
export const beginsAsTicket = (bytes: Buffer): boolean =>
  bytes.subarray(0, 256).toString('utf8').trimStart().startsWith(PREFIX);

const COMMON = [
  ...(['build', 'slot', 'project', 'version', 'depot', 'insecureHttp', 'log', 'scheme'] as const),
  ...(['uploadToken', 'source', 'artifacts', 'mode', 'notBefore', 'expires', 'approval'] as const),
];
const SECRETS = { keypair: ['secretKey'], mac: ['nonce'], enrol: ['nonce', 'secretKey', 'enrolBy'] } as const;

function secretJson(secret: TicketSecret) {
  const { scheme } = secret;
  switch (scheme) {
    case 'keypair':
      return { scheme, secretKey: secret.secretKey };
    case 'mac':
      return { scheme, nonce: secret.nonce };
    case 'enrol':
      return { scheme, nonce: secret.nonce, secretKey: secret.secretKey, enrolBy: secret.enrolBy };
  }
}

function toSecret(
  scheme: Scheme,
  fields: Readonly<Partial<Record<'secretKey' | 'nonce' | 'enrolBy', unknown>>>,
): TicketSecret {
  const secretKey = () => nullOr(fields.secretKey, 'ticket.secretKey', toSecretKey);
  const nonce = () => nullOr(fields.nonce, 'ticket.nonce', toToken);
  switch (scheme) {
    case 'keypair':
      return { scheme, secretKey: secretKey() };
    case 'mac':
      return { scheme, nonce: nonce() };
    case 'enrol': {
      const enrolBy = toTimestamp(fields.enrolBy, 'ticket.enrolBy');
      return { scheme, nonce: nonce(), secretKey: secretKey(), enrolBy };
    }
  }
}

function read(line: string): Ticket {
  if (!line.startsWith(PREFIX)) throw malformed('ticket', `does not start with ${PREFIX}`);
  const bytes = decodeBase64Url(line.slice(PREFIX.length), 'ticket');
  const value = parseCanonical(bytes, { maxBytes: RECORD_MAX, what: 'ticket' });
  // The scheme decides which fields there are, so it is looked at first.
  const claimed = typeof value === 'object' && value !== null && 'scheme' in value ? value.scheme : undefined;
  const scheme = oneOf(claimed, 'ticket.scheme', SCHEMES);
  const fields = closedObject(value, 'ticket', [...COMMON, ...SECRETS[scheme]]);
  const log = closedObject(fields.log, 'ticket.log', ['origin', 'key']);
  return {
    build: toBuildId(fields.build, 'ticket.build'),
    slot: toSlot(fields.slot, 'ticket.slot'),
    project: toProjectName(fields.project, 'ticket.project'),
    version: toVersion(fields.version, 'ticket.version'),
    depot: uri(fields.depot, 'ticket.depot'),
    insecureHttp: boolean(fields.insecureHttp, 'ticket.insecureHttp'),
    log: { origin: toOrigin(log.origin, 'ticket.log.origin'), key: text(log.key, 'ticket.log.key', 1024) },
    secret: toSecret(scheme, fields),
    uploadToken: toToken(fields.uploadToken, 'ticket.uploadToken'),
    source: nullOr(fields.source, 'ticket.source', toSource),
    artifacts: toArtifactLimits(fields.artifacts, 'ticket.artifacts'),
    mode: oneOf(fields.mode, 'ticket.mode', MODES),
    notBefore: toTimestamp(fields.notBefore, 'ticket.notBefore'),
    expires: toTimestamp(fields.expires, 'ticket.expires'),
    approval: toSha256(fields.approval, 'ticket.approval'),
  };
}

function toSecretKey(value: unknown, where: string): string {
  const key = text(value, where, 4096);
  decodeBase64Strict(key, where);
  return key;
}

function toToken(value: unknown, where: string): string {
  const token = text(value, where, 64);
  if (decodeBase64Url(token, where).length !== TOKEN_BYTES)
    throw malformed(where, `not ${TOKEN_BYTES} bytes`);
  return token;
}
