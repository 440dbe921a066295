/**
 * The open connections of a server, and who makes room when there are too many: never the newcomer, so whoever holds
 * connections open keeps nobody out. Nor, as far as there is a choice, whoever has few of them or was served just now. Each
 * step costs the same, however many there are.
 */
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';

/** Why a connection was ended or not taken. */
export type ConnectionLimit = 'connections' | 'client-connections';

export interface ConnectionsOptions {
  /** How many there may be; fewer where the process may not open so many files. */
  readonly most: number;
  /** Whose a connection is; null for whoever may have any number. */
  readonly owner?: (socket: Socket) => string | null;
  /** How many connections one owner may have. */
  readonly ofOne?: number;
  readonly limited?: (limit: ConnectionLimit) => void;
  /** A clock that nobody sets. */
  readonly milliseconds?: () => number;
}

/** A connection that was idle for less is likely to be used again: one with a slow request makes room before it. */
const YOUNG_MS = 5_000;
/** As many as a browser opens, and then some: whose are no more make room in turn with all others. */
const FEW = 8;

/** Neither connections nor the files that they are served from: records, the standard streams, Node's own. */
const OTHER_FILES = 128;

export class Connections {
  readonly #most: number;
  readonly #owner: (socket: Socket) => string | null;
  readonly #ofOne: number;
  readonly #limited: (limit: ConnectionLimit) => void;
  readonly #milliseconds: () => number;
  readonly #connections = new WeakMap<Socket, Connection>();
  /** Of all; those of each owner are in `#owners`. */
  readonly #all = new Places();
  readonly #owners = new Map<string | null, Owner>();
  readonly #ranks = new Ranks();
  /** A socket of TLS is another object than the one below it. */
  readonly #secure = new Map<string, Connection>();
  #open = 0;

  constructor({ most, owner = () => null, ofOne = Infinity, ...options }: ConnectionsOptions) {
    // a download has a file, too
    this.#most = Math.min(most, Math.max(1, Math.floor((filesMax() - OTHER_FILES) / 2)));
    this.#owner = owner;
    this.#ofOne = ofOne;
    this.#limited = options.limited ?? (() => {});
    this.#milliseconds = options.milliseconds ?? (() => performance.now());
  }

  /** How many there are now. */
  get open(): number {
    return this.#open;
  }

