/**
 * Each request: its id, a line in the log when it is over, and what the meters count. Neither a header nor a token nor a
 * body is ever in a line.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Failure } from '../failure.ts';
import { isBuildId } from '../records/names.ts';
import { parseBuildFile } from '../records/paths.ts';
import { sendFailure } from './answer.ts';
import { Clients } from './clients.ts';
import type { Client } from './clients.ts';
import { harmless } from './harmless.ts';
import type { Answered, Meters } from './meters.ts';
import type { Labels } from './registry.ts';
import { isTarget } from './request.ts';

export type Level = 'debug' | 'info' | 'warn' | 'error';
type Fields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** A line for the operator; what is undefined is left out. Throws nothing, and never waits. */
export type Log = (level: Level, message: string, fields?: Fields) => void;

export interface RequestsOptions {
  readonly meters: Meters;
  readonly log: Log;
  /** Who is a proxy, whose word on ids is taken. */
  readonly clients?: Clients;
}

const ID = /^[A-Za-z0-9._-]{8,64}$/;
/** What a path says that is none of ours. */
const FOREIGN_MAX = 200;
/** Whoever watches asks these every few seconds. */
const OFTEN: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics']);

/** A request that is under way: what is known of it once its handler is found. */
interface UnderWay {
  readonly id: string;
  /** A request that breaks off loses its own. */
  readonly socket: Socket;
  readonly client: Client | null;
  route: string;
  code?: string;
}

/** Where a connection's counts stood when its last request was over. */
interface Mark {
  readonly read: number;
  readonly written: number;
}

export class Requests {
  readonly #answered: (answered: Answered) => void;
  readonly #log: Log;
  readonly #clients: Clients;
  readonly #underWay = new Map<ServerResponse, UnderWay>();
  /** What is done for requests; it may go on when the client has gone. */
  readonly #work = new Set<Promise<void>>();
  readonly #marks = new WeakMap<Socket, Mark>();
  #stopping = false;

  constructor({ meters, log, clients = new Clients() }: RequestsOptions) {
    this.#log = log;
    this.#answered = harmless((answered) => meters.answered(answered), log);
    this.#clients = clients;
  }

  /** How many there are now, by method and route. */
  byRoute(): Iterable<readonly [Labels, number]> {
    const counts = new Map<string, [Labels, number]>();
    for (const [{ req }, { route }] of this.#underWay) {
      const method = methodOf(req);
      const count = counts.get(`${method} ${route}`) ?? [{ method, route }, 0];
      count[1] += 1;
      counts.set(`${method} ${route}`, count);
    }
    return counts.values();
  }

