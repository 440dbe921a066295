/** An HTTP server that others reach: listens, bounds what connections may take, and ends in order. An edge to the system. */
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { unable } from '../failure.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** PEM: a certificate chain and its key. */
export interface TlsIdentity {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface HttpServer {
  readonly url: string;
  /** Takes no new connection, and ends when the requests under way have been answered, or after a while. */
  close(): Promise<void>;
}

export interface ServerSettings {
  readonly listen: Address;
  /** Speaks HTTPS. */
  readonly tls?: TlsIdentity;
  /** How long a whole request may take to come; 0 for as long as it moves. */
  readonly requestMs: number;
  /** A connection on which nothing moves ends. */
  readonly idleMs: number;
  /** How many one address may have is for a proxy in front. */
  readonly connectionsMax: number;
}

/** A request's headers must be there by then. */
const HEADERS_MS = 20_000;
const KEEP_ALIVE_MS = 30_000;
/** How long requests under way may take once the server is to end. */
const GRACE_MS = 5_000;

/** Serves until `close`. Throws unable(`listen-failed`). */
export async function startHttpServer(
  listener: RequestListener,
  { listen, tls, requestMs, idleMs, connectionsMax }: ServerSettings,
): Promise<HttpServer> {
  const settings = {
    headersTimeout: HEADERS_MS,
    connectionsCheckingInterval: 5_000,
    requestTimeout: requestMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
  };
  const server = tls ? createTlsServer({ ...settings, ...tls }, listener) : createServer(settings, listener);
  server.setTimeout(idleMs);
  server.maxConnections = connectionsMax;

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

/** A client that says nothing keeps nobody up. */
async function closeServer(server: ReturnType<typeof createServer>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const late = setTimeout(() => server.closeAllConnections(), GRACE_MS);
  await closed;
  clearTimeout(late);
}
