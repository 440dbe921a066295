/** Makes the statement and authenticates it: the one act of the ticket's secret. Protocol §2 (statement). */
import { randomUUID } from 'node:crypto';
import { refused } from '../failure.ts';
import { parseEphemeralSecret } from '../openpgp/ephemeral.ts';
import { macOf } from '../records/mac.ts';
import { decodeBase64Strict, decodeBase64Url, timestamp } from '../records/names.ts';
import { PAYLOAD_TYPE, encodeEnvelope, paeBytes } from '../records/dsse.ts';
import { encodeStatement } from '../records/statement.ts';
import type { StatedSubject, Statement } from '../records/statement.ts';
import type { Ticket } from '../records/ticket.ts';

/** A statement with its authenticators, ready to be sent as it is. */
export interface Sealed {
  readonly statement: Statement;
  readonly bytes: Buffer;
  readonly authenticators: Authenticators;
}

export type Authenticators =
  | {
      /** OpenPGP, detached, binary, over the statement's bytes. */
      readonly signature: Buffer;
      /** DSSE over the same bytes by the same key. */
      readonly envelope: Buffer;
    }
  | {
      /** Keyed with the nonce; it convinces the signer alone. */
      readonly mac: Buffer;
    };

/**
 * The statement over all of `subjects`, with its authenticators.
 *
 * The secret's bytes are overwritten afterwards; copies that the runtime made of them, and of the ticket's text,
 * stay in memory until the process ends (docs: THREATS). Throws refused `ticket-used` when the secret is gone.
 */
export function seal(
  ticket: Ticket,
  build: {
    readonly subjects: readonly StatedSubject[];
    readonly command: string | null;
    readonly startedOn: Date;
  },
  now: Date,
): Sealed {
  const statement: Statement = {
    subjects: [...build.subjects],
    build: ticket.build,
    slot: ticket.slot,
    approval: ticket.approval,
    source: ticket.source,
    command: build.command,
    builderId: `${ticket.depot.replace(/\/+$/, '')}/builders/${ticket.secret.scheme}`,
    invocationId: `urn:uuid:${randomUUID()}`,
    startedOn: timestamp(build.startedOn),
    finishedOn: timestamp(now),
  };
  const bytes = encodeStatement(statement);
  return { statement, bytes, authenticators: authenticate(ticket, bytes, now) };
}

function authenticate(ticket: Ticket, bytes: Buffer, now: Date): Authenticators {
  const { secret } = ticket;
  const left = secret.scheme === 'mac' ? secret.nonce : secret.secretKey;
  if (left === null)
    throw refused(
      'ticket-used',
      `the ticket for ${ticket.build} has signed already`,
      'ask for a new approval',
    );
  return secret.scheme === 'mac' ? { mac: statementMac(ticket, left, bytes) } : signed(left, bytes, now);
}

function signed(secretKey: string, bytes: Buffer, now: Date): Authenticators {
  const material = decodeBase64Strict(secretKey, 'ticket: secretKey');
  try {
    const key = parseEphemeralSecret(material);
    const signature = key.sign(bytes, Math.floor(now.getTime() / 1000));
    const envelope = encodeEnvelope(bytes, key.fingerprint, key.signRaw(paeBytes(PAYLOAD_TYPE, bytes)));
    return { signature, envelope };
  } finally {
    material.fill(0);
  }
}

/** The MAC of a statement's bytes with the nonce of a ticket. */
export function statementMac({ build, slot }: Ticket, nonce: string, bytes: Buffer): Buffer {
  const key = decodeBase64Url(nonce, 'ticket: nonce');
  try {
    return macOf({ purpose: 'statement', nonce: key, build, slot }, bytes);
  } finally {
    key.fill(0);
  }
}
