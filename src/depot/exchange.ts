/** What a request is handled with. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Project } from '../policy/project.ts';
import type { GatedDepot } from '../tree/gated.ts';
import type { Tree } from '../tree/tree.ts';
import type { Changes } from './changes.ts';
import type { Limits } from './limits.ts';
import type { Lists } from './lists.ts';
import type { Limit } from './meters.ts';
import type { Watched } from './observe.ts';
import type { Requests } from './requests-log.ts';

/** What is served, to everybody. */
export interface Served {
  readonly project: Project;
  readonly tree: Tree;
  readonly depot: GatedDepot;
  readonly now: () => Date;
  /** One line for the operator. */
  readonly log: (line: string) => void;
  readonly limits: Limits;
  readonly changes: Changes;
  readonly lists: Lists;
  /** Hears of each that met a limit. */
  readonly limited: (limit: Limit) => void;
  readonly requests: Requests;
  /** For whoever watches; null where nobody does. */
  readonly watched: Watched | null;
}

/** A request that is well-formed, and the depot as whoever sent it may see it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** As in the URL, with its slash. */
  readonly path: string;
  readonly token: Buffer | null;
  /** Whether it is of the signer, or of a builder of the build in the path: nobody keeps these out. */
  readonly known: boolean;
  readonly depot: GatedDepot;
}
