/** The depot's server: a tree, the gate before it, HTTP or HTTPS. Holds no secret but its TLS key. */
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { unable } from '../failure.ts';
import { now } from '../host/clock.ts';
import type { Project } from '../policy/project.ts';
import { DirectoryTree } from '../tree/directory.ts';
import { GatedDepot } from '../tree/gated.ts';
import { requestListener } from './routes.ts';

export interface ServerOptions {
  readonly project: Project;
  /** The directory that the tree lies in; made if it is not there. */
  readonly data: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** PEM: speaks HTTPS. */
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer };
  readonly log: (line: string) => void;
}

/** A request's headers must be there by then; a connection on which nothing moves ends. */
const HEADERS_MS = 20_000;
const IDLE_MS = 120_000;
/** An idle one takes a few kilobytes. How many of them one address may have is for a proxy in front. */
const CONNECTIONS_MAX = 10_000;
/** How long requests under way may take once the server is to end. */
const GRACE_MS = 5_000;

/**
 * Serves until `close`. Throws unable(`listen-failed`), and what the data directory causes.
 */
export async function startServer(options: ServerOptions): Promise<{ url: string; close(): Promise<void> }> {
  const { project, data, listen, tls, log } = options;
  const tree = await DirectoryTree.make(data);
  const depot = GatedDepot.over({ tree, rules: project, now });
  const listener = requestListener({ project, tree, depot, now, log });

  // requestTimeout would end a large upload that is well under way; the idle bound ends one that is not.
  const settings = {
    headersTimeout: HEADERS_MS,
    connectionsCheckingInterval: 5_000,
    requestTimeout: 0,
    keepAliveTimeout: 30_000,
  };
  const server = tls ? createTlsServer({ ...settings, ...tls }, listener) : createServer(settings, listener);
  server.setTimeout(IDLE_MS);
  server.maxConnections = CONNECTIONS_MAX;

  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        unable(
          'listen-failed',
          `cannot listen on ${listen.host}:${listen.port}: ${cause.message}`,
          hintOf(cause, listen.port),
        ),
      ),
    );
    server.listen(listen.port, listen.host, resolve);
  });
  return { url: urlOf(server.address(), tls !== undefined), close: () => closeServer(server) };
}

/** What helps against the errors that people meet; empty for others. */
function hintOf({ code }: NodeJS.ErrnoException, port: number): string {
  if (code === 'EADDRINUSE')
    return `ss -ltnp 'sport = :${port}' shows what listens there; or take another: --listen HOST:PORT`;
  if (code === 'EACCES') return 'ports below 1024 are for root: take another, behind a web server';
  if (code === 'EADDRNOTAVAIL') return 'this host has no such address: see ip address';
  return '';
}

const urlOf = (address: AddressInfo | string | null, secure: boolean): string => {
  if (address === null || typeof address === 'string')
    throw new Error('the server listens on no TCP address');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `${secure ? 'https' : 'http'}://${host}:${address.port}`;
};

/** Takes no new connection, lets requests under way end, for a while: a client that says nothing keeps nobody up. */
async function closeServer(server: ReturnType<typeof createServer>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const late = setTimeout(() => server.closeAllConnections(), GRACE_MS);
  await closed;
  clearTimeout(late);
}
