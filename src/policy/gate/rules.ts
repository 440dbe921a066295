/** What the gate judges by: the project file, or, on a builder, which has none, what its ticket says of it. */
import type { Sha256 } from '../../records/names.ts';
import type { Project } from '../project.ts';

/** A ticket was made with one approval and stands for the signatures under it. It can approve and publish nothing. */
export interface TicketRules extends Pick<Project, 'name' | 'policy' | 'log'> {
  /** Digest of that approval. */
  readonly vouched: Sha256;
}

export type GateRules = Project | TicketRules;

/** Whether these are the rules of a project, who trusts approvers, a release key and a signer of its own. */
export const isProject = (rules: GateRules): rules is Project => !('vouched' in rules);
