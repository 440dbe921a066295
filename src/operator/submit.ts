/**
 * `approve`, second half: has an approver's key sign the approval through gpg, submits it, and hands out the tickets.
 */
import { Failure, unable } from '../failure.ts';
import type { Project } from '../policy/project.ts';
import type { BuildId, Sha256, Timestamp } from '../records/names.ts';
import { approvalFile, approvalSignatureFile, buildPath } from '../records/paths.ts';
import type { Depot } from '../tree/tree.ts';
import type { PreparedApproval } from './approve.ts';
import { signAsApprover } from './approver.ts';
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
    submit(depot, build, bytes, [approvalSignatureFile(requester), signature]);
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

/**
 * The answer may be lost and not the approval: without its ticket it would block the version until it expires. Or it
 * says yes and comes from something that is no depot. So what counts is what the depot shows.
 */
async function submit(
  depot: Depot,
  build: BuildId,
  bytes: Buffer,
  signature: readonly [string, Buffer],
): Promise<void> {
  const failure = await failureOf(depot.submit(build, new Map([[approvalFile, bytes], signature])));
  const shown = await shows(depot, buildPath(build, approvalFile), bytes);
  if (shown ?? failure === null) return;
  throw (
    failure ??
    unable('approval-not-shown', 'the depot does not show the approval that it took', 'is this the depot?')
  );
}

/** What the work failed with; null if it did not. */
async function failureOf(work: Promise<unknown>): Promise<Failure | null> {
  try {
    await work;
    return null;
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}

/** Whether it has these bytes there; null where the depot can't be reached. */
async function shows(depot: Depot, path: string, bytes: Buffer): Promise<boolean | null> {
  try {
    return (await depot.read(path, bytes.length))?.equals(bytes) ?? false;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return error.code === 'network' ? null : false;
  }
}
