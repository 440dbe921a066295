/** How the depot answers: bodies, whether they are still what they were, and failures as `{code, message, hint}`. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Failure, refused } from '../failure.ts';
import { DeniedFailure } from '../tree/denied.ts';
import { JSON_TYPE, formatError } from '../tree/wire.ts';
import { bodyValidators, judgeConditions } from './conditional.ts';
import type { Validators } from './conditional.ts';
import { contentSecurityPolicy } from './pages.ts';
import { methodsAt } from './request.ts';

export const TEXT_TYPE = 'text/plain; charset=utf-8';

/**
 * Goes with every answer: nothing from here is ever run or framed, or guessed to be of another type. Nor kept, unless an
 * answer says otherwise: what is not there yet may be there a second later.
 */
export const commonHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': contentSecurityPolicy,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

/** Who may keep an answer, if anybody may: one to somebody who has shown a token is theirs alone. */
export const cacheControl = ({ headers }: IncomingMessage, anybody: string): string =>
  headers.authorization === undefined ? anybody : 'private, no-store';

/** A body that nobody read is let in up to this size, so that the client sees the answer; else the connection ends. */
const UNREAD_MAX = 1024 * 1024;
/**
 * Before that, so much more is let in: what comes on a connection that has ended makes the system take back what was said on
 * it, and the client would hear of a broken connection instead of the answer.
 */
const LINGER_MAX = 16 * 1024 * 1024;
const LINGER_MS = 5_000;

const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  'path-malformed': 400,
  'upload-malformed': 400,
  'read-request-malformed': 401,
  'not-found': 404,
  'blob-missing': 404,
  'method-not-allowed': 405,
  conflict: 409,
  'upload-offset': 409,
  'version-taken': 409,
  'length-required': 411,
  'precondition-failed': 412,
  'too-large': 413,
  'tar-too-large': 413,
  'record-too-large': 413,
};

/** What may be asked for again, and after how many seconds, where nobody has said so already. */
const STATUS_OF_FAULT: Readonly<Record<string, number>> = {
  'too-many-requests': 429,
  busy: 503,
  'disk-reserve': 507,
};
const RETRY_AFTER: Readonly<Record<number, string>> = { 503: '5' };

/** The status of a failure: the gate's own, else by its code; a fault of ours is 500, whose cause another try at once would meet again. */
const statusOf = (failure: Failure): number => {
  if (failure instanceof DeniedFailure) return failure.status;
  if (failure.kind === 'refused') return STATUS_OF_CODE[failure.code] ?? 422;
  return STATUS_OF_FAULT[failure.code] ?? 500;
};

/** Answers with a whole body. */
export function sendBytes(
  response: ServerResponse,
  status: number,
  body: Buffer | string,
  headers: OutgoingHttpHeaders,
): void {
  const { req: request } = response;
  const unread = request.readableEnded ? 0 : Number(request.headers['content-length'] ?? 0);
  const closes = unread > UNREAD_MAX;
  response.writeHead(status, {
    ...commonHeaders,
    ...headers,
    'content-length': Buffer.byteLength(body),
    ...(closes && { connection: 'close' }),
  });
  if (request.method === 'HEAD') response.end();
  else if (unread > 0 && (closes || !response.shouldKeepAlive)) endLate(response, body);
  else response.end(body);
}

/** The answer goes at once; the connection ends once the rest of the request is there, or enough of it. */
function endLate(response: ServerResponse, body: Buffer | string): void {
  const { req: request } = response;
  let left = LINGER_MAX;
  const end = (): void => {
    clearTimeout(late);
    request.off('data', count);
    response.end();
  };
  const late = setTimeout(end, LINGER_MS);
  const count = (chunk: Buffer): void => {
    left -= chunk.length;
    if (left < 0) end();
  };
  response.write(body);
  request.on('data', count).once('end', end).once('close', end).resume();
}

/** Answers with JSON, on one line; 200 unless told. */
export const sendJson = (response: ServerResponse, value: unknown, status = 200): void =>
  sendBytes(response, status, `${JSON.stringify(value)}\n`, { 'content-type': JSON_TYPE });

/**
 * Answers with what may be other bytes the next time: whoever has it asks whether it is still so. Throws
 * refused('precondition-failed').
 */
export function sendCurrent(
  response: ServerResponse,
  type: string,
  body: Buffer | string,
  headers: OutgoingHttpHeaders = {},
): void {
  const validators = bodyValidators(body);
  const kept = { ...headers, 'cache-control': cacheControl(response.req, 'no-cache'), etag: validators.tag };
  if (sendIfFresh(response, validators, kept)) return;
  sendBytes(response, 200, body, { ...kept, 'content-type': type });
}

/**
 * Answers 304 to whoever has it already, with the headers that say so (RFC 9110 §15.4.5); else false, and nothing is
 * answered. Throws refused('precondition-failed').
 */
export function sendIfFresh(
  response: ServerResponse,
  validators: Validators,
  headers: OutgoingHttpHeaders,
): boolean {
  const condition = judgeConditions(response.req.headers, validators);
  if (condition === 'failed')
    throw refused('precondition-failed', 'it is not what the request names', 'ask for it without conditions');
  if (condition === 'fresh') response.writeHead(304, { ...commonHeaders, ...headers }).end();
  return condition === 'fresh';
}

/** What is answered where nothing is. */
export const notFound = (path: string): Failure => refused('not-found', `there is no ${path}`);

/** Answers with a failure; what is not a `Failure` is a fault of ours, told to the log and not to the client. */
export function sendFailure(response: ServerResponse, error: unknown, log: (line: string) => void): void {
  // also a client that went away in the middle of its body: no fault of ours, and nobody is there to be told
  if (response.headersSent || (error !== null && error === response.req.errored)) {
    response.destroy();
    return;
  }
  if (error instanceof Failure) {
    const status = statusOf(error);
    sendBytes(response, status, formatError(error), {
      'content-type': JSON_TYPE,
      ...(status === 401 && { 'www-authenticate': 'Bearer' }),
      ...(RETRY_AFTER[status] !== undefined && { 'retry-after': RETRY_AFTER[status] }),
      ...(status === 405 && { allow: methodsAt(response.req.url) }),
    });
    return;
  }
  log(`internal error: ${error instanceof Error ? (error.stack ?? error.message) : 'unknown'}`);
  const body = { code: 'internal', message: 'the depot failed', hint: 'try again; its log says more' };
  sendBytes(response, 500, formatError(body), { 'content-type': JSON_TYPE });
}
