/** The ticket: what one builder needs, secret, on one line (protocol §2, "ticket"). */
import { Failure, refused } from '../failure.ts';
import { artifactLimitsJson, toArtifactLimits } from './artifact-limits.ts';
import type { ArtifactLimits } from './artifact-limits.ts';
import { toOrigin } from './approval.ts';
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
  readonly scheme: 'keypair';
  /** Base64 of the OpenPGP secret key packets; null once the statement is signed. */
  readonly secretKey: string | null;
  /** Base64url of 32 bytes. */
  readonly uploadToken: string;
  readonly source: Source | null;
  readonly artifacts: ArtifactLimits;
  readonly notBefore: Timestamp;
  readonly expires: Timestamp;
  /** Digest of the approval that it belongs to. */
  readonly approval: Sha256;
}

const PREFIX = 'countersign-ticket-v1.';
const TOKEN_BYTES = 32;

/** The ticket as one line without a newline. Secret: it goes into a file of mode 0600 and nowhere else. */
export function formatTicket(ticket: Ticket): string {
  const { build, slot, project, version, depot, insecureHttp, log, scheme, secretKey } = ticket;
  const { uploadToken, source, artifacts, notBefore, expires, approval } = ticket;
  const json = encodeCanonical({
    build,
    slot,
    project,
    version,
    depot,
    insecureHttp,
    log: { origin: log.origin, key: log.key },
    scheme,
    secretKey,
    uploadToken,
    source: sourceJson(source),
    artifacts: artifactLimitsJson(artifacts),
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

function read(line: string): Ticket {
  if (!line.startsWith(PREFIX)) throw malformed('ticket', `does not start with ${PREFIX}`);
  const bytes = decodeBase64Url(line.slice(PREFIX.length), 'ticket');
  const fields = closedObject(parseCanonical(bytes, { maxBytes: RECORD_MAX, what: 'ticket' }), 'ticket', [
    'build',
    'slot',
    'project',
    'version',
    'depot',
    'insecureHttp',
    'log',
    'scheme',
    'secretKey',
    'uploadToken',
    'source',
    'artifacts',
    'notBefore',
    'expires',
    'approval',
  ]);
  const log = closedObject(fields.log, 'ticket.log', ['origin', 'key']);
  return {
    build: toBuildId(fields.build, 'ticket.build'),
    slot: toSlot(fields.slot, 'ticket.slot'),
    project: toProjectName(fields.project, 'ticket.project'),
    version: toVersion(fields.version, 'ticket.version'),
    depot: uri(fields.depot, 'ticket.depot'),
    insecureHttp: boolean(fields.insecureHttp, 'ticket.insecureHttp'),
    log: { origin: toOrigin(log.origin, 'ticket.log.origin'), key: text(log.key, 'ticket.log.key', 1024) },
    scheme: oneOf(fields.scheme, 'ticket.scheme', ['keypair']),
    secretKey: nullOr(fields.secretKey, 'ticket.secretKey', toSecretKey),
    uploadToken: toToken(fields.uploadToken, 'ticket.uploadToken'),
    source: nullOr(fields.source, 'ticket.source', toSource),
    artifacts: toArtifactLimits(fields.artifacts, 'ticket.artifacts'),
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
