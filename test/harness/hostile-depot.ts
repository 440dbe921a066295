/**
 * A depot that nobody should trust: it stands in front of the honest one, passes on what it is asked, and lies
 * where a test says so. It lives in this process: children that talk to it must not be waited for synchronously.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { rawRequest } from './raw-http.ts';
import type { HttpAnswer } from './raw-http.ts';
import { freePort } from './world.ts';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** The honest depot's answer to what was asked, or to the same request for another path. */
type Honest = (path?: string) => Promise<HttpAnswer>;

/** What is answered; whether, when and for what the honest depot is asked is the lie's to say. */
export type Lie = (honest: Honest, asked: Asked) => HttpAnswer | Promise<HttpAnswer>;

/** Says on the bare connection whatever it likes. */
export type Speech = (socket: Socket, asked: Asked, honest: Honest) => void;

/** Headers that mean something to the depot. */
const PASSED_ON = ['authorization', 'content-type', 'accept', 'range'];
/** Headers that this server makes itself. */
const OWN = ['connection', 'keep-alive', 'transfer-encoding', 'date', 'content-length'];

export class HostileDepot {
  readonly url: string;
  /** `GET /builds/…`, in order. */
  readonly asked: string[] = [];
  readonly #honestUrl: string;
  readonly #server: Server;
  #lies: { readonly about: string | RegExp; readonly lie: Lie | null; readonly speech?: Speech }[] = [];

  private constructor(url: string, honestUrl: string) {
    this.url = url;
    this.#honestUrl = honestUrl;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  /** Stands in front of the depot at `honestUrl`, honest itself until told otherwise. */
  static async start(honestUrl: string): Promise<HostileDepot> {
    const port = await freePort();
    const depot = new HostileDepot(`http://127.0.0.1:${port}`, honestUrl);
    await new Promise<void>((resolve) => depot.#server.listen(port, '127.0.0.1', resolve));
    return depot;
  }

  /** Lies about a path, or about all that match; the newest lie wins. */
  lie(about: string | RegExp, lie: Lie): void {
    this.#lies.unshift({ about, lie });
  }

  /** Leaves the answer, and the connection from then on, to whoever speaks: to be ended by them. */
  speak(about: string | RegExp, speech: Speech): void {
    this.#lies.unshift({ about, lie: null, speech });
  }

  /** Says that it is not there. */
  withhold(about: string | RegExp): void {
    this.lie(about, notFound);
  }

  /** Gives these bytes for it. */
  give(about: string | RegExp, body: Buffer): void {
    this.lie(about, () => ({ status: 200, headers: { 'content-type': 'application/octet-stream' }, body }));
  }

  /** Gives each for the other. */
  swap(one: string, other: string): void {
    this.lie(one, (honest) => honest(other));
    this.lie(other, (honest) => honest(one));
  }

  /** Never answers; what it returns resolves when it is asked for the first time. */
  hold(about: string | RegExp): Promise<void> {
    return new Promise((reached) => {
      this.lie(about, () => {
        reached();
        return new Promise(() => {});
      });
    });
  }

  /** Tells no more lies. */
  repent(): void {
    this.#lies = [];
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const { method = 'GET', url: path = '/' } = request;
      this.asked.push(`${method} ${path}`);
      const headers = Object.fromEntries(
        PASSED_ON.flatMap((name) => {
          const value = request.headers[name];
          return typeof value === 'string' ? [[name, value]] : [];
        }),
      );
      const asked: Asked = { method, path, headers, body: Buffer.concat(chunks) };
      const honest: Honest = (other = path) => rawRequest(this.#honestUrl, { ...asked, path: other });
      const told = this.#lies.find(({ about }) =>
        typeof about === 'string' ? about === path : about.test(path),
      );
      if (told?.speech) told.speech(request.socket, asked, honest);
      else answer(response, method, await (told?.lie ?? ((ask: Honest) => ask()))(honest, asked));
    } catch {
      // the one who asked is gone, or the honest depot is: so is this one
      response.destroy();
    }
  }
}

const notFound = (): HttpAnswer => ({
  status: 404,
  headers: { 'content-type': 'application/json' },
  body: Buffer.from('{"code":"not-found","message":"there is no such file","hint":""}\n'),
});

function answer(response: ServerResponse, method: string, { status, headers, body }: HttpAnswer): void {
  const length = method === 'HEAD' ? (headers['content-length'] ?? '0') : String(body.length);
  const kept = Object.entries(headers).flatMap(([name, value]): [string, string][] =>
    typeof value === 'string' && !OWN.includes(name) ? [[name, value]] : [],
  );
  response.writeHead(status, { ...Object.fromEntries(kept), 'content-length': String(length) });
  response.end(body);
}
