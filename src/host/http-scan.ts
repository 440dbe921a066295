/**
 * The bytes of one answer, pushed to whoever hashes them from one buffer that the socket is read into. Node's HTTP
 * client makes a buffer, a chunk of a stream and a turn of the loop for every 64 KiB, which costs as much as SHA-256.
 */
import { connect, isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { unable } from '../failure.ts';
import { tooSlow } from './http-body.ts';
import type { BodyTiming } from './http-body.ts';
import { BrokenConnection, STRICT_TLS, badAnswer, explain, noAnswer, noConnection } from './http-exchange.ts';
import type { ExchangeTiming } from './http-exchange.ts';
import { HeadReader } from './http-head.ts';
import type { AnswerHead } from './http-head.ts';

/** Larger ones do not fit into the processor's cache together with what hashing needs. */
const BUFFER = 256 * 1024;

export interface ScanTarget {
  readonly url: URL;
  /** Below the host, with a slash in front. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Sends a GET on a connection of its own. If the answer is 200 and `size` bytes long, pushes them to `update`, each
 * chunk good only until that returns. Resolves with the head; nothing was pushed if it says anything else.
 * Throws `BrokenConnection`, unable('network' | 'bad-answer'), and what `update` throws.
 */
export function scan(
  target: ScanTarget,
  size: number,
  update: (chunk: Buffer) => void,
  timing: ExchangeTiming & BodyTiming,
): Promise<AnswerHead> {
  const { url } = target;
  const secure = url.protocol === 'https:';
  // a URL writes IPv6 addresses in brackets, a socket does not
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const request = requestText(target);
  return new Promise((resolve, reject) => {
    const reader = new HeadReader();
    let head: AnswerHead | null = null;
    let received = 0;
    let waited = 0;
    let since = 0;

    const end = (): void => {
      clearTimeout(timer);
      socket.destroy();
    };
    const fail = (error: unknown): void => {
      end();
      reject(error instanceof Error ? error : new Error(String(error)));
    };
    const within = (milliseconds: number, otherwise: () => Error): NodeJS.Timeout =>
      setTimeout(() => fail(otherwise()), milliseconds);
    let timer = within(timing.connectMs, () => noConnection(url.host));

    /** Of the body. */
    const take = (chunk: Buffer): void => {
      received += chunk.length;
      if (received > size) throw badAnswer('more bytes came than it said');
      if (waited > timing.graceMs && received < (waited / 1000) * timing.bytesPerSecond) throw tooSlow();
      update(chunk);
    };
    const push = (chunk: Buffer): AnswerHead | null => {
      if (head) take(chunk);
      else {
        const found = reader.push(chunk);
        if (!found) return null;
        head = found.head;
        if (head.size !== size) return head;
        clearTimeout(timer);
        timer = within(timing.idleMs, tooSlow);
        take(chunk.subarray(found.used));
      }
      return received === size ? head : null;
    };
    const buffer = Buffer.allocUnsafeSlow(BUFFER);
    const callback = (length: number): boolean => {
      if (socket.destroyed) return false;
      try {
        if (head) waited += performance.now() - since;
        const done = push(buffer.subarray(0, length));
        if (done) {
          end();
          resolve(done);
          return false;
        }
      } catch (error) {
        fail(error);
        return false;
      }
      if (head) timer.refresh();
      since = performance.now();
      return true;
    };

    const onread = { buffer, callback };
    const port = Number(url.port) || (secure ? 443 : 80);
    const socket = secure
      ? connectTls({
          ...{ host, port, onread, servername: isIP(host) ? '' : host, ALPNProtocols: ['http/1.1'] },
          ...STRICT_TLS,
        })
      : connect({ host, port, onread });
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      clearTimeout(timer);
      timer = within(timing.answerMs, () => noAnswer(url.host));
      socket.write(request);
    });
    socket.on('error', (error) => fail(explain(error, url.host)));
    const broken = (): void => {
      const what = head ? `${received} of ${size} bytes came` : `the connection to ${url.host} ended`;
      fail(new BrokenConnection(what));
    };
    socket.once('end', broken).once('close', broken);
  });
}

/** Throws rather than send a line that somebody else wrote. */
function requestText({ url, path, headers }: ScanTarget): string {
  const all = { host: url.host, ...headers, connection: 'close' };
  const lines = [`GET ${path} HTTP/1.1`, ...Object.entries(all).map(([name, value]) => `${name}: ${value}`)];
  if (lines.some((line) => !/^[\x20-\x7e]+$/.test(line)))
    throw unable('internal', 'a request of several lines');
  return `${lines.join('\r\n')}\r\n\r\n`;
}
