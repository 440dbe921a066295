/**
 * One HTTP request and the head of its answer, from a server that may be hostile. The body is `http-body.ts`.
 */
import { request as requestHttp } from 'node:http';
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import { request as requestHttps } from 'node:https';
import { Failure, unable } from '../failure.ts';

export const MAX_HEADER_BYTES = 16 * 1024;
/** 100 Continue, 103 Early Hints: one or two of them are a proxy's way to keep a connection. */
export const INTERIM_MAX = 16;

/** Said to every connection, as NODE_OPTIONS and NODE_TLS_REJECT_UNAUTHORIZED change what is not. */
export const STRICT_TLS = { rejectUnauthorized: true, minVersion: 'TLSv1.2' } as const;

/** A body of known length. `source` is called once for each attempt. */
export interface HttpBody {
  readonly type: string;
  readonly size: number;
  readonly source: () => AsyncIterable<Buffer> | Iterable<Buffer>;
}

export interface ExchangeTiming {
  readonly connectMs: number;
  /** The longest that the head of the answer, or the next piece of our body on its way out, may take. */
  readonly answerMs: number;
  /** The longest that the head of the answer may take once our body has gone, where that is more. */
  readonly outcomeMs?: number;
}

export interface Exchange {
  readonly request: ClientRequest;
  readonly response: IncomingMessage;
}

/** The connection failed, or the server takes nothing now, which another attempt may mend. */
export class BrokenConnection extends Failure {
  /** How long the server wants to be left alone. */
  readonly notBeforeMs: number;

  constructor(message: string, cause?: unknown, notBeforeMs = 0) {
    super('unable', 'network', message, 'check the network and that server, then try again', cause);
    this.notBeforeMs = notBeforeMs;
  }
}

/** It answers, and takes nothing now. */
export class NotReady extends BrokenConnection {}

export const noConnection = (server: string): Failure =>
  new BrokenConnection(`cannot connect to ${server}: no answer`);

export const noAnswer = (server: string): Failure =>
  unable('network', `${server} does not answer`, 'try again');

/** What no depot and no witness answers: trying again gives the same. */
export const badAnswer = (problem: string, cause?: unknown): Failure =>
  unable('bad-answer', `the server's answer is not acceptable: ${problem}`, 'is its address right?', cause);

/**
 * Sends one request and returns the answer once its head is here, whatever its status.
 * Throws `BrokenConnection`, unable('network' | 'bad-answer'), and what the body's source throws.
 */
export function exchange(
  options: RequestOptions & { readonly headers: Readonly<Record<string, string>> },
  body: HttpBody | null,
  timing: ExchangeTiming,
): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const start = options.protocol === 'https:' ? requestHttps : requestHttp;
    // NODE_OPTIONS changes these, too
    const strict = { insecureHTTPParser: false, maxHeaderSize: MAX_HEADER_BYTES, ...STRICT_TLS };
    const { headers, ...rest } = options;
    const server = hostOf(options);
    const request = start({ ...rest, ...strict });
    // one by one: NODE_DEBUG prints the options of a connection, and there is a token among the headers
    for (const [name, value] of Object.entries(headers)) request.setHeader(name, value);
    let timer: NodeJS.Timeout | undefined;
    let waiting = true;
    const within = (milliseconds: number, otherwise: () => Failure): void => {
      clearTimeout(timer);
      if (waiting) timer = setTimeout(() => request.destroy(otherwise()), milliseconds);
    };
    let [connected, gone] = [false, false];
    const answerSoon = (): void => {
      const { answerMs, outcomeMs = answerMs } = timing;
      if (connected) within(gone ? outcomeMs : answerMs, () => noAnswer(server));
    };
    const speak = (): void => {
      connected = true;
      answerSoon();
    };
    const settle = (): void => {
      waiting = false;
      clearTimeout(timer);
    };

    within(timing.connectMs, () => noConnection(server));
    request.on('socket', (socket) => {
      if (!socket.connecting) return speak();
      // a TLSSocket says so of itself; to ask node:tls for the class would load it for plain HTTP too
      socket.once('encrypted' in socket ? 'secureConnect' : 'connect', speak);
    });
    request.on('error', (error) => {
      settle();
      reject(explain(error, server));
    });
    let interim = 0;
    request.on('information', () => {
      interim += 1;
      if (interim > INTERIM_MAX) request.destroy(badAnswer('interim answers without end'));
    });
    request.on('upgrade', (_response, socket) => {
      settle();
      socket.destroy();
      reject(badAnswer('it wants to speak another protocol'));
    });
    request.on('response', (response) => {
      settle();
      // the parser's word on bytes behind a body that was complete
      request.on('error', (error) => response.destroy(error));
      resolve({ request, response });
    });
    const sending = { progress: answerSoon, answered: () => !waiting };
    const sent = send(request, body, sending).then(() => {
      gone = true;
      answerSoon();
    });
    sent.catch((error: unknown) => {
      settle();
      reject(error instanceof Error ? error : new Error(String(error)));
      request.destroy();
    });
  });
}

interface Sending {
  progress(): void;
  answered(): boolean;
}

/** Sends all of the body, unless the answer is there first: then the rest is of no use. */
async function send(request: ClientRequest, body: HttpBody | null, sending: Sending): Promise<void> {
  let sent = 0;
  for await (const chunk of body?.source() ?? []) {
    // a request that ended while the chunk was read says nothing any more that could be waited for
    if (request.destroyed) return;
    sent += chunk.length;
    if (sent > (body?.size ?? 0)) break;
    if (!request.write(chunk)) await drained(request);
    if (sending.answered() || request.destroyed) return;
    sending.progress();
  }
  if (sent !== (body?.size ?? 0)) throw unable('changed', 'a file changed its size while it was sent');
  request.end();
}

function drained(request: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      request.off('drain', done).off('close', done);
      resolve();
    };
    request.on('drain', done).on('close', done);
  });
}

const TRANSIENT = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
  'ETIMEDOUT',
]);

/** Nobody on this host vouches for the server's certificate. */
const UNKNOWN_ISSUER = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

const hostOf = ({ hostname, port }: RequestOptions): string =>
  `${hostname?.includes(':') === true ? `[${hostname}]` : hostname}${port ? `:${port}` : ''}`;

/** What the system, TLS or the parser said, as a `Failure`. `server`: whom we spoke to. */
export function explain(error: unknown, server = 'the server'): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  if (error instanceof Failure) return error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (code.startsWith('HPE_')) return badAnswer(`it is not HTTP as it should be (${code})`, error);
  // several addresses tried give an AggregateError, which has a code but no words
  const words = error.message || code;
  if (TRANSIENT.has(code)) return new BrokenConnection(`the connection to ${server} failed: ${words}`, error);
  return unable(
    'network',
    `cannot talk to ${server}: ${words}`,
    UNKNOWN_ISSUER.has(code)
      ? 'if its certificate is one of your own making, start countersign with NODE_EXTRA_CA_CERTS=FILE, its CA certificate'
      : 'check its address and its certificate',
    error,
  );
}
