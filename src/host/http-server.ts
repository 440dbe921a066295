/** An HTTP server that others reach: listens, bounds what connections may take, and ends in order. An edge to the system. */
import { createServer } from 'node:http';
import type { RequestListener, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Socket } from 'node:net';
import { unable } from '../failure.ts';
import type { Failure } from '../failure.ts';
import type { Connections } from './connections.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** PEM: a certificate chain and its key. */
export interface TlsIdentity {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** A listening socket that this process was started with. */
export interface Inherited {
  readonly fd: number;
}

export interface HttpServer {
  readonly url: string;
  /** Shows another certificate to whoever connects from now on. Throws what is wrong with it, and then keeps the old one. */
  renew(tls: TlsIdentity): void;
  /** Takes no new connection, and ends when the requests under way have been answered, or after a while. */
  close(): Promise<void>;
}

export interface ServerSettings {
  readonly listen: Address | Inherited;
  /** Speaks HTTPS. */
  readonly tls?: TlsIdentity | undefined;
  /** How long a whole request may take to come; 0 for as long as it moves. */
  readonly requestMs: number;
  /** A connection on which nothing moves ends. */
  readonly idleMs: number;
  readonly connections: Connections;
  /** A connection was ended for what did not come or go in time. */
  readonly late?: (what: Late) => void;
  /** Headers that go with the answer to what is no HTTP. */
  readonly unread?: (status: number) => Readonly<Record<string, string>>;
  /** How long requests under way may take once the server is to end. */
  readonly graceMs?: number;
}

/** The head of a request, or anything while one is under way. */
export type Late = 'head-deadline' | 'idle';

/** A request's head must be there by then; of TLS, what comes before any request. */
const HEADERS_MS = 20_000;
const KEEP_ALIVE_MS = 30_000;
/** Who has come while we did something else; the system may allow fewer. */
const BACKLOG = 4096;
const GRACE_MS = 5_000;

/** Serves until `close`. Throws unable(`listen-failed`). */
export async function startHttpServer(
  listener: RequestListener,
  { listen, tls, requestMs, idleMs, connections, ...more }: ServerSettings,
): Promise<HttpServer> {
  const settings = {
    headersTimeout: HEADERS_MS,
    connectionsCheckingInterval: 5_000,
    requestTimeout: requestMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
  };
  const secure = tls && createTlsServer({ ...settings, ...tls, handshakeTimeout: HEADERS_MS });
  const server = secure ?? createServer(settings);
  watch(server, connections, more);
  server.on('request', listener);
  server.setTimeout(idleMs);

  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(notListening(listen, cause)));
    if ('fd' in listen) server.listen(listen, resolve);
    else server.listen(listen.port, listen.host, BACKLOG, resolve);
  });
  return {
    url: urlOf(server.address(), tls !== undefined),
    renew: (identity) => secure?.setSecureContext({ ...identity }),
    close: () => closeServer(server, connections, more.graceMs),
  };
}

/** Keeps count of the connections, and ends those that are too late. */
function watch(
  server: Server,
  connections: Connections,
  { late = () => {}, unread = () => ({}) }: Pick<ServerSettings, 'late' | 'unread'>,
): void {
  const underWay = new WeakMap<Socket, Set<ServerResponse>>();
  server.on('connection', (socket) => connections.take(socket));
  server.on('secureConnection', (socket: Socket) => connections.secured(socket));
  server.on('request', ({ socket }, response) => {
    connections.begin(socket);
    const answers = underWay.get(socket) ?? new Set();
    underWay.set(socket, answers.add(response));
    response.once('close', () => {
      answers.delete(response);
      connections.end(socket);
    });
  });
  server.on('timeout', (socket: Socket) => {
    if (underWay.get(socket)?.size) late('idle');
    socket.destroy();
  });
  server.on('tlsClientError', ({ code }: NodeJS.ErrnoException) => {
    if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') late('head-deadline');
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') late('head-deadline');
    const status = STATUS_OF_ERROR[error.code ?? ''] ?? '400 Bad Request';
    // not into an answer that has begun
    const begun = [...(underWay.get(socket) ?? [])].some(({ headersSent }) => headersSent);
    if (socket.writable && !begun) {
      const headers = Object.entries(unread(Number.parseInt(status, 10)));
      const lines = [`HTTP/1.1 ${status}`, 'Connection: close', ...headers.map((each) => each.join(': '))];
      socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    }
    socket.destroy(error);
  });
  // no more files may be opened: whoever asked to be let in is turned away by the system, and the next one let in
  server.on('error', () => {});
}

/** As Node answers if nobody listens for these errors. */
const STATUS_OF_ERROR: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

function notListening(listen: Address | Inherited, cause: Error): Failure {
  const [where, hint] =
    'fd' in listen
      ? [`descriptor ${listen.fd}`, 'it should be a TCP socket that listens: see the .socket unit']
      : [`${listen.host}:${listen.port}`, hintOf(cause, listen.port)];
  return unable('listen-failed', `cannot listen on ${where}: ${cause.message}`, hint);
}

/** What helps against the errors that people meet; empty for others. */
function hintOf({ code }: NodeJS.ErrnoException, port: number): string {
  if (code === 'EADDRINUSE')
    return `ss -ltnp 'sport = :${port}' shows what listens there; or take another: --listen HOST:PORT`;
  if (code === 'EACCES') return 'ports below 1024 are for root: take another, behind a web server';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return 'no such name is known here: an address, like 127.0.0.1 or 0.0.0.0, needs none';
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
async function closeServer(server: Server, connections: Connections, graceMs = GRACE_MS): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  // a connection that is new may be about to bring a request
  const silent = setTimeout(() => connections.endIdle(), GRACE_MS);
  const late = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(silent);
  clearTimeout(late);
}
