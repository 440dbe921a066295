/** Records that the signer's own log names: they were verified before they were logged (§5, rule 4). */
import { refused } from '../failure.ts';
import { parseApproval } from '../records/approval.ts';
import type { Approval } from '../records/approval.ts';
import type { Sha256 } from '../records/names.ts';
import { sha256Hex } from '../records/sha256.ts';
import { verifiedRecord } from './verified.ts';
import type { Verified } from './verified.ts';

/** The approval whose digest is in the log's `approval` entry. Throws refused(`chain-broken`) for other bytes. */
export function loggedApproval(bytes: Buffer, logged: Sha256): Verified<Approval> {
  if (sha256Hex(bytes) !== logged)
    throw refused(
      'chain-broken',
      `these are not the bytes of approval ${logged}`,
      'if approval.json there is a broken copy, copy it again',
    );
  return verifiedRecord(parseApproval(bytes));
}
