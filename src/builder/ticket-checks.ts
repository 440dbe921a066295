/** Whether a ticket is good for its act here and now: said before the work, and not after it. */
import { Failure, refused } from '../failure.ts';
import { RECORD_MAX } from '../records/canonical.ts';
import { timestampDate } from '../records/names.ts';
import { approvalFile, buildPath } from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import type { Ticket } from '../records/ticket.ts';
import type { Depot } from '../tree/tree.ts';
import type { Report } from './events.ts';
import type { TicketSource } from './ticket-source.ts';

/** H allows a signature's own time ten minutes outside the approval's (protocol §6). */
const CLOCK_SKEW_MS = 10 * 60 * 1000;

/** Throws refused `ticket-expired`, `ticket-not-yet-valid`. */
export function checkTime(ticket: Ticket, now: Date): void {
  const { build, notBefore, expires } = ticket;
  if (now >= timestampDate(expires))
    throw refused(
      'ticket-expired',
      `the ticket for build ${build} expired at ${expires}`,
      'ask for a new approval',
    );
  if (now.getTime() + CLOCK_SKEW_MS < timestampDate(notBefore).getTime())
    throw refused(
      'ticket-not-yet-valid',
      `the ticket for build ${build} starts at ${notBefore}`,
      "check this host's clock",
    );
}

/** Throws refused `ticket-used` for a ticket of another scheme than `enrol` whose secret is gone. */
export function requireSecret({ pending }: TicketSource, { build, secret }: Ticket): void {
  if ((secret.scheme === 'keypair' ? secret.secretKey : secret.nonce) !== null) return;
  throw refused(
    'ticket-used',
    `the ticket for ${build} has signed already, and its statement is not in ${pending}`,
    'ask for a new approval',
  );
}

/**
 * Finds a wrong ticket before the work and not after it. False if the depot can't be reached now: it may be there later.
 * Throws refused `approval-unknown`, `approval-mismatch`, and what keeps a builder that enrols from going on.
 */
export async function checkApproval(depot: Depot, ticket: Ticket, report: Report): Promise<boolean> {
  try {
    const approval = await depot.read(buildPath(ticket.build, approvalFile), RECORD_MAX);
    if (approval === null)
      throw refused(
        'approval-unknown',
        `the depot has no approval for build ${ticket.build}`,
        'is it the right depot?',
      );
    if (sha256Hex(approval) !== ticket.approval)
      throw refused(
        'approval-mismatch',
        `the approval of build ${ticket.build} on the depot is not the one of this ticket`,
      );
    return true;
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'unable') throw error;
    // who enrols gets no further without it
    if (ticket.secret.scheme === 'enrol') throw error;
    report({ kind: 'warning', text: `${error.message}; the work goes on, and is sent at the end` });
    return false;
  }
}
