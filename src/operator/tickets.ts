/** Ticket files: the only secret that `approve` leaves behind. */
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure, usage } from '../failure.ts';
import { createOnce, makeDirectory, orNull } from '../host/files.ts';
import type { Slot } from '../records/names.ts';
import { formatTicket } from '../records/ticket.ts';
import type { Ticket } from '../records/ticket.ts';

/**
 * Writes `<slot>.ticket` for each ticket, mode 0600, never over another file. Returns the paths; all or none
 * are there. Throws usage `ticket-exists`, unable('disk').
 */
export async function writeTickets(
  directory: string,
  tickets: ReadonlyMap<Slot, Ticket>,
): Promise<Record<Slot, string>> {
  const paths: Record<Slot, string> = {};
  try {
    await makeDirectory(directory, 0o700);
    for (const [slot, ticket] of tickets) {
      const path = join(directory, `${slot}.ticket`);
      await createOnce(path, Buffer.from(`${formatTicket(ticket)}\n`), 0o600);
      paths[slot] = path;
    }
    return paths;
  } catch (error) {
    await removeTickets(paths);
    if (error instanceof Failure && error.code === 'conflict')
      throw usage(
        'ticket-exists',
        `${directory} has a ticket of another build`,
        'name another directory with --tickets',
        error,
      );
    throw error;
  }
}

/** Takes them away again: their approval is not on the depot. */
export async function removeTickets(paths: Readonly<Record<string, string>>): Promise<void> {
  for (const path of Object.values(paths)) await orNull(unlink(path), `remove ${path}`);
}
