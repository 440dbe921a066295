/** How a file of the tree is answered: whole, one range of it, or that whoever asks has it (RFC 9110 §13, §14). */
import type { ServerResponse } from 'node:http';
import { refused, unable } from '../failure.ts';
import type { ByteRange, FileStatus } from '../tree/tree.ts';
import { BYTES_TYPE, JSON_TYPE, formatError } from '../tree/wire.ts';
import { TEXT_TYPE, cacheControl, commonHeaders, notFound, sendBytes, sendIfFresh } from './answer.ts';
import { fileValidators, judgeIfRange } from './conditional.ts';
import type { Exchange } from './exchange.ts';
import { parseRange } from './request.ts';

/** RFC 3156. */
const SIGNATURE_TYPE = 'application/pgp-signature';

/** Of records, by what their names end in. */
const RECORD_TYPES: ReadonlyMap<string, string> = new Map([
  ['json', JSON_TYPE],
  ['asc', SIGNATURE_TYPE],
  ['sig', SIGNATURE_TYPE],
  ...['list', 'mac', 'proof', 'receipt'].map((end) => [end, TEXT_TYPE] as const),
]);

/** Artifacts are anybody's bytes, whatever their names end in. docs/how-to/nginx.md says the same to nginx. */
function typeOf(path: string): string {
  const inRelease = /^\/releases\/[^/]+\/[^/]+\/(.*)$/.exec(path)?.[1];
  if (inRelease === 'SHA256SUMS') return TEXT_TYPE;
  const isRecord = inRelease?.startsWith('countersign/') ?? path.startsWith('/builds/');
  const end = path.slice(path.lastIndexOf('.') + 1);
  // no artifact's name ends in .asc, and no blob's has an end
  return ((isRecord || end === 'asc') && RECORD_TYPES.get(end)) || BYTES_TYPE;
}

/**
 * Who may keep it. What is published, and the log's tiles, stay as they are for good. Of a build there are small records,
 * which may go when nobody needs them any more: a cache asks each time whether they are there.
 */
const cachingOf = (path: string): string =>
  /^\/(?:releases|log)\//.test(path) ? 'public, max-age=31536000, immutable' : 'no-cache';

/** Answers GET and HEAD. Throws the gate's denial, refused: `not-found`, `precondition-failed`. */
export async function sendFile(exchange: Exchange): Promise<void> {
  const { request, response, path, depot } = exchange;
  if (request.method === 'HEAD') {
    sendStatus(exchange, await depot.status(path.slice(1)));
    return;
  }
  const file = await depot.open(path.slice(1));
  if (file === null) throw notFound(path);
  try {
    const range = sendHead(exchange, file);
    if (range) await sendChunks(response, file.chunks(range), lengthOf(range));
  } finally {
    file.stream.destroy();
  }
}

/** Answers HEAD with what is known of a file; null if it is not there. Throws refused: `not-found`, `precondition-failed`. */
export function sendStatus(exchange: Exchange, status: FileStatus | null): void {
  if (status === null) throw notFound(exchange.path);
  if (sendHead(exchange, status)) exchange.response.end();
}

/** The head of an answer. Returns what of the file goes behind it; null if nothing does, and all has been said. */
function sendHead({ request, response, path }: Exchange, status: FileStatus): ByteRange | null {
  const { size } = status;
  const validators = fileValidators(status);
  const kept = {
    'cache-control': cacheControl(request, cachingOf(path)),
    etag: validators.tag,
    'last-modified': validators.modified?.toUTCString(),
  };
  if (sendIfFresh(response, validators, kept)) return null;

  // a Range is for GET alone (§14.2)
  const heard = request.method === 'GET' && judgeIfRange(request.headers, validators);
  const asked = heard ? parseRange(request.headers.range, size) : null;
  if (asked === 'unsatisfiable') {
    const error = refused('range-not-satisfiable', `there are ${size} bytes`, 'ask for some of them');
    sendBytes(response, 416, formatError(error), {
      ...{ 'content-type': JSON_TYPE, 'content-range': `bytes */${size}` },
    });
    return null;
  }
  const range = asked ?? { start: 0, end: size - 1 };
  const type = typeOf(path);
  response.writeHead(asked === null ? 200 : 206, {
    ...commonHeaders,
    ...kept,
    'content-type': type,
    // a browser saves what is no text
    ...(type === BYTES_TYPE && { 'content-disposition': 'attachment' }),
    ...{ 'accept-ranges': 'bytes', 'content-length': lengthOf(range) },
    ...(asked && { 'content-range': `bytes ${asked.start}-${asked.end}/${size}` }),
  });
  return range;
}

const lengthOf = ({ start, end }: ByteRange): number => end - start + 1;

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
