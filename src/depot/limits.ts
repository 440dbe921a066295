/**
 * How much each client may ask of the depot: so many requests a second, in bursts of ten times that, and so many at a
 * time. Not the signer and the builders of the build that they name: they show a token, and nobody keeps them out.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { unable } from '../failure.ts';
import type { Connections } from '../host/connections.ts';
import { tokenOf } from '../policy/gate/token.ts';
import { isBuildId } from '../records/names.ts';
import type { GatedDepot } from '../tree/gated.ts';
import { Clients } from './clients.ts';
import type { Client } from './clients.ts';
import { WATCHED } from './observe.ts';
import { bearerOf } from './request.ts';

export interface LimitsOptions {
  readonly clients?: Clients;
  /** Requests of one client. */
  readonly perSecond?: number;
  readonly atOnce?: number;
  /** Where a connection is kept open while a request under way is of somebody known. */
  readonly connections?: Pick<Connections, 'keep'>;
  readonly limited?: (limit: 'client-rate' | 'client-connections') => void;
  /** A clock that nobody sets. */
  readonly milliseconds?: () => number;
}

/** Requests of one client, where nothing else is said: a copy of all builds is made at this rate, too. */
export const CLIENT_RATE = 100;
export const CLIENT_CONNECTIONS = 256;

/** A client, or of those who are known a token. */
export type Owner = string;
export const SIGNER: Owner = 'signer';

const BURST_SECONDS = 10;
/** Each takes some hundred bytes. The one that was silent longest is forgotten. */
const REMEMBERED = 10_000;
const RETRY_AFTER_MAX_MS = 30_000;

export class Limits {
  readonly #depot: GatedDepot;
  readonly #clients: Clients;
  readonly #perMs: number;
  readonly #burst: number;
  readonly #atOnce: number;
  readonly #options: LimitsOptions;
  readonly #milliseconds: () => number;
  readonly #accounts = new Map<Client, Account>();
  /** Whose each is of theirs. */
  readonly #known = new WeakMap<IncomingMessage, Owner>();

  constructor(depot: GatedDepot, options: LimitsOptions = {}) {
    const { perSecond = CLIENT_RATE, atOnce = CLIENT_CONNECTIONS } = options;
    this.#depot = depot;
    this.#options = options;
    this.#clients = options.clients ?? new Clients();
    this.#perMs = perSecond / 1000;
    this.#burst = perSecond * BURST_SECONDS;
    this.#atOnce = atOnce;
    this.#milliseconds = options.milliseconds ?? (() => performance.now());
  }

  /** Before anything else is done for a request. Throws unable(`too-many-requests` | 'disk'). */
  async admit(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // whoever watches is told how the depot is, whatever others ask of it
    if (WATCHED.has(request.url ?? '')) return;
    const known = await this.#ofToken(request);
    if (known !== null) {
      this.#known.set(request, known);
      this.#options.connections?.keep(request.socket);
      return;
    }
    const client = this.#clients.ofRequest(request);
    if (client === null) return;
    const account = this.#account(client);
    try {
      this.#count(account, response);
    } catch (error) {
      // chunks may have no end, and nobody reads them
      if (request.headers['transfer-encoding'] !== undefined) response.shouldKeepAlive = false;
      response.setHeader('retry-after', this.#retryAfter(account));
      throw error;
    }
  }

  /** Whether a request that was admitted is of the signer, or of a builder of the build in its path. */
  isKnown(request: IncomingMessage): boolean {
    return this.#known.has(request);
  }

  /** Whose a request that was admitted is, for what each has a share of; null for this machine's own. */
  ownerOf(request: IncomingMessage): Owner | null {
    return this.#known.get(request) ?? this.#clients.ofRequest(request);
  }

  /** Null for a stranger's. */
  async #ofToken(request: IncomingMessage): Promise<Owner | null> {
    // what is no token is judged later, by whoever wants one
    if (request.headers.authorization?.startsWith('Bearer ') !== true) return null;
    const token = tokenOf(bearerOf(request));
    const build = /^\/builds\/([^/?]+)/.exec(request.url ?? '')?.[1] ?? '';
    if (token === null) return null;
    const depot = this.#depot.as(token);
    if (await depot.isKnown(null)) return SIGNER;
    return isBuildId(build) && (await depot.isKnown(build)) ? token.toString('base64url') : null;
  }

  #count(account: Account, response: ServerResponse): void {
    const { limited = () => {} } = this.#options;
    if (account.open >= this.#atOnce) {
      limited('client-connections');
      throw tooMany(`you have ${account.open} requests under way: so many are served to one client`);
    }
    if (account.left < 1) {
      limited('client-rate');
      throw tooMany(`requests of one client are served at ${this.#perMs * 1000} a second, but for a burst`);
    }
    account.left -= 1;
    account.open += 1;
    response.once('close', () => (account.open -= 1));
  }

  /** What a client has left now. */
  #account(client: Client): Account {
    const at = this.#milliseconds();
    const account = this.#accounts.get(client) ?? { left: this.#burst, at, open: 0, promised: at };
    account.left = Math.min(this.#burst, account.left + (at - account.at) * this.#perMs);
    account.at = at;
    this.#accounts.delete(client);
    this.#accounts.set(client, account);
    const [oldest = client] = this.#accounts.keys();
    if (this.#accounts.size > REMEMBERED) this.#accounts.delete(oldest);
    return account;
  }

  /** Seconds until one more is served, if whoever was told so before comes then, too. */
  #retryAfter(account: Account): number {
    const next = account.at + Math.max(0, 1 - account.left) / this.#perMs;
    account.promised = Math.min(
      Math.max(account.promised + 1 / this.#perMs, next),
      account.at + RETRY_AFTER_MAX_MS,
    );
    return Math.max(1, Math.ceil((account.promised - account.at) / 1000));
  }
}

interface Account {
  /** How many more requests are served now; as of `at`. */
  left: number;
  at: number;
  /** Under way. */
  open: number;
  /** When those who were turned away will have been served. */
  promised: number;
}

const tooMany = (message: string) =>
  unable('too-many-requests', message, 'wait as long as Retry-After says, then try again');
