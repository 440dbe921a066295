/** The depot's server: a tree, the gate before it, HTTP or HTTPS. Holds no secret but its TLS key. */
import { now } from '../host/clock.ts';
import { Connections } from '../host/connections.ts';
import { startHttpServer } from '../host/http-server.ts';
import type { Address, HttpServer, TlsIdentity } from '../host/http-server.ts';
import type { Project } from '../policy/project.ts';
import { DirectoryTree } from '../tree/directory.ts';
import { GatedDepot } from '../tree/gated.ts';
import { Clients } from './clients.ts';
import { CLIENT_CONNECTIONS, Limits } from './limits.ts';
import { Meters } from './meters.ts';
import { requestListener } from './routes.ts';

export interface ServerOptions {
  readonly project: Project;
  /** The directory that the tree lies in; made if it is not there. */
  readonly data: string;
  readonly listen: Address;
  readonly tls?: TlsIdentity;
  readonly log: (line: string) => void;
  /** Addresses and networks whose X-Forwarded-For is believed. */
  readonly proxies?: readonly string[] | undefined;
  /** How many connections, and requests a second, one client may have. */
  readonly clientConnections?: number | undefined;
  readonly clientRate?: number | undefined;
}

const IDLE_MS = 120_000;
/** An idle one takes a few kilobytes. */
const CONNECTIONS_MAX = 10_000;
/** How often uploads that nobody goes on with are looked for. */
const SWEEP_MS = 3600_000;

/** Serves until `close`. Throws unable(`listen-failed`), and what the data directory causes. */
export async function startServer(options: ServerOptions): Promise<HttpServer> {
  const { project, data, log, proxies, clientConnections: atOnce = CLIENT_CONNECTIONS, clientRate } = options;
  const { listen, tls } = options;
  const meters = new Meters();
  const tree = await DirectoryTree.make(data);
  let url: string | null = null;
  const depot = GatedDepot.over({ tree, rules: project, now, url: () => url });
  const clients = new Clients(proxies);
  const connections = new Connections({
    most: CONNECTIONS_MAX,
    ofOne: atOnce,
    owner: (socket) => clients.ofConnection(socket),
    limited: (limit) => meters.limited(limit),
  });
  const limits = new Limits(depot, {
    ...{ clients, connections, atOnce },
    ...(clientRate !== undefined && { perSecond: clientRate }),
    limited: (limit) => meters.limited(limit),
  });
  const server = await startHttpServer(requestListener({ project, tree, depot, now, log, limits, meters }), {
    listen,
    ...(tls && { tls }),
    // a bound would end a large upload that is well under way; the idle bound ends one that is not
    requestMs: 0,
    idleMs: IDLE_MS,
    connections,
    late: (limit) => meters.limited(limit),
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
