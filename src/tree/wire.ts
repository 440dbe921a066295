/** What client and server of a depot agree on beside paths (protocol §4): bodies of many files, and errors. */
import { Failure, refused, unable } from '../failure.ts';
import type { ReadAuthority } from '../policy/gate/token.ts';
import { closedObject, integer, listOf, malformed, nullOr, text } from '../records/fields.ts';
import { toBuildId, toSha256 } from '../records/names.ts';
import type { Sha256 } from '../records/names.ts';
import { printable } from '../records/printable.ts';
import { BATCH } from './tree.ts';
import type { Changed } from './tree.ts';

export const TAR_TYPE = 'application/x-tar';
export const JSON_TYPE = 'application/json';
export const BYTES_TYPE = 'application/octet-stream';

/** An error, or a list of digests. */
export const SMALL_BODY_MAX = 128 * 1024;

/** Below a release's directory: a signature of the longest name. */
const NAME_MAX = 300;
/** A list of names, each with its quotes and comma. */
export const NAMES_MAX = BATCH.files * (NAME_MAX + 3) + 2;

/** How long `GET /changes/?after=` waits for something to tell, and how many builds it tells of at a time. */
export const CHANGES_WAIT_MS = 25_000;
export const CHANGES_MAX = 1000;

/** The entries of a push of the log, from whoever has the signer's token: some 200,000. */
export const LOG_PUSH_MAX = 64 * 1024 * 1024;

/** Splits files into what travels together, each of at least one file. */
export function* batches<T>(
  files: Iterable<T>,
  sizeOf: (file: T) => number,
): Generator<T[], void, undefined> {
  let batch: T[] = [];
  let bytes = 0;
  for (const file of files) {
    bytes += sizeOf(file);
    if (batch.length > 0 && (batch.length === BATCH.files || bytes > BATCH.bytes)) {
      yield batch;
      batch = [];
      bytes = sizeOf(file);
    }
    batch.push(file);
  }
  if (batch.length > 0) yield batch;
}

/** What `Authorization` says of whoever asks. */
export const formatAuthorization = (bearer: Buffer | ReadAuthority): string =>
  Buffer.isBuffer(bearer)
    ? `Bearer ${bearer.toString('base64url')}`
    : `Countersign-Read ${bearer.bytes.toString('base64url')}.${bearer.signature.toString('base64url')}`;

/** The body of `POST …/fetch`, a JSON array of digests or names; a tar of those files in that order answers it. */
export const formatNames = (names: readonly string[]): Buffer => Buffer.from(JSON.stringify(names));

/** Throws refused('record-malformed') for anything else, for none, for more than a batch of them, and for one that is there twice. */
export const parseDigests = (bytes: Buffer): Sha256[] => parseList(bytes, 'the list of digests', toSha256);

/** As `parseDigests`, of names below a release's directory. */
export const parseNames = (bytes: Buffer): string[] =>
  parseList(bytes, 'the list of names', (name, where) => text(name, where, NAME_MAX));

function parseList<Item>(
  bytes: Buffer,
  what: string,
  toItem: (value: unknown, where: string) => Item,
): Item[] {
  const items = listOf(parseJson(bytes), what, { min: 1, max: BATCH.files }, toItem);
  if (new Set(items).size < items.length) throw refused('record-malformed', `${what}: one is there twice`);
  return items;
}

/** The answer to `POST /releases/<project>/<version>/sizes`; throws refused('record-malformed') if it is not so many. */
export const parseSizes = (bytes: Buffer, count: number): (number | null)[] =>
  listOf(parseJson(bytes), 'the list of sizes', { min: count, max: count }, (size, where) =>
    nullOr(size, where, integer),
  );

/** What `after` may be; whoever gives it out knows what it means. */
const CURSOR = /^[A-Za-z0-9.-]{1,64}$/;

/** The answer to `GET /changes/`. Throws refused('record-malformed'). */
export function parseChanges(bytes: Buffer): Changed {
  const { cursor, builds } = closedObject(parseJson(bytes), 'what has changed', ['cursor', 'builds']);
  const where = text(cursor, 'cursor', 64);
  if (!CURSOR.test(where)) throw malformed('cursor', 'not a cursor');
  const bounds = { min: 0, max: CHANGES_MAX };
  return {
    cursor: where,
    builds: nullOr(builds, 'builds', (list, at) => listOf(list, at, bounds, toBuildId)),
  };
}

/** The body of an answer that is no success. Who asked may print it, and it may quote what a stranger sent. */
export const formatError = ({ code, message, hint }: Pick<Failure, 'code' | 'message' | 'hint'>): Buffer =>
  Buffer.from(`${JSON.stringify({ code, message: printable(message), hint: printable(hint) })}\n`);

/** What an answer with this status and body means: a 4xx is the gate's verdict, anything else a fault. */
export function parseError(status: number, body: Buffer, asked: string): Failure {
  const make = status >= 400 && status < 500 && status !== 408 && status !== 429 ? refused : unable;
  try {
    const fields = closedObject(parseJson(body), 'the error', ['code', 'message', 'hint']);
    const code = text(fields.code, 'code', 64);
    const hint = fields.hint === '' ? '' : text(fields.hint, 'hint', 1000);
    // whoever compares codes must not be fooled by one with a line break in it
    if (/^[a-z][a-z0-9-]*$/.test(code)) return make(code, text(fields.message, 'message', 4000), hint);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
  }
  const hint =
    status >= 500 ? 'look at it, and at the web server before it: /readyz there says what it lacks' : '';
  return make(`http-${status}`, `the depot answers ${asked} with status ${status}`, hint);
}

/** Throws refused('record-malformed'). */
export function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw refused('record-malformed', 'it is not JSON', '', error);
  }
}
