/**
 * A large blob on its way in, which goes on where it was cut: the words of the IETF's "Resumable Uploads for HTTP"
 * (draft-ietf-httpbis-resumable-upload), without its upload resource, for a blob is named by its digest.
 *
 *     HEAD  404, Upload-Complete: ?0, Upload-Offset: n     so much of it is here, of whoever has this token
 *     PUT   Upload-Complete: ?1, Upload-Offset: n          the rest; from the start without an offset
 *
 * A PUT that says nothing of it is taken, too, and leaves nothing when it is cut.
 */
import type { IncomingMessage } from 'node:http';
import { refused } from '../failure.ts';
import { isBuildId, isSha256 } from '../records/names.ts';
import type { BuildId, Sha256 } from '../records/names.ts';
import type { Written } from '../tree/tree.ts';
import { sendBytes } from './answer.ts';
import type { Exchange } from './exchange.ts';
import { sendFile, sendStatus } from './file.ts';
import { contentLength } from './request.ts';

/** Receives the body of a PUT. Throws what the depot throws, refused('upload-malformed' | 'length-required' | 'too-large'). */
export async function receiveBlob(
  { request, depot }: Exchange,
  build: BuildId,
  sha256: Sha256,
): Promise<Written> {
  const offset = parseOffset(request);
  const length = contentLength(request, Number.MAX_SAFE_INTEGER - (offset ?? 0));
  const { socket } = request;
  const idle = socket.timeout ?? 0;
  // what is whole is checked and made to last: nothing moves on the connection meanwhile
  const whole = (): unknown => socket.setTimeout(0);
  request.once('end', whole);
  // a fault of ours in the midst of it leaves the connection, which the answer goes on
  const source = (): AsyncIterable<Buffer> => request.iterator({ destroyOnReturn: false });
  try {
    return await (offset === null
      ? depot.putBlob(build, sha256, length, source)
      : depot.continueBlob(build, { sha256, size: offset + length }, offset, request));
  } catch (error) {
    request.resume(); // the rest is let in, so that the client sees the answer
    throw error;
  } finally {
    request.off('end', whole); // of one that is refused the rest may come later
    socket.setTimeout(idle); // for what comes behind on the same connection
  }
}

/** Where the body begins; null if it is no upload that could go on. */
function parseOffset({ headers }: IncomingMessage): number | null {
  const { 'upload-complete': complete, 'upload-offset': offset = '0' } = headers;
  if (complete === undefined && headers['upload-offset'] === undefined) return null;
  if (complete === '?1' && typeof offset === 'string' && /^\d{1,15}$/.test(offset)) return Number(offset);
  throw refused(
    'upload-malformed',
    'an upload that goes on says Upload-Complete: ?1 and Upload-Offset: <bytes>',
  );
}

/** Answers GET and HEAD. Throws the gate's denial, refused: `not-found`, `precondition-failed`, unable('busy'). */
export async function sendBlob(exchange: Exchange, build: string, sha256: string): Promise<void> {
  const { request, response, path, depot } = exchange;
  if (request.method !== 'HEAD' || !isBuildId(build) || !isSha256(sha256)) return sendFile(exchange);
  let status = await depot.status(path.slice(1));
  const offset = status === null ? await depot.uploadOffset(build, sha256) : null;
  // it may have become whole while that was found out
  if (offset !== null) status = await depot.status(path.slice(1));
  if (offset === null || status !== null) return sendStatus(exchange, status);
  return sendBytes(response, 404, '', { 'upload-complete': '?0', 'upload-offset': offset });
}
