/**
 * The depot's server: a tree, the gate before it, HTTP or HTTPS. Holds no secret but its TLS key.
 *
 * What it is made of is put together here, and nowhere else. Something that hears of what happens is a line in `heard`;
 * something done every now and then, a line in `beside`; something that handlers need, a line in `served`.
 */
import { Failure, unable } from '../failure.ts';
import { now } from '../host/clock.ts';
import { Connections } from '../host/connections.ts';
import { startHttpServer } from '../host/http-server.ts';
import type { Address, HttpServer, Inherited, TlsIdentity } from '../host/http-server.ts';
import type { Lock } from '../host/lock.ts';
import type { Project } from '../policy/project.ts';
import { DirectoryTree } from '../tree/directory.ts';
import { GatedDepot } from '../tree/gated.ts';
import type { Happening } from '../tree/happening.ts';
import { Reserve } from '../tree/reserve.ts';
import { SharedTree } from '../tree/shared-tree.ts';
import { Sweep } from '../tree/sweep.ts';
import { Changes } from './changes.ts';
import { Clients } from './clients.ts';
import type { Served } from './exchange.ts';
import { harmless } from './harmless.ts';
import { Health } from './health.ts';
import { CLIENT_CONNECTIONS, Limits } from './limits.ts';
import { Lists } from './lists.ts';
import { Meters } from './meters.ts';
import type { Limit } from './meters.ts';
import { watchListener } from './observe.ts';
import type { Watched } from './observe.ts';
import { Requests } from './requests-log.ts';
import type { Log } from './requests-log.ts';
import { requestListener } from './routes.ts';
import { Vitals } from './vitals.ts';

export interface ServerOptions {
  readonly project: Project;
  /** The directory that the tree lies in; made if it is not there. */
  readonly data: string;
  readonly listen: Address | Inherited;
  readonly tls?: TlsIdentity | undefined;
  readonly log: Log;
  /** Where metrics and health are served, and nothing else, without TLS. */
  readonly metrics?: Address | Inherited | undefined;
  /** Of this program. */
  readonly version?: string;
  readonly clients?: Clients;
  /** How many connections, and requests a second, one client may have. */
  readonly clientConnections?: number | undefined;
  readonly clientRate?: number | undefined;
  /** How much room uploads leave on the disk. */
  readonly reserve?: number | undefined;
  /** How long the artifacts of a build that was refused are kept, in seconds. */
  readonly keepRefused?: number | undefined;
}

export interface DepotServer extends HttpServer {
  readonly health: Health;
  /** Where metrics are served, too. */
  readonly metricsUrl: string | null;
}

const IDLE_MS = 120_000;
/** An idle one takes a few kilobytes. */
const CONNECTIONS_MAX = 10_000;
const WATCHERS_MAX = 100;
/** How often what need not be kept any longer is looked for. */
const SWEEP_MS = 3600_000;
/** In seconds: thirty days. */
const KEEP_REFUSED = 30 * 24 * 3600;
/** How long what is under way may take once the server is to end: a write, a verification. */
const GRACE_MS = 30_000;
/** How long what was cut off then may take to put away what it has. */
const REST_MS = 2_000;

