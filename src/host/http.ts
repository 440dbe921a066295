/**
 * The HTTP client of every host. It runs beside the release key and talks to a server that nobody trusts: it
 * follows nothing, inflates nothing, waits for nothing without end, and takes no proxy or laxness from the
 * environment.
 */
import { setMaxListeners } from 'node:events';
import { Agent as HttpAgent, STATUS_CODES } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { unable, usage } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { bodySize, collect, receive } from './http-body.ts';
import type { BodyTiming } from './http-body.ts';
import { BrokenConnection, NotReady, badAnswer, exchange } from './http-exchange.ts';
import type { ExchangeTiming, HttpBody } from './http-exchange.ts';
import type { AnswerHead } from './http-head.ts';
import { scan } from './http-scan.ts';
import { upload } from './http-upload.ts';

export type { HttpBody } from './http-exchange.ts';

export interface HttpTiming extends ExchangeTiming, BodyTiming {
  /** Pauses before each further attempt after a broken connection. */
  readonly backOffMs: readonly number[];
  /** Whether a server whose disk is full is asked again, too: who has time. Others are told at once. */
  readonly waitsForRoom: boolean;
}

const TIMING: HttpTiming = {
  connectMs: 15_000,
  answerMs: 60_000,
  idleMs: 30_000,
  graceMs: 10_000,
  bytesPerSecond: 4096,
  backOffMs: [200, 1000, 3000],
  waitsForRoom: false,
};

// a server that has too much to do, that restarts, or the proxy in front of it
const BUSY = new Set([429, 502, 503, 504]);
/** Its disk is nearly full, until somebody makes room. */
const FULL = 507;
/** Who asks for more patience than that waits for nothing sooner. */
const RETRY_AFTER_MAX_MS = 30_000;
/** Those who lost the same server do not all come back at the same moment. */
const JITTER = 0.25;
const SLICE = 256 * 1024;
/** What a server is expected to check and to make last of a body that has gone, at the least: 50 MB a second. */
const CHECKED_PER_MS = 50_000;

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST';
  /** Below the base, without a slash in front, of characters that need no escape. */
  readonly path: string;
  readonly accept?: string;
  /** The header of that name: secret. */
  readonly authorization?: string | null;
  readonly body?: HttpBody;
  /** Where the answer to a body that has gone takes longer than usual. */
  readonly outcomeMs?: number;
  /** Of how much the body is the rest, where the server can go on with what was cut (`http-upload.ts`). */
  readonly uploadOffset?: number;
}

export interface HttpAnswer {
  readonly status: number;
  /** What Content-Length says; null only for HEAD. */
  readonly size: number | null;
  /** What Upload-Offset says; null without one. */
  readonly uploadOffset: number | null;
  /** Read it to its end or destroy it. */
  readonly stream: Readable;
}

/** A body, and how to get all of it but its first bytes; `source` is called once for each attempt. */
export interface Upload extends Pick<HttpRequest, 'path' | 'authorization'> {
  readonly type: string;
  readonly size: number;
  readonly source: (from: number) => AsyncIterable<Buffer>;
}

export interface HttpBytes extends Omit<HttpAnswer, 'stream'> {
  readonly bytes: Buffer;
}

/** Bytes as a body; in slices, so that a slow line shows progress. */
export function bytesBody(type: string, bytes: Buffer): HttpBody {
  function* slices(): Generator<Buffer> {
    for (let at = 0; at < bytes.length; at += SLICE) yield bytes.subarray(at, at + SLICE);
  }
  return { type, size: bytes.length, source: slices };
}

/** Told why a request is tried again, and after which pause, before that; null once the server answers again. */
export type Broken = (failure: Failure | null, pauseMs: number) => void;

export class HttpClient {
  readonly #base: URL;
  readonly #insecureHttp: boolean;
  readonly #timing: HttpTiming;
  readonly #broken: Broken;
  readonly #agent: HttpAgent;
  readonly #closed = new AbortController();
  /** What was told last is that it is tried again. */
  #away = false;

