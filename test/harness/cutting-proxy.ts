/** A link that breaks: it passes bytes on to a depot, and says where a connection ends. */
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';

export class CuttingProxy {
  readonly url: string;
  /** How many bytes each connection may still bring to the depot; null for all. */
  budgets: (number | null)[] = [];
  /** What happens then: the connection ends, or nothing passes any more. */
  how: 'cut' | 'silence' = 'cut';
  /** What of a head does not get through. */
  forgets: RegExp | null = null;
  /** The head of each request that came through, as the first line and the headers that tell where it begins. */
  readonly requests: string[] = [];
  /** The first lines of those that were answered. */
  readonly answered: string[] = [];
  /** How often a budget was used up. */
  cuts = 0;
  /** How many bytes all connections have brought to the depot. */
  passed = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(url: string, server: Server) {
    this.url = url;
    this.#server = server;
  }

  /** In front of the depot at `target`. */
  static async start(target: string): Promise<CuttingProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const proxy = new CuttingProxy(`http://127.0.0.1:${port}`, server);
    server.on('connection', (client: Socket) => proxy.#pass(client, new URL(target)));
    return proxy;
  }

  /** Where each PUT began. */
  get offsets(): (number | null)[] {
    return this.requests
      .filter((head) => head.startsWith('PUT'))
      .map((head) => {
        const offset = /\r\nupload-offset: (\d+)/i.exec(head)?.[1];
        return offset === undefined ? null : Number(offset);
      });
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #pass(client: Socket, { hostname, port }: URL): void {
    const depot = connect(Number(port), hostname);
    for (const socket of [client, depot]) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
    }
    // what was let through arrives
    client.on('close', () => depot.end());
    depot.on('close', () => client.destroy());
    let asked = '';
    depot.on('data', (bytes: Buffer) => {
      if (asked !== '') this.answered.push(asked);
      asked = '';
      client.write(bytes);
    });
    let left: number | null | undefined;
    client.on('data', (arrived: Buffer) => {
      let bytes = arrived;
      const text = bytes.toString('latin1');
      const head = /^[A-Z]+ \/[^ ]* HTTP\/1\.1\r\n[^]*?\r\n\r\n/.exec(text)?.[0];
      if (head !== undefined) {
        this.requests.push(head);
        [asked = ''] = head.split('\r\n');
        if (this.forgets)
          bytes = Buffer.concat([
            Buffer.from(head.replaceAll(this.forgets, '')),
            bytes.subarray(head.length),
          ]);
        // asking is always let through
        if (head.startsWith('PUT')) left = this.budgets.shift() ?? null;
      }
      if (left === null || left === undefined) {
        this.passed += bytes.length;
        depot.write(bytes);
        return;
      }
      const passed = bytes.subarray(0, left);
      left -= passed.length;
      this.passed += passed.length;
      if (passed.length > 0) depot.write(passed);
      if (left > 0) return;
      client.pause();
      this.cuts += 1;
      if (this.how === 'cut') client.destroy();
    });
  }
}
