/** The private half of scheme `keypair`, as tests look for it, take it and spend it. */
import type { Ticket } from '../../src/records/ticket.ts';

/** The private half that the ticket holds; null once it is spent. Throws for a ticket of another scheme. */
export function secretKeyOf({ secret }: Ticket): string | null {
  if (secret.scheme !== 'keypair') throw new Error(`a ticket of scheme ${secret.scheme}`);
  return secret.secretKey;
}

/** The ticket once its private half is gone. */
export const spent = (ticket: Ticket): Ticket => ({
  ...ticket,
  secret: { scheme: 'keypair', secretKey: null },
});