  /** `base`: an http or https URL without user, query and fragment; else throws usage('depot-url'). */
  constructor(
    base: string,
    options: {
      readonly insecureHttp: boolean;
      readonly timing?: Partial<HttpTiming>;
      readonly broken?: Broken | undefined;
    },
  ) {
    this.#base = parseBase(base);
    this.#insecureHttp = options.insecureHttp;
    this.#timing = { ...TIMING, ...options.timing };
    this.#broken = options.broken ?? (() => {});
    // while the server is away every request of ours listens, and Node would take many for a leak
    setMaxListeners(0, this.#closed.signal);
    const Agent = this.#base.protocol === 'https:' ? HttpsAgent : HttpAgent;
    // has TCP probe a silent connection, too: a link that is cut while an answer takes long shows in seconds
    this.#agent = new Agent({ keepAlive: true });
  }

  /**
   * Sends a request, again after a broken connection, and returns the answer with its body still to come.
   * Throws usage('insecure-http') rather than show a token to the network, unable('network' | 'bad-answer').
   */
  open(request: HttpRequest): Promise<HttpAnswer> {
    return this.#retrying((last) => this.#attempt(request, last));
  }

  /** As `open`, with the whole body, which is retried too; unable('too-large') over `maxBytes`. */
  read(request: HttpRequest, maxBytes: number): Promise<HttpBytes> {
    return this.#retrying((last) => this.#readOnce(request, maxBytes, last));
  }

  /** Sends a large body, which goes on where it was cut if the server can. Throws as `read`, and what `source` throws. */
  upload({ type, size, source, ...request }: Upload, maxBytes: number): Promise<HttpBytes> {
    return upload(size, {
      ask: () => this.read({ ...request, method: 'HEAD' }, 0),
      send: (from, last, resumable) => {
        const body = { type, size: size - from, source: () => source(from) };
        const outcomeMs = this.#timing.answerMs + size / CHECKED_PER_MS;
        const offset = resumable ? { uploadOffset: from } : {};
        return this.#readOnce({ ...request, method: 'PUT', body, outcomeMs, ...offset }, maxBytes, last);
      },
      pausesMs: this.#timing.backOffMs,
      pause: (milliseconds, failure) => this.#pause(milliseconds, failure),
    });
  }

  async #readOnce(request: HttpRequest, maxBytes: number, last: boolean): Promise<HttpBytes> {
    const { stream, ...head } = await this.#attempt(request, last);
    const expected = request.method === 'HEAD' ? 0 : (head.size ?? 0);
    const bytes = await collect(stream, expected, maxBytes, request.path).finally(() => stream.destroy());
    return { ...head, bytes };
  }

