/** Makes the statement and signs it: the one act of the ephemeral key. Protocol §2 (statement). */
import { randomUUID } from 'node:crypto';
import { refused } from '../failure.ts';
import { parseEphemeralSecret } from '../openpgp/ephemeral.ts';
import { decodeBase64Strict, timestamp } from '../records/names.ts';
import { PAYLOAD_TYPE, encodeEnvelope, paeBytes } from '../records/dsse.ts';
import { encodeStatement } from '../records/statement.ts';
import type { Statement, Subject } from '../records/statement.ts';
import type { Ticket } from '../records/ticket.ts';

/** A statement with its authenticators, ready to be sent as it is. */
export interface Sealed {
  readonly statement: Statement;
  readonly bytes: Buffer;
  /** OpenPGP, detached, binary, over `bytes`. */
  readonly signature: Buffer;
  /** DSSE over the same bytes by the same key. */
  readonly envelope: Buffer;
}

/**
 * The statement over all of `subjects`, signed twice in one act.
 *
 * The key's bytes are overwritten afterwards; copies that the runtime made of them, and of the ticket's text,
 * stay in memory until the process ends (docs: THREATS). Throws refused `ticket-used` when the private half is
 * gone.
 */
export function seal(
  ticket: Ticket,
  build: { readonly subjects: readonly Subject[]; readonly command: string | null; readonly startedOn: Date },
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
  if (ticket.secret.scheme !== 'keypair' || ticket.secret.secretKey === null)
    throw refused(
      'ticket-used',
      `the ticket for ${ticket.build} has signed already`,
      'ask for a new approval',
    );
  const material = decodeBase64Strict(ticket.secret.secretKey, 'ticket: secretKey');
  try {
    const key = parseEphemeralSecret(material);
    const signature = key.sign(bytes, Math.floor(now.getTime() / 1000));
    const envelope = encodeEnvelope(bytes, key.fingerprint, key.signRaw(paeBytes(PAYLOAD_TYPE, bytes)));
    return { statement, bytes, signature, envelope };
  } finally {
    material.fill(0);
  }
}
