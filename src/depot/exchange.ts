/** What a request is handled with. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Project } from '../policy/project.ts';
import type { GatedDepot } from '../tree/gated.ts';
import type { Tree } from '../tree/tree.ts';

/** What is served, to everybody. */
export interface Served {
  readonly project: Project;
  readonly tree: Tree;
  readonly depot: GatedDepot;
  readonly now: () => Date;
  /** One line for the operator. */
  readonly log: (line: string) => void;
}

/** A request that is well-formed, and the depot as whoever sent it may see it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** As in the URL, with its slash. */
  readonly path: string;
  readonly token: Buffer | null;
  readonly depot: GatedDepot;
}