  /** Gives a request its id, which goes with the answer, and watches until it is over; `answer` is what answers it. */
  begin(request: IncomingMessage, response: ServerResponse, answer: () => Promise<void>): void {
    this.#watch(request, response);
    const work = answer().catch((error: unknown) =>
      sendFailure(response, error, this.failed(response, error)),
    );
    this.#work.add(work);
    void work.finally(() => this.#work.delete(work));
  }

  /** Returns when nothing is done for any request any more, its client gone or not; or then. */
  async settled(milliseconds: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, milliseconds);
    });
    await Promise.race([Promise.allSettled(this.#work), late]).finally(() => clearTimeout(timer));
  }

  #watch(request: IncomingMessage, response: ServerResponse): void {
    const started = performance.now();
    const { socket } = request;
    const before = this.#marks.get(socket) ?? { read: 0, written: 0 };
    const client = this.#clients.ofRequest(request);
    const underWay: UnderWay = { id: this.#idOf(request), socket, client, route: 'none' };
    this.#underWay.set(response, underWay);
    response.setHeader('x-request-id', underWay.id);
    if (this.#stopping) response.shouldKeepAlive = false;
    response.once('close', () => {
      this.#underWay.delete(response);
      const after = { read: socket.bytesRead, written: socket.bytesWritten };
      this.#marks.set(socket, after);
      try {
        this.#over(request, response, underWay, {
          seconds: (performance.now() - started) / 1000,
          bytesIn: after.read - before.read,
          bytesOut: after.written - before.written,
        });
      } catch (error) {
        // whoever only watches ends no service
        this.#log('error', `a request was not recorded: ${String(error)}`, { request: underWay.id });
      }
    });
  }

  /** The handler was found. */
  route(response: ServerResponse, route: string): void {
    const underWay = this.#underWay.get(response);
    if (underWay) underWay.route = route;
  }

  /** It came to this, which is about to be answered. Returns what logs a line more of the same request. */
  failed(response: ServerResponse, error: unknown): (line: string) => void {
    const underWay = this.#underWay.get(response);
    if (underWay && error instanceof Failure) underWay.code = error.code;
    // a client that went away is no fault of ours
    else if (underWay && error !== response.req.errored) underWay.code = 'internal';
    return (line) => this.#log('error', line, { request: underWay?.id });
  }

  /** From now on connections end with the answers that are under way. */
  stop(): void {
    this.#stopping = true;
    for (const [response, { socket }] of this.#underWay) {
      response.shouldKeepAlive = false;
      // its head has said otherwise
      if (response.headersSent) response.once('finish', () => socket.end());
    }
  }

  /** What is no HTTP, and is answered as such: returns the headers that go with that. */
  unread(status: number): Readonly<Record<string, string>> {
    const request = randomId();
    this.#log('info', 'not HTTP', { request, status });
    const nothing = { seconds: 0, bytesIn: 0, bytesOut: 0 };
    this.#answered({ method: 'other', route: 'none', status, ...nothing });
    return { 'x-request-id': request };
  }

  #idOf({ headers, socket }: IncomingMessage): string {
    const given = headers['x-request-id'];
    const isProxys = typeof given === 'string' && ID.test(given) && this.#clients.isProxy(socket);
    return isProxys ? given : randomId();
  }

  #over(
    request: IncomingMessage,
    response: ServerResponse,
    { id, client, route, code }: UnderWay,
    cost: { readonly seconds: number; readonly bytesIn: number; readonly bytesOut: number },
  ): void {
    const method = methodOf(request);
    const status = response.headersSent ? response.statusCode : 0;
    this.#answered({ method, route, status, ...(code !== undefined && { code }), ...cost });
    this.#log(levelOf(route, status), 'request', {
      request: id,
      method: request.method,
      path: pathOf(request.url ?? ''),
      status,
      code,
      ...(!response.writableFinished && { cut: true }),
      in: cost.bytesIn,
      out: cost.bytesOut,
      ms: Math.round(cost.seconds * 10_000) / 10,
      client: client ?? 'local',
      ...buildOf(request.url ?? ''),
    });
  }
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'POST']);
/** For a label: whoever asks may say anything. */
const methodOf = ({ method = '' }: IncomingMessage): string => (METHODS.has(method) ? method : 'other');

const randomId = (): string => randomBytes(8).toString('hex');

function levelOf(route: string, status: number): Level {
  if (status === 500) return 'error';
  if (status > 500 && route !== '/readyz') return 'warn';
  return OFTEN.has(route) ? 'debug' : 'info';
}

/** What is no path of ours is cut, and its query goes, and what stands before an @: people put secrets there. */
const pathOf = (url: string): string =>
  isTarget(url) ? url : (url.split('?')[0] ?? '').replace(/^.*@/s, '').slice(0, FOREIGN_MAX);

/** The build and slot that a path is about. */
function buildOf(url: string): Fields {
  const [, build = '', file = ''] = /^\/builds\/([^/?]*)\/?([^?]*)/.exec(url) ?? [];
  if (!isBuildId(build)) return {};
  const found = parseBuildFile(file);
  return { build, ...(found !== null && 'slot' in found && { slot: found.slot }) };
}