  /** A new one. It, or one that makes room for it, is ended where there are too many. */
  take(socket: Socket): void {
    const key = this.#owner(socket);
    const owner = this.#owners.get(key) ?? new Owner(key);
    this.#owners.set(key, owner);
    const connection = new Connection(socket, owner);
    this.#connections.set(socket, connection);
    this.#secure.set(nameOf(socket), connection);
    this.#open += 1;
    owner.open += 1;
    this.#move(connection, 'idle');
    socket.once('close', () => this.#forget(connection));
    if (this.#ownRoom(connection)) this.#room(connection);
  }

  /** What TLS made of one that was taken. */
  secured(socket: Socket): void {
    const connection = this.#secure.get(nameOf(socket));
    if (connection) this.#connections.set(socket, connection);
  }

  /** A request has come on it. */
  begin(socket: Socket): void {
    const connection = this.#connections.get(socket);
    if (!connection || connection.ended) return;
    connection.requests += 1;
    if (connection.requests === 1) this.#move(connection, 'asking');
  }

  /** The request under way is of somebody who makes room for nobody. */
  keep(socket: Socket): void {
    const connection = this.#connections.get(socket);
    if (connection && connection.requests > 0) this.#move(connection, null);
  }

  /** An answer has gone. */
  end(socket: Socket): void {
    const connection = this.#connections.get(socket);
    if (!connection || connection.ended) return;
    connection.requests -= 1;
    if (connection.requests === 0) this.#move(connection, 'idle');
  }

  /** Ends those on which nobody waits for an answer. */
  endIdle(): void {
    for (const { socket } of [...this.#all.idle]) socket.destroy();
  }

  /** Among those of its owner; false if it was ended itself, as all others are in use. */
  #ownRoom(connection: Connection): boolean {
    const { owner } = connection;
    if (owner.key === null || owner.open <= this.#ofOne) return true;
    // the newcomer is the last of them
    const [longest = connection] = owner.idle;
    this.#drop(longest, 'client-connections');
    return longest !== connection;
  }

  /** Among all. */
  #room(connection: Connection): void {
    if (this.#open <= this.#most) return;
    const most = this.#ranks.most(FEW);
    const victim = (most && this.#firstOf(most, connection)) ?? this.#firstOf(this.#all, connection);
    this.#drop(victim ?? connection, 'connections');
  }

  /** Who makes room: the longest idle, but before one that is idle only now the oldest stranger's; not the newcomer. */
  #firstOf({ idle, asking }: Places, newcomer: Connection): Connection | null {
    const [longest = newcomer] = idle;
    const [stranger = null] = asking;
    if (longest === newcomer) return stranger;
    const isYoung = this.#milliseconds() - longest.since < YOUNG_MS;
    return isYoung && stranger !== null && stranger.since <= longest.since ? stranger : longest;
  }

  #drop(connection: Connection, limit: ConnectionLimit): void {
    this.#forget(connection);
    connection.socket.destroy();
    this.#limited(limit);
  }

  #forget(connection: Connection): void {
    if (connection.ended) return;
    connection.ended = true;
    this.#open -= 1;
    this.#move(connection, null);
    if (this.#secure.get(connection.name) === connection) this.#secure.delete(connection.name);
    const { owner } = connection;
    owner.open -= 1;
    if (owner.open === 0) this.#owners.delete(owner.key);
  }

  /** Null: it makes room for nobody. */
  #move(connection: Connection, place: keyof Places | null): void {
    const { owner } = connection;
    connection.since = this.#milliseconds();
    for (const places of [this.#all, owner]) {
      places.idle.delete(connection);
      places.asking.delete(connection);
      if (place !== null) places[place].add(connection);
    }
    this.#ranks.set(owner, owner.idle.size + owner.asking.size);
  }
}

/** Connections that may have to make room. */
class Places {
  /** Those on which nobody waits for an answer: idle, or a head has not come yet. The longest comes first. */
  readonly idle = new Set<Connection>();
  /** Those with a stranger's request under way. */
  readonly asking = new Set<Connection>();
}

class Owner extends Places {
  readonly key: string | null;
  open = 0;
  /** How many of them may have to make room. */
  rank = 0;

  constructor(key: string | null) {
    super();
    this.key = key;
  }
}

/** Owners by how many connections of theirs may have to make room. */
class Ranks {
  readonly #ranks: Set<Owner>[] = [];

  /** One more or one less than before, mostly. */
  set(owner: Owner, rank: number): void {
    this.#ranks[owner.rank]?.delete(owner);
    owner.rank = rank;
    if (rank > 0) (this.#ranks[rank] ??= new Set()).add(owner);
    while (this.#ranks.length > 0 && !this.#ranks.at(-1)?.size) this.#ranks.pop();
  }

  /** Who has the most, if that is more than so many. */
  most(few: number): Owner | null {
    if (this.#ranks.length - 1 <= few) return null;
    const [owner = null] = this.#ranks.at(-1) ?? [];
    return owner;
  }
}

class Connection {
  readonly socket: Socket;
  readonly owner: Owner;
  readonly name: string;
  /** Under way, or behind one another. */
  requests = 0;
  /** When it became idle, or its request came. */
  since = 0;
  ended = false;

  constructor(socket: Socket, owner: Owner) {
    this.socket = socket;
    this.owner = owner;
    this.name = nameOf(socket);
  }
}

/** The two ends of a connection: no two that are open have the same. */
const nameOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;

/** How many files and sockets this process may have open; any number where the system does not tell. */
function filesMax(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
    return soft === undefined ? Infinity : Number(soft);
  } catch {
    return Infinity;
  }
}
