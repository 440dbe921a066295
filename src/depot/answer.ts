/** How the depot answers: files straight from the tree, and failures as `{code, message, hint}`. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Failure, refused, unable } from '../failure.ts';
import { DeniedFailure } from '../tree/denied.ts';
import type { GatedDepot } from '../tree/gated.ts';
import { BYTES_TYPE, JSON_TYPE, formatError } from '../tree/wire.ts';
import { contentSecurityPolicy } from './pages.ts';
import { parseRange } from './request.ts';

/** Goes with every answer: nothing from here is ever run or framed, or guessed to be of another type. */
export const commonHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': contentSecurityPolicy,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};

/** A body that nobody read is let in up to this size, so that the client sees the answer; else the connection ends. */
const UNREAD_MAX = 1024 * 1024;

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
  'too-large': 413,
  'tar-too-large': 413,
  'record-too-large': 413,
};

/** The status of a failure: the gate's own, else by its code; a fault of ours is 500, whose cause another try at once would meet again. */
const statusOf = (failure: Failure): number => {
  if (failure instanceof DeniedFailure) return failure.status;
  if (failure.kind === 'refused') return STATUS_OF_CODE[failure.code] ?? 422;
  return failure.code === 'busy' ? 503 : 500;
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
  response.writeHead(status, {
    ...commonHeaders,
    ...headers,
    'content-length': Buffer.byteLength(body),
    ...(unread > UNREAD_MAX && { connection: 'close' }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** Answers with JSON, on one line; 200 unless told. */
export const sendJson = (response: ServerResponse, value: unknown, status = 200): void =>
  sendBytes(response, status, `${JSON.stringify(value)}\n`, { 'content-type': JSON_TYPE });

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
    sendBytes(response, statusOf(error), formatError(error), { 'content-type': JSON_TYPE });
    return;
  }
  log(`internal error: ${error instanceof Error ? (error.stack ?? error.message) : 'unknown'}`);
  const body = { code: 'internal', message: 'the depot failed', hint: 'try again; its log says more' };
  sendBytes(response, 500, formatError(body), { 'content-type': JSON_TYPE });
}

/** Of tiles and bundles, as tlog-tiles wishes. */
const IMMUTABLE = 'public, max-age=31536000, immutable';

/** What is shown in a browser rather than saved. Artifacts are anybody's bytes: they are always saved. */
const typeOf = (path: string): OutgoingHttpHeaders => {
  if (path.startsWith('log/')) return { 'content-type': BYTES_TYPE, 'cache-control': IMMUTABLE };
  const isArtifact = path.startsWith('releases/') && !/^[^/]+\/[^/]+\/[^/]+\/countersign\//.test(path);
  const text = { 'content-type': 'text/plain; charset=utf-8' };
  if (/\/SHA256SUMS$|\.asc$/.test(path)) return text;
  if (isArtifact || path.includes('/blobs/'))
    return { 'content-type': BYTES_TYPE, 'content-disposition': 'attachment' };
  if (path.endsWith('.json')) return { 'content-type': JSON_TYPE };
  return /\.(?:list|proof)$/.test(path) ? text : { 'content-type': BYTES_TYPE };
};

/** Answers with a file of the tree, or one range of it. Throws the gate's denial, and refused('not-found'). */
export async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  depot: GatedDepot,
  path: string,
  notFound: () => Failure,
): Promise<void> {
  const size = await depot.size(path);
  if (size === null) throw notFound();
  const range = parseRange(request.headers.range, size);
  const headers: OutgoingHttpHeaders = { ...commonHeaders, ...typeOf(path), 'accept-ranges': 'bytes' };
  if (range === 'unsatisfiable') {
    response.writeHead(416, { ...headers, 'content-range': `bytes */${size}`, 'content-length': 0 }).end();
    return;
  }
  const head = request.method === 'HEAD';
  const file = head ? null : await depot.open(path, range ?? undefined);
  if (!head && file === null) throw notFound();
  const length = range === null ? size : range.end - range.start + 1;
  const part = range && { 'content-range': `bytes ${range.start}-${range.end}/${size}` };
  response.writeHead(range === null ? 200 : 206, { ...headers, 'content-length': length, ...part });
  if (file === null) response.end();
  else await sendChunks(response, file.chunks(), length);
}

/**
 * Each chunk when the one before has gone. A file that somebody cuts or prolongs meanwhile ends the connection: whoever asked
 * would wait for the rest, or take what is too much for the next answer. Throws what the source throws, unable('disk').
 */
async function sendChunks(
  response: ServerResponse,
  chunks: AsyncIterable<Buffer>,
  length: number,
): Promise<void> {
  let left = length;
  for await (const chunk of chunks) {
    left -= chunk.length;
    if (left < 0) break;
    if (!(await gone(response, chunk))) return;
  }
  if (left !== 0) throw unable('disk', 'a file changed while it was sent');
  response.end();
}

/** Once the system has all of it. False if the connection ended instead. */
function gone(response: ServerResponse, chunk: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const closed = (): void => resolve(false);
    response.once('close', closed);
    response.write(chunk, (error) => {
      response.off('close', closed);
      resolve(!error);
    });
    if (response.destroyed) closed();
  });
}
