/** What a request says, parsed strictly before anything else looks at it. */
import type { IncomingMessage } from 'node:http';
import type { ByteRange } from '../tree/tree.ts';
import { refused } from '../failure.ts';
import type { ReadAuthority } from '../policy/gate/token.ts';
import { TOKEN_BYTES } from '../policy/token.ts';
import { toBuildId } from '../records/names.ts';
import type { BuildId } from '../records/names.ts';

/**
 * Whether a request target is one way to name something here: an absolute path with each character as itself, and no
 * query but `?after=`, `?revoked=1` or both, or the cursor of `/changes/`. Every name of ours is made of characters that
 * need no escape, so a `%`, a `..`, a doubled slash or an absolute URI is never needed to say one.
 */
export function isTarget(url: string | undefined): boolean {
  if (/^\/changes\/\?after=[A-Za-z0-9.-]{1,64}$/.test(url ?? '')) return true;
  const path =
    /^\/([A-Za-z0-9._+~@=/-]{0,1024})(?:\?(?:after=[0-9a-z]{0,26}|revoked=1(?:&after=[0-9a-z]{0,26})?))?$/.exec(
      url ?? '',
    )?.[1];
  if (path === undefined) return false;
  const segments = path.split('/');
  return segments.every((s, at) => s !== '.' && s !== '..' && (s !== '' || at === segments.length - 1));
}

/** What a listing of builds is asked for, by a target that `isTarget`. Throws refused for an `after` that is no build id. */
export function listingQuery(url = ''): { readonly revoked: boolean; readonly after: BuildId | null } {
  const after = /[?&]after=(.+)$/.exec(url)?.[1];
  return {
    revoked: url.includes('?revoked=1'),
    after: after === undefined ? null : toBuildId(after, 'after'),
  };
}

function exactly32(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.length === TOKEN_BYTES && bytes.toString('base64url') === text ? bytes : null;
}

/**
 * The token of `Authorization: Bearer <base64url of 32 bytes>`, or the read request of `Countersign-Read
 * <base64url>.<base64url>`; null if there is none or it is something else. Throws refused(`read-request-malformed`).
 */
export function bearerOf(request: IncomingMessage): Buffer | ReadAuthority | null {
  const [, scheme, first = '', second = ''] =
    /^(Bearer|Countersign-Read) ([A-Za-z0-9_-]{1,8192})(?:\.([A-Za-z0-9_-]{1,8192}))?$/.exec(
      request.headers.authorization ?? '',
    ) ?? [];
  if (scheme === 'Bearer' && second === '') return exactly32(first);
  if (!/^Countersign-Read\b/i.test(request.headers.authorization ?? '')) return null;
  const [bytes, signature] = [first, second].map((text) => Buffer.from(text, 'base64url'));
  const isExact = bytes?.toString('base64url') === first && signature?.toString('base64url') === second;
  if (scheme === undefined || second === '' || !bytes || !signature || !isExact)
    throw refused(
      'read-request-malformed',
      'the read request is not two parts in base64url with a dot between',
    );
  return { bytes, signature };
}

/**
 * The length that a body claims. Throws refused('length-required') without exactly one Content-Length: a body that ends
 * where the connection does is no body; refused('too-large') over `maxBytes`.
 */
export const contentLength = (request: IncomingMessage, maxBytes: number): number => {
  const text = request.headers['content-length'];
  if (request.headers['transfer-encoding'] !== undefined || text === undefined || !/^\d{1,15}$/.test(text)) {
    throw refused('length-required', 'a body needs a Content-Length', 'send the length, not chunks');
  }
  const length = Number(text);
  if (length <= maxBytes) return length;
  throw refused('too-large', `a body of ${length} bytes; at most ${maxBytes} are taken here`);
};

/**
 * One range of a file of `size` bytes (RFC 9110 §14.1.2). Null: serve it whole (no range, several, or another unit).
 * 'unsatisfiable': answer 416.
 */
export const parseRange = (header: string | undefined, size: number): ByteRange | 'unsatisfiable' | null => {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(header ?? '');
  if (match === null || (match[1] === '' && match[2] === '')) return null;
  const [first, last] = [match[1] ?? '', match[2] ?? ''];
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (first !== '' && last !== '' && Number(last) < start) return null;
  return start > end ? 'unsatisfiable' : { start, end };
};

/** The methods that a path may be asked for with, for the Allow of a 405 (RFC 9110 §10.2.1). */
export function methodsAt(url = ''): string {
  const path = url.replace(/\?.*$/s, '');
  const posts =
    /^\/(?:log|builds\/[^/]+(?:\/(?:blobs|fetch|publish|signatures))?|releases\/[^/]+\/[^/]+\/(?:fetch|sizes))$/;
  if (posts.test(path)) return 'GET, HEAD, POST';
  return /^\/builds\/[^/]+\/./.test(path) ? 'GET, HEAD, PUT' : 'GET, HEAD';
}

/** Whether a person's browser asks: then a listing is a page, otherwise JSON. */
export const wantsPage = (request: IncomingMessage): boolean =>
  (request.headers.accept ?? '').includes('text/html');
