/**
 * The body of an answer: of the length that was said, or an error; in bounded time, or an error.
 */
import type { IncomingMessage } from 'node:http';
import { unable } from '../failure.ts';
import { tooLarge } from './files.ts';
import { BrokenConnection, badAnswer, explain } from './http-exchange.ts';

export interface BodyTiming {
  /** The longest that the next bytes may take. */
  readonly idleMs: number;
  /** How long a sender may be slower than `bytesPerSecond`, counting only the time that we wait for it. */
  readonly graceMs: number;
  readonly bytesPerSecond: number;
}

/**
 * How long the answer's body is: null for an answer to HEAD that does not say.
 * Throws unable('bad-answer') for anything but plain bytes of a stated length.
 */
export function bodySize(response: IncomingMessage, method: string): number | null {
  const size = statedSize(response.rawHeaders);
  if (size === null && method !== 'HEAD') throw badAnswer('it does not say its length');
  return size;
}

/** What headers (name, value, name, value) say of it; null if they don't. Throws unable('bad-answer') as `bodySize`. */
export function statedSize(headers: readonly string[]): number | null {
  const values = (name: string): string[] =>
    headers.filter((_, at, all) => at % 2 === 1 && all[at - 1]?.toLowerCase() === name);
  // asked for identity: anything else could be a bomb
  if (values('content-encoding').length > 0) throw badAnswer('it has a content encoding');
  if (values('transfer-encoding').length > 0) throw badAnswer('it does not say its length first');
  const [length, ...more] = values('content-length');
  if (length === undefined) return null;
  if (more.length > 0 || !/^[0-9]{1,15}$/.test(length)) throw badAnswer('its length is said twice or wrong');
  return Number(length);
}

/**
 * The body, `size` bytes. Throws `BrokenConnection`, unable('network') if it is too slow, unable('bad-answer')
 * if more comes than was said. Who ends early destroys the response.
 */
export async function* receive(
  response: IncomingMessage,
  size: number,
  timing: BodyTiming,
): AsyncGenerator<Buffer, void, undefined> {
  const chunks: AsyncIterator<Buffer> = response[Symbol.asyncIterator]();
  let received = 0;
  let waited = 0;
  const next = async (): Promise<IteratorResult<Buffer>> => {
    const began = performance.now();
    const timer = setTimeout(() => response.destroy(tooSlow()), timing.idleMs);
    try {
      return await chunks.next();
    } catch (error) {
      throw explain(error);
    } finally {
      clearTimeout(timer);
      waited += performance.now() - began;
    }
  };
  for (let chunk = await next(); chunk.done !== true; chunk = await next()) {
    received += chunk.value.length;
    if (waited > timing.graceMs && received < (waited / 1000) * timing.bytesPerSecond) throw tooSlow();
    yield chunk.value;
  }
  if (received !== size) throw new BrokenConnection(`${received} of ${size} bytes came`);
}

/**
 * All of a body of `size` bytes. Throws unable('too-large') before it is read if that is over `maxBytes`,
 * unable('bad-answer') if more comes.
 */
export async function collect(
  body: AsyncIterable<Buffer>,
  size: number,
  maxBytes: number,
  what: string,
): Promise<Buffer> {
  if (size > maxBytes) throw tooLarge(what, maxBytes);
  // copied as they come: a chunk may be one byte, and keep all of what it was read into
  const bytes = Buffer.allocUnsafe(size);
  let filled = 0;
  for await (const chunk of body) {
    if (chunk.length > size - filled) throw badAnswer('more bytes came than it said');
    filled += chunk.copy(bytes, filled);
  }
  return bytes.subarray(0, filled);
}

export const tooSlow = (): Error => unable('network', 'the server sends too slowly', 'try again');
