/**
 * The open connections of a server, and who makes room when there are too many: never the newcomer, so whoever holds
 * connections open keeps nobody out. Each step costs the same, however many there are.
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
}

/** Neither connections nor the files that they are served from: records, the standard streams, Node's own. */
const OTHER_FILES = 128;

export class Connections {
  readonly #most: number;
  readonly #owner: (socket: Socket) => string | null;
  readonly #ofOne: number;
  readonly #limited: (limit: ConnectionLimit) => void;
  readonly #connections = new WeakMap<Socket, Connection>();
  /** Those on which nobody waits for an answer: idle, or a head has not come yet. The longest comes first. */
  readonly #idle = new Set<Connection>();
  /** Those with a stranger's request under way. */
  readonly #asking = new Set<Connection>();
  readonly #owners = new Map<string, Owner>();
  /** A socket of TLS is another object than the one below it. */
  readonly #secure = new Map<string, Connection>();
  #open = 0;

  constructor({ most, owner = () => null, ofOne = Infinity, limited = () => {} }: ConnectionsOptions) {
    // a download has a file, too
    this.#most = Math.min(most, Math.max(1, Math.floor((filesMax() - OTHER_FILES) / 2)));
    this.#owner = owner;
    this.#ofOne = ofOne;
    this.#limited = limited;
  }

  /** How many there are now. */
  get open(): number {
    return this.#open;
  }

  /** A new one. It, or one that makes room for it, is ended where there are too many. */
  take(socket: Socket): void {
    const connection = new Connection(socket, this.#owner(socket));
    this.#connections.set(socket, connection);
    this.#secure.set(nameOf(socket), connection);
    this.#open += 1;
    this.#idle.add(connection);
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
    if (connection.requests > 1) return;
    this.#idle.delete(connection);
    this.#ownerOf(connection)?.idle.delete(connection);
    this.#asking.add(connection);
  }

  /** The request under way is of somebody who makes room for nobody. */
  keep(socket: Socket): void {
    const connection = this.#connections.get(socket);
    if (connection && connection.requests > 0) this.#asking.delete(connection);
  }

  /** An answer has gone. */
  end(socket: Socket): void {
    const connection = this.#connections.get(socket);
    if (!connection || connection.ended) return;
    connection.requests -= 1;
    if (connection.requests > 0) return;
    this.#asking.delete(connection);
    this.#idle.add(connection);
    this.#ownerOf(connection)?.idle.add(connection);
  }

  /** Ends those on which nobody waits for an answer. */
  endIdle(): void {
    for (const { socket } of [...this.#idle]) socket.destroy();
  }

  /** Among those of its owner; false if it was ended itself, as all others are in use. */
  #ownRoom(connection: Connection): boolean {
    if (connection.owner === null) return true;
    const owner = this.#owners.get(connection.owner) ?? { open: 0, idle: new Set<Connection>() };
    this.#owners.set(connection.owner, owner);
    owner.open += 1;
    // the newcomer is the last of them
    owner.idle.add(connection);
    if (owner.open <= this.#ofOne) return true;
    const [longest = connection] = owner.idle;
    this.#drop(longest, 'client-connections');
    return longest !== connection;
  }

  /** Among all. */
  #room(connection: Connection): void {
    if (this.#open <= this.#most) return;
    const [longest = connection] = this.#idle;
    const [stranger = connection] = this.#asking;
    this.#drop(longest === connection ? stranger : longest, 'connections');
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
    this.#idle.delete(connection);
    this.#asking.delete(connection);
    if (this.#secure.get(connection.name) === connection) this.#secure.delete(connection.name);
    const owner = this.#ownerOf(connection);
    if (!owner || connection.owner === null) return;
    owner.open -= 1;
    owner.idle.delete(connection);
    if (owner.open === 0) this.#owners.delete(connection.owner);
  }

  #ownerOf({ owner }: Connection): Owner | undefined {
    return owner === null ? undefined : this.#owners.get(owner);
  }
}

interface Owner {
  open: number;
  readonly idle: Set<Connection>;
}

class Connection {
  readonly socket: Socket;
  readonly owner: string | null;
  readonly name: string;
  /** Under way, or behind one another. */
  requests = 0;
  ended = false;

  constructor(socket: Socket, owner: string | null) {
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
