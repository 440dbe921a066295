/** The depot's server: a tree, the gate before it, HTTP or HTTPS. Holds no secret but its TLS key. */
import { now } from '../host/clock.ts';
import { startHttpServer } from '../host/http-server.ts';
import type { Address, HttpServer, TlsIdentity } from '../host/http-server.ts';
import type { Project } from '../policy/project.ts';
import { DirectoryTree } from '../tree/directory.ts';
import { GatedDepot } from '../tree/gated.ts';
import { requestListener } from './routes.ts';

export interface ServerOptions {
  readonly project: Project;
  /** The directory that the tree lies in; made if it is not there. */
  readonly data: string;
  readonly listen: Address;
  readonly tls?: TlsIdentity;
  readonly log: (line: string) => void;
}

const IDLE_MS = 120_000;
/** An idle one takes a few kilobytes. */
const CONNECTIONS_MAX = 10_000;
/** How often uploads that nobody goes on with are looked for. */
const SWEEP_MS = 3600_000;

/** Serves until `close`. Throws unable(`listen-failed`), and what the data directory causes. */
export async function startServer({ project, data, log, ...where }: ServerOptions): Promise<HttpServer> {
  const tree = await DirectoryTree.make(data);
  let url: string | null = null;
  const depot = GatedDepot.over({ tree, rules: project, now, url: () => url });
  const server = await startHttpServer(requestListener({ project, tree, depot, now, log }), {
    ...where,
    // a bound would end a large upload that is well under way; the idle bound ends one that is not
    requestMs: 0,
    idleMs: IDLE_MS,
    connectionsMax: CONNECTIONS_MAX,
  });
  ({ url } = server);
  const sweep = (): void => {
    depot.sweep().catch((error: unknown) => {
      log(`cannot drop abandoned uploads: ${error instanceof Error ? error.message : 'unknown'}`);
    });
  };
  sweep();
  const sweeping = setInterval(sweep, SWEEP_MS);
  const close = (): Promise<void> => {
    clearInterval(sweeping);
    return server.close();
  };
  return { url: server.url, close };
}
