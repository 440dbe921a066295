/** The ticket that a builder is given in its environment or as a credential: read as `attest` would, never shown. */
import { join } from 'node:path';
import { Failure } from '../../failure.ts';
import { orNull, readFileBounded } from '../../host/files.ts';
import { RECORD_MAX } from '../../records/canonical.ts';
import { timestampDate } from '../../records/names.ts';
import { parseTicket } from '../../records/ticket.ts';
import { parseLocation } from '../../tree/location.ts';
import { checkLocation } from './depot.ts';
import { ok, problem } from './finding.ts';
import type { Check, Finding, Host } from './finding.ts';

const AGAIN = 'ask for a new approval: countersign approve';

/** The ticket's text; null if this host was given none. Throws unable. */
export async function givenTicket({ env }: Pick<Host, 'env'>): Promise<string | null> {
  if (env['COUNTERSIGN_TICKET']) return env['COUNTERSIGN_TICKET'];
  const credentials = env['CREDENTIALS_DIRECTORY'];
  if (!credentials) return null;
  const path = join(credentials, 'ticket');
  return (await orNull(readFileBounded(path, RECORD_MAX), `read ${path}`))?.toString('utf8') ?? null;
}

/** The ticket, and the depot that it names unless the command line names one. */
export const checkTicket: Check = async (host) => {
  const text = await givenTicket(host);
  if (text === null) return [];
  try {
    const ticket = parseTicket(text);
    const { build, slot, expires } = ticket;
    const what = `the ticket of build ${build}, slot ${slot}`;
    const findings: Finding[] = [
      timestampDate(expires) <= host.now
        ? problem('ticket', `${what} expired at ${expires}`, AGAIN)
        : ok('ticket', `${what}, good until ${expires}`),
    ];
    if (host.depot === null) findings.push(...(await checkLocation(host, parseLocation(ticket.depot))));
    return findings;
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'refused') throw error;
    return [problem('ticket', `the ticket that this host was given: ${error.message}`, AGAIN)];
  }
};
