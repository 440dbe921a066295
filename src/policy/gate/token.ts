/** Whose upload token came with a write (protocol §4). */
import type { Approval } from '../../records/approval.ts';
import type { Slot } from '../../records/names.ts';
import { slotOfToken } from '../builder-key.ts';
import { TOKEN_BYTES } from '../token.ts';
import type { Verified } from '../verified.ts';
import { denied } from './verdict.ts';
import type { Denied } from './verdict.ts';

/**
 * Whoever keeps a tree and copies into it what another depot holds. It has no builder's token: there the builder's
 * signature, or the approval's limits, are all that a write needs.
 */
export const CARRIER = 'carrier';

/** A read request and the approver's signature over it, as they came (protocol §4): it reads, and writes nothing. */
export interface ReadAuthority {
  readonly bytes: Buffer;
  readonly signature: Buffer;
}

/** Who asks: the holder of these bytes, an approver who wants to read, the carrier, or anybody. */
export type Bearer = Buffer | ReadAuthority | typeof CARRIER | null;

/** The token that came, if it is one. */
export const tokenOf = (bearer: Bearer): Buffer | null => (Buffer.isBuffer(bearer) ? bearer : null);

/** The slot of the build whose token this is; else 401 for none or one of another length, 403 for a stranger's. */
export function tokenSlot(
  approval: Verified<Approval>,
  bearer: Exclude<Bearer, typeof CARRIER>,
): Slot | Denied {
  const token = tokenOf(bearer);
  if (token === null)
    return denied(401, 'token-missing', 'an upload token is needed', 'send the one in the ticket');
  if (token.length !== TOKEN_BYTES) return denied(401, 'token-malformed', `a token has ${TOKEN_BYTES} bytes`);
  return (
    slotOfToken(approval, token) ??
    denied(403, 'token-unknown', `not an upload token of build ${approval.build}`)
  );
}
