/** Ticket files: the only secret that `approve` leaves behind. */
import { lstat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure, usage } from '../failure.ts';
import { createOnce, makeDirectory, orNull } from '../host/files.ts';
import type { Slot } from '../records/names.ts';
import { formatTicket } from '../records/ticket.ts';
import type { Ticket } from '../records/ticket.ts';

/** Throws usage `ticket-exists` if one of these tickets could not be written, before anybody is asked. */
export async function requireFree(directory: string, slots: Iterable<Slot>): Promise<void> {
  for (const slot of slots) {
    const path = ticketPath(directory, slot);
    if ((await orNull(lstat(path), `look at ${path}`)) !== null) throw ticketExists(directory);
  }
}

/**
 * Writes `<slot>.ticket` for each ticket, mode 0600, never over another file; a directory that is made for them keeps
 * itself out of git. Returns the paths; all or none are there. Throws usage `ticket-exists`, unable('disk').
 */
export async function writeTickets(
  directory: string,
  tickets: ReadonlyMap<Slot, Ticket>,
): Promise<Record<Slot, string>> {
  const paths: Record<Slot, string> = {};
  try {
    const isNew = (await orNull(lstat(directory), `look at ${directory}`)) === null;
    await makeDirectory(directory, 0o700);
    if (isNew) await createOnce(join(directory, '.gitignore'), Buffer.from('*\n'), 0o600);
    for (const [slot, ticket] of tickets) {
      const path = ticketPath(directory, slot);
      await createOnce(path, Buffer.from(`${formatTicket(ticket)}\n`), 0o600).catch((error: unknown) => {
        // one that got its name before it failed goes with the others
        if (!isConflict(error)) paths[slot] = path;
        throw error;
      });
      paths[slot] = path;
    }
    return paths;
  } catch (error) {
    await removeTickets(paths);
    if (isConflict(error)) throw ticketExists(directory, error);
    throw error;
  }
}

const isConflict = (error: unknown): boolean => error instanceof Failure && error.code === 'conflict';

const ticketPath = (directory: string, slot: Slot): string => join(directory, `${slot}.ticket`);

const ticketExists = (where: string, cause?: unknown): Failure =>
  usage(
    'ticket-exists',
    `${where} has a ticket of another build`,
    'name another directory with --tickets',
    cause,
  );

/** Takes them away again: their approval is not on the depot. */
export async function removeTickets(paths: Readonly<Record<string, string>>): Promise<void> {
  for (const path of Object.values(paths)) await orNull(unlink(path), `remove ${path}`);
}
