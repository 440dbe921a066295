/**
 * `approve`, second half: has an approver's key sign the approval through gpg, submits it, and hands out the tickets.
 */
import { Failure, refused } from '../failure.ts';
import type { Project } from '../policy/project.ts';
import type { BuildId, Sha256, Timestamp } from '../records/names.ts';
import { REASON_CODES } from '../records/refusal.ts';
import { approvalFile, approvalSignatureFile } from '../records/paths.ts';
import type { Depot } from '../tree/tree.ts';
import type { PreparedApproval } from './approve.ts';
import { signAsApprover } from './approver.ts';
import { sendRecords } from './send.ts';
import { removeTickets, requireFree, writeTickets } from './tickets.ts';

export interface SubmittedApproval {
  readonly build: BuildId;
  readonly terms: Sha256;
  readonly expires: Timestamp;
  /** Path of each slot's ticket. */
  readonly tickets: Readonly<Record<string, string>>;
}

/** Throws usage `ticket-exists` if the tickets could not be written into `directory`: to be said before the question. */
export const requireNoTickets = (prepared: PreparedApproval, directory: string): Promise<void> =>
  requireFree(directory, prepared.tickets.keys());

export interface Submission {
  readonly depot: Depot;
  /** For the tickets. */
  readonly directory: string;
  /** `--wait`: the tickets are held back until it returns, and lost if it throws. */
  readonly wait?: () => Promise<void>;
}

/**
 * Has gpg sign (pinentry as usual), writes the tickets (0600, never over another file), submits.
 * When the submission fails, and the depot does not show the approval, the tickets are removed again. Throws usage,
 * refused, unable, and what `wait` throws.
 */
export async function submitApproval(
  project: Project,
  prepared: PreparedApproval,
  { depot, directory, wait }: Submission,
): Promise<SubmittedApproval> {
  const { summary, bytes } = prepared;
  const { build, requester, expires } = summary.approval;
  const signature = await signAsApprover(project, requester, bytes);
  const send = (): Promise<void> =>
    sendRecords(
      depot,
      build,
      new Map([
        [approvalFile, bytes],
        [approvalSignatureFile(requester), signature],
      ]),
      'approval-not-shown',
    ).catch(otherwise);
  if (wait !== undefined) {
    await send();
    await wait();
    const tickets = await writeTickets(directory, prepared.tickets);
    return { build, terms: summary.terms, expires, tickets };
  }
  const tickets = await writeTickets(directory, prepared.tickets);
  try {
    await send();
  } catch (error) {
    await removeTickets(tickets);
    throw error;
  }
  return { build, terms: summary.terms, expires, tickets };
}

/** What a project file decides. */
const RULES: ReadonlySet<string> = new Set([...REASON_CODES, 'approver-unknown', 'signature-invalid']);

/** Ours allows it, or it would not have been signed: so the depot's is another. Of the time its clock decides. */
function otherwise(error: unknown): never {
  if (!(error instanceof Failure) || error.kind !== 'refused') throw error;
  if (!RULES.has(error.code) || error.code === 'expired') throw error;
  throw refused(
    error.code,
    `the depot refuses it: ${error.message}`,
    "the depot's project file says otherwise: copy countersign.toml and keys/ to L, and restart serve there",
    error,
  );
}