/** Serves until `close`. Throws unable(`listen-failed` | `depot-repaired`), and what the data directory causes. */
export async function startServer(options: ServerOptions): Promise<DepotServer> {
  const { project, data, version = '', clients = new Clients() } = options;
  const log = harmless(options.log, options.log);
  const meters = new Meters();
  const limited = harmless((limit: Limit) => meters.limited(limit), log);
  const requests = new Requests({ meters, log, clients });
  const changes = new Changes({ limited });
  const lists = new Lists();

  const tree = await DirectoryTree.make(data);
  const lock = await lockOf(tree, log);
  const { directory } = tree;
  const reserve = new Reserve(tree, options.reserve ?? null, () => limited('disk-reserve'));
  const hears = [meters.heard, changes.heard, lists.heard].map((hear) => harmless(hear, log));
  const heard = (happening: Happening): void => {
    for (const hear of hears) hear(happening);
    if (happening.kind === 'dropped') {
      const { build, what, files, bytes } = happening;
      log('info', 'dropped', { build: build ?? undefined, what, files, bytes });
    }
  };
  let url: string | null = null;
  const retention = { keepRefusedMs: (options.keepRefused ?? KEEP_REFUSED) * 1000 };
  const shared = new SharedTree({ tree, rules: project, now, url: () => url, heard, reserve });
  const depot = GatedDepot.of(shared);
  const sweep = new Sweep(shared, retention);

  const atOnce = options.clientConnections ?? CLIENT_CONNECTIONS;
  const owner: (typeof clients)['ofConnection'] = (socket) => clients.ofConnection(socket);
  const connections = new Connections({ most: CONNECTIONS_MAX, ofOne: atOnce, owner, limited });
  const perSecond = options.clientRate === undefined ? {} : { perSecond: options.clientRate };
  const limits = new Limits(depot, { clients, connections, atOnce, ...perSecond, limited });

  const health = new Health({ tree, directory, reserve });
  const vitals = new Vitals({ meters, tree, directory, reserve, version, now });
  const watched: Watched = { health, meters, vitals };
  meters.gauge('connections', 'Open connections.', () => connections.open);
  meters.gauge('requests_under_way', 'Requests that have no answer yet, by route.', () => requests.byRoute());
  meters.gauge('waiting_for_changes', 'Of these, who waits for changes.', () => changes.waiting);

  const served: Served = {
    ...{ project, tree, depot, now, log: (line) => log('error', line) },
    ...{ limits, limited, requests, changes, lists },
    watched,
  };
  const settings = {
    // a bound would end a large upload that is well under way; the idle bound ends one that is not
    requestMs: 0,
    idleMs: IDLE_MS,
    graceMs: GRACE_MS,
    late: limited,
    unread: (status: number) => requests.unread(status),
  };
  const { listen, tls, metrics } = options;
  const starting = startHttpServer(requestListener(served), { ...settings, listen, tls, connections });
  const server = await starting.catch(async (error: unknown) => {
    await lock?.release();
    throw error;
  });
  ({ url } = server);
  const watcher =
    metrics &&
    (await startHttpServer(watchListener(watched, requests), {
      ...{ ...settings, requestMs: IDLE_MS, listen: metrics },
      connections: new Connections({ most: WATCHERS_MAX }),
    }).catch(async (error: unknown) => {
      await server.close();
      await lock?.release();
      throw error;
    }));

  const beside = [every(SWEEP_MS, () => sweep.run(), 'drop what need not be kept', log)];

  return {
    url: server.url,
    health,
    metricsUrl: watcher?.url ?? null,
    renew: (identity) => server.renew(identity),
    close: async () => {
      health.stop();
      for (const end of beside) end();
      sweep.stop();
      requests.stop();
      changes.close();
      await server.close();
      await requests.settled(REST_MS);
      await watcher?.close();
      vitals.close();
      await lock?.release();
    },
  };
}

/**
 * So that nobody mends the directory (check --repair) while it is served. Where it can't be locked it is served all the
 * same: what keeps it from being written, as a full disk, is heard of by who writes. Throws unable('depot-repaired').
 */
async function lockOf(tree: DirectoryTree, log: Log): Promise<Lock | null> {
  const warn = (why: string): void => log('warn', `${why}: check --repair must not run beside this server`);
  const lock = await tree.lockRepair('serve').catch((error: unknown) => {
    if (!(error instanceof Failure)) throw error;
    if (error.code !== 'locked') {
      warn(error.message);
      return null;
    }
    throw unable(
      'depot-repaired',
      `check --repair is at work in ${tree.directory}`,
      'wait until it ends, and start the server again',
    );
  });
  if (!(await tree.pieces.kept().catch(() => true)))
    log(
      'warn',
      'another process keeps the uploads of this depot: none goes on here where it was cut until that ends',
    );
  return lock;
}

/** Does something at once and then every so often; what goes wrong is logged. What is returned ends it. */
function every(milliseconds: number, work: () => Promise<void>, what: string, log: Log): () => void {
  const run = (): void => {
    work().catch((error: unknown) => {
      log('error', `cannot ${what}: ${error instanceof Error ? error.message : 'unknown'}`);
    });
  };
  run();
  const timer = setInterval(run, milliseconds);
  return () => clearInterval(timer);
}
