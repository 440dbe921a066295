/**
 * A witness over HTTP (C2SP tlog-witness); what is refused is answered with a line of text.
 *
 *     POST       /add-checkpoint
 *     GET, HEAD  /<SHA-256 of the origin, in hex>/checkpoint
 */
import type { IncomingMessage, OutgoingHttpHeaders, RequestListener, ServerResponse } from 'node:http';
import { Failure, refused, unable } from '../failure.ts';
import { Connections } from '../host/connections.ts';
import { startHttpServer } from '../host/http-server.ts';
import type { Address, HttpServer, TlsIdentity } from '../host/http-server.ts';
import { inTurn } from '../host/turns.ts';
import type { Answer, Witness } from './witness.ts';

export interface ServerOptions {
  readonly witness: Pick<Witness, 'addCheckpoint' | 'checkpoint'>;
  readonly listen: Address;
  readonly tls?: TlsIdentity;
  readonly log: (line: string) => void;
}

const KIB = 1024;
/** A note of a hundred signatures or of sixteen post-quantum ones, and a proof before it. */
const BODY_MAX = 256 * KIB;
/** All bodies that are being received or judged. */
const TOGETHER_MAX = 64 * KIB * KIB;
const REQUEST_MS = 20_000;
const IDLE_MS = 60_000;
const CONNECTIONS_MAX = 2_000;

const TEXT = 'text/plain; charset=utf-8';

/** Serves until `close`. Throws unable(`listen-failed`). */
export function startWitness({ witness, log, ...where }: ServerOptions): Promise<HttpServer> {
  return startHttpServer(requestListener(witness, log), {
    ...where,
    requestMs: REQUEST_MS,
    idleMs: IDLE_MS,
    connections: new Connections({ most: CONNECTIONS_MAX }),
  });
}

function requestListener(witness: ServerOptions['witness'], log: (line: string) => void): RequestListener {
  const inbox = new Inbox();
  return inTurn((request, response) => {
    answer(request, response).catch((error: unknown) => sendFailure(response, error, log));
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request;
    const hash = /^\/([0-9a-f]{64})\/checkpoint$/.exec(url)?.[1];
    if (url === '/add-checkpoint') {
      if (method !== 'POST') return send(response, 405, 'POST a checkpoint here\n', { allow: 'POST' });
      return inbox.receive(request, async (body) => sendAnswer(response, await witness.addCheckpoint(body)));
    }
    if (hash === undefined) return send(response, 404, 'there is nothing here\n');
    if (method !== 'GET' && method !== 'HEAD')
      return send(response, 405, 'GET a checkpoint here\n', { allow: 'GET, HEAD' });
    const note = witness.checkpoint(hash);
    if (note === null) return send(response, 404, 'no checkpoint of such a log was cosigned\n');
    send(response, 200, note);
  }
}

function sendAnswer(response: ServerResponse, answer: Answer): void {
  if (answer.status === 200) send(response, 200, answer.cosignature);
  else if (answer.status === 409)
    send(response, 409, `${answer.size}\n`, { 'content-type': 'text/x.tlog.size' });
  else send(response, answer.status, `${answer.problem}\n`);
}

function send(
  response: ServerResponse,
  status: number,
  body: string,
  headers: OutgoingHttpHeaders = {},
): void {
  const { req: request } = response;
  // not the rest of a body that has no end
  const endless = !request.complete && Number(request.headers['content-length'] ?? Infinity) > BODY_MAX;
  response.writeHead(status, {
    'content-type': TEXT,
    'x-content-type-options': 'nosniff',
    ...headers,
    'content-length': Buffer.byteLength(body),
    ...(endless && hasBody(request) && { connection: 'close' }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;

const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  'submission-malformed': 400,
  'too-large': 413,
  busy: 503,
};

function sendFailure(response: ServerResponse, error: unknown, log: (line: string) => void): void {
  // also a client that went away in the middle of its body
  if (response.headersSent || (error !== null && error === response.req.errored)) {
    response.destroy();
    return;
  }
  const status = error instanceof Failure ? STATUS_OF_CODE[error.code] : undefined;
  if (error instanceof Failure && status !== undefined) return send(response, status, `${error.message}\n`);
  log(
    `not answered: ${error instanceof Failure ? error.message : error instanceof Error ? (error.stack ?? error.message) : 'unknown'}`,
  );
  send(response, 500, 'the witness failed, and has not cosigned\n');
}

/** Bodies on their way: each bounded, and all together, by the bytes that have come. */
class Inbox {
  #held = 0;

  /** Gives the whole body to `judge`. Throws refused(`too-large`), unable(`busy`), and what that throws. */
  async receive(request: IncomingMessage, judge: (body: Buffer) => Promise<void>): Promise<void> {
    if (Number(request.headers['content-length'] ?? 0) > BODY_MAX) throw tooLarge();
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      const source: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false });
      for await (const chunk of source) {
        bytes += chunk.length;
        this.#held += chunk.length;
        if (bytes > BODY_MAX) throw tooLarge();
        if (this.#held > TOGETHER_MAX)
          throw unable('busy', 'the witness is receiving as much as it can hold', 'try again in a minute');
        chunks.push(chunk);
      }
      await judge(Buffer.concat(chunks));
    } catch (error) {
      request.resume(); // the rest is let in, so that the client sees the answer
      throw error;
    } finally {
      this.#held -= bytes;
    }
  }
}

const tooLarge = () => refused('too-large', `a checkpoint of more than ${BODY_MAX} bytes`);