  /**
   * The body of an answer to GET, if it is 200 and `size` bytes long: pushed to `update`, each chunk good only until that
   * returns. Returns the answer's status and size; a connection that broke before the first byte is tried again.
   * Throws as `open`, and what `update` throws.
   */
  async scan(request: HttpRequest, size: number, update: (chunk: Buffer) => void): Promise<AnswerHead> {
    const target = {
      url: this.#base,
      path: `${this.#base.pathname}${request.path}`,
      headers: this.#headers(request),
    };
    let began = false;
    const push = (chunk: Buffer): void => {
      began = true;
      update(chunk);
    };
    return this.#retrying(async () => {
      try {
        const head = await scan(target, size, push, this.#timing);
        this.#answered();
        return head;
      } catch (error) {
        // what was pushed can't be taken back
        if (began && error instanceof BrokenConnection)
          throw unable(error.code, error.message, error.hint, error);
        throw error;
      }
    });
  }

  /** Ends every connection, but those of `scan`, also those in use. */
  close(): void {
    // nobody waits for another attempt
    this.#closed.abort();
    this.#agent.destroy();
  }

  async #retrying<T>(attempt: (last: boolean) => Promise<T>): Promise<T> {
    for (const pause of this.#timing.backOffMs) {
      try {
        return await attempt(false);
      } catch (error) {
        if (!(error instanceof BrokenConnection)) throw error;
        if (!(await this.#pause(pause, error))) throw error;
      }
    }
    return attempt(true);
  }

  /** So long at the least. False once nobody waits any more. */
  async #pause(milliseconds: number, failure: Failure): Promise<boolean> {
    const asked = failure instanceof BrokenConnection ? failure.notBeforeMs : 0;
    const pauseMs = Math.max(milliseconds, asked) * (1 + Math.random() * JITTER);
    if (!this.#closed.signal.aborted) {
      this.#away = true;
      this.#broken(failure, pauseMs);
    }
    await sleep(pauseMs, undefined, { signal: this.#closed.signal }).catch(() => {});
    return !this.#closed.signal.aborted;
  }

  #answered(): void {
    if (this.#away) this.#broken(null, 0);
    this.#away = false;
  }

  async #attempt(request: HttpRequest, last: boolean): Promise<HttpAnswer> {
    const { method, body = null } = request;
    const { outcomeMs = this.#timing.answerMs } = request;
    const timing = { ...this.#timing, outcomeMs };
    const { protocol, hostname, port, pathname } = this.#base;
    const { request: sent, response } = await exchange(
      {
        protocol,
        // a URL writes IPv6 addresses in brackets, a socket does not
        hostname: hostname.replace(/^\[|\]$/g, ''),
        port,
        path: `${pathname}${request.path}`,
        method,
        headers: this.#headers(request),
        agent: this.#agent,
      },
      body,
      timing,
    );
    try {
      const status = response.statusCode ?? 0;
      if (status < 200 || (status >= 300 && status < 400))
        throw badAnswer(`status ${status}, and nothing is followed`);
      const ready = !BUSY.has(status) && !(status === FULL && this.#timing.waitsForRoom);
      if (!ready && !last) {
        const words = `${status} ${STATUS_CODES[status]?.toLowerCase()}`;
        const problem = `${this.#base.host} is not ready: status ${words}`;
        throw new NotReady(problem, undefined, retryAfterMs(response));
      }
      if (ready) this.#answered();
      // stores of plain files say in chunks what they don't have: nobody needs that text
      if (status >= 400 && method !== 'HEAD' && response.headers['content-length'] === undefined) {
        response.destroy();
        return { status, size: 0, uploadOffset: null, stream: Readable.from([]) };
      }
      const size = bodySize(response, method);
      const bytes = receive(response, method === 'HEAD' ? 0 : (size ?? 0), timing);
      const stream = Readable.from(bytes, { objectMode: false });
      stream.once('close', () => {
        if (!response.readableEnded) response.destroy();
        // an answer that came before our body had gone: what is left of it has no reader
        if (!sent.writableFinished) sent.destroy();
      });
      const { 'upload-offset': offset = '' } = response.headers;
      const uploadOffset = typeof offset === 'string' && /^\d{1,15}$/.test(offset) ? Number(offset) : null;
      return { status, size, uploadOffset, stream };
    } catch (error) {
      response.destroy();
      throw error;
    }
  }

  #headers({
    accept = 'application/json',
    authorization = null,
    body,
    uploadOffset,
  }: HttpRequest): Record<string, string> {
    const headers: Record<string, string> = {
      accept: accept,
      'accept-encoding': 'identity',
      'user-agent': 'countersign',
    };
    if (body) Object.assign(headers, { 'content-type': body.type, 'content-length': String(body.size) });
    if (uploadOffset !== undefined)
      Object.assign(headers, { 'upload-complete': '?1', 'upload-offset': String(uploadOffset) });
    if (authorization !== null) headers['authorization'] = this.#show(authorization);
    return headers;
  }

  #show(secret: string): string {
    const { protocol, hostname, host } = this.#base;
    if (protocol === 'https:' || isLoopback(hostname) || this.#insecureHttp) return secret;
    throw usage(
      'insecure-http',
      `no token is sent over plain HTTP to ${host}`,
      'use https, or say insecure-http = true in the project file',
    );
  }
}

/** What Retry-After says in seconds; 0 for anything else. */
function retryAfterMs({ headers }: IncomingMessage): number {
  const { 'retry-after': seconds = '' } = headers;
  return /^\d{1,9}$/.test(seconds) ? Math.min(Number(seconds) * 1000, RETRY_AFTER_MAX_MS) : 0;
}

/** Whether a URL's host name is this machine: 127.0.0.0/8, ::1, localhost. */
export const isLoopback = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127\.[0-9]+\.[0-9]+\.[0-9]+$/.test(hostname);

function parseBase(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  const plain = url && `${url.username}${url.password}${url.search}${url.hash}` === '';
  if (!url || !plain || !['http:', 'https:'].includes(url.protocol)) {
    throw usage('depot-url', 'the address is not an http or https URL without user name, query and fragment');
  }
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}
