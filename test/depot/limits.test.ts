/** How much each client may ask, and who a client is: as `serve` is told, and over HTTP. */
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { once } from 'node:events';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { execFileSync } from 'node:child_process';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Clients } from '../../src/depot/clients.ts';
import { Limits } from '../../src/depot/limits.ts';
import { requestListener } from '../../src/depot/routes.ts';
import { Connections } from '../../src/host/connections.ts';
import { startHttpServer } from '../../src/host/http-server.ts';
import type { HttpServer } from '../../src/host/http-server.ts';
import { approvalFile, buildPath } from '../../src/records/paths.ts';
import { overSocket, rawRequest } from '../harness/raw-http.ts';
import type { HttpAnswer, HttpRequest } from '../harness/raw-http.ts';
import { build, now, project, signerToken, tokens } from '../policy/scene.ts';
import { makeDepot, seal } from '../tree/depot.ts';
import type { DepotOnDisk } from '../tree/depot.ts';

const from = (remoteAddress: string | undefined, forwarded?: string) => {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- all that is looked at
  return { socket: { remoteAddress } as Socket, headers };
};

describe('a client', () => {
  const clients = new Clients(['10.0.0.0/8', '127.0.0.1', 'fd00::/8']);

  test.each([
    ['an address', '192.0.2.1', undefined, '192.0.2.1'],
    ['IPv4 in IPv6', '::ffff:192.0.2.1', undefined, '192.0.2.1'],
    ['IPv6, by its /64', '2001:db8:0:1:2:3:4:5', undefined, '2001:db8:0:1::/64'],
    ['the same in another way', '2001:DB8:0000:1::9', undefined, '2001:db8:0:1::/64'],
    ['with a zone', 'fe80::1%eth0', undefined, 'fe80:0:0:0::/64'],
    ['IPv4 at the end of IPv6', '64:ff9b::192.0.2.1', undefined, '64:ff9b:0:0::/64'],
    ['what anybody may say of himself', '192.0.2.1', '198.51.100.1', '192.0.2.1'],
    ['whom a proxy names', '10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['whom a proxy names, on this machine', '127.0.0.1', '2001:db8::1', '2001:db8:0:0::/64'],
    ['the last that is no proxy', '10.1.2.3', '192.0.2.9, 198.51.100.1, 10.9.9.9,fd00::1', '198.51.100.1'],
    ['a proxy that says nothing', '10.1.2.3', undefined, '10.1.2.3'],
    ['a proxy that names proxies only', '10.1.2.3', '10.1.1.1', '10.1.2.3'],
    ['a proxy that says what is no address', '10.1.2.3', '198.51.100.1, unknown', '10.1.2.3'],
    ['a proxy that says an empty one', '10.1.2.3', '198.51.100.1,', '10.1.2.3'],
    ['an address with a port', '10.1.2.3', '198.51.100.1:80', '10.1.2.3'],
    ['this machine, as a proxy names it', '10.1.2.3', '127.0.0.9', '127.0.0.9'],
    ['this machine', '127.0.0.2', undefined, null],
    ['this machine, in IPv6', '::1', '192.0.2.1', null],
    ['this machine, mapped', '::ffff:127.0.0.2', undefined, null],
    ['a connection that is gone', undefined, undefined, null],
  ])('%s', (_, address, forwarded, client) => {
    expect(clients.ofRequest(from(address, forwarded))).toBe(client);
  });

  test('connections of proxies are of many, those of others of one', () => {
    const of = (remoteAddress: string) => clients.ofConnection({ remoteAddress });
    expect([of('10.1.2.3'), of('127.0.0.1'), of('127.0.0.2')]).toEqual([null, null, null]);
    expect(of('::ffff:192.0.2.1')).toBe('192.0.2.1');
  });

  test.each([
    '',
    'localhost',
    '10.0.0.0/33',
    '10.0.0.0/0',
    '::/129',
    '10.0.0/8',
    '10.0.0.0/8 ',
    '1.2.3.4:80',
  ])('no proxy: %s', (proxy) =>
    expect(() => new Clients([proxy])).toThrow(expect.objectContaining({ code: 'wrong-usage' })),
  );
});

describe('requests', () => {
  let here: DepotOnDisk;
  let server: Server;
  let time = 0;
  const limited: string[] = [];
  beforeEach(async () => {
    limited.length = 0;
    here = await makeDepot();
    await seal(here);
    const limits = new Limits(here.depot, {
      clients: new Clients(['127.0.0.1']),
      ...{ perSecond: 2, atOnce: 3, milliseconds: () => time },
      limited: (limit) => limited.push(limit),
    });
    const { tree, depot } = here;
    server = createServer(requestListener({ project, tree, depot, now: () => now, log: () => {}, limits }));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await here.remove();
  });

  const url = (): string => {
    const address = server.address();
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  };
  const ask = (client: string, more: Partial<HttpRequest> = {}): Promise<HttpAnswer> =>
    rawRequest(url(), { path: '/releases/', headers: { 'X-Forwarded-For': client }, ...more });
  /** All that one client may ask at once. */
  async function useUp(client: string): Promise<void> {
    for (let at = 0; at < 20; at++) expect((await ask(client)).status).toBe(200);
  }

  test('over the rate: 429, when to come again, and then it is answered; others are not hurt', async () => {
    await useUp('192.0.2.1');
    const told = [await ask('192.0.2.1'), await ask('192.0.2.1'), await ask('192.0.2.1')];
    expect(told.map(({ status }) => status)).toEqual([429, 429, 429]);
    expect(told.map(({ body }) => JSON.parse(body.toString())[`code`])).toEqual(
      Array(3).fill('too-many-requests'),
    );
    // each when its turn comes
    expect(told.map(({ headers }) => headers['retry-after'])).toEqual(['1', '1', '2']);
    expect((await ask('192.0.2.2')).status).toBe(200);
    time += 1000;
    expect([(await ask('192.0.2.1')).status, (await ask('192.0.2.1')).status]).toEqual([200, 200]);
    expect((await ask('192.0.2.1')).status).toBe(429);
    expect(limited).toEqual(Array(4).fill('client-rate'));
    // whoever watches the depot is told how it is
    expect((await ask('192.0.2.1', { path: '/healthz' })).status).not.toBe(429);
  });

  test('what is no path of ours, or no request of ours, counts as well', async () => {
    for (let at = 0; at < 10; at++) {
      expect((await ask('192.0.2.1', { path: '/%2e' })).status).toBe(400);
      expect((await ask('192.0.2.1', { method: 'DELETE', path: '/' })).status).toBe(405);
    }
    expect((await ask('192.0.2.1', { path: '/%2e' })).status).toBe(429);
  });

  test('the signer and the builders of the build that they name are answered; a token of another build is none', async () => {
    await useUp('192.0.2.1');
    const path = `/${buildPath(build, approvalFile)}`;
    expect((await ask('192.0.2.1', { path, token: signerToken })).status).toBe(200);
    expect((await ask('192.0.2.1', { path, token: tokens.b1 })).status).toBe(200);
    expect((await ask('192.0.2.1', { path: '/builds/', token: signerToken })).status).toBe(200);
    const other = path.replace(build, build.replace(/^./, '1'));
    for (const refusedPath of [other, '/builds/', '/releases/'])
      expect((await ask('192.0.2.1', { path: refusedPath, token: tokens.b1 })).status).toBe(429);
    expect((await ask('192.0.2.1', { path, token: Buffer.alloc(32) })).status).toBe(429);
  });

  test('so many at a time, and when one has its answer, the next', async () => {
    const head = `POST /builds/${build} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n`;
    const slow = Array.from({ length: 3 }, () => connect(Number(new URL(url()).port), '127.0.0.1'));
    for (const socket of slow) socket.on('error', () => {}).write(`${head}Content-Length: 9999\r\n\r\nx`);
    await vi.waitFor(async () => expect((await ask('192.0.2.1')).status).toBe(429));
    expect((await ask('192.0.2.2')).status).toBe(200);
    slow[0]?.destroy();
    await vi.waitFor(async () => expect((await ask('192.0.2.1')).status).toBe(200));
    for (const socket of slow) socket.destroy();
    expect(new Set(limited)).toEqual(new Set(['client-connections']));
  });

  test('a body without an end is not waited for by whoever is turned away', async () => {
    await useUp('192.0.2.1');
    const head = `POST /builds/${build} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n`;
    expect(await overSocket(url(), `${head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`)).toMatch(
      /^HTTP\/1.1 429 /,
    );
  });
});

describe('connections', () => {
  let server: HttpServer;
  let connections: Connections;
  let time = 0;
  const limited: string[] = [];
  const sockets: Socket[] = [];
  let requests = 0;
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await server.close();
    limited.length = 0;
  });

  /** `keep` are those whose request nobody ends; nothing but /now is ever answered. */
  async function start(
    options: { most: number; ofOne?: number },
    tls?: { cert: Buffer; key: Buffer },
  ): Promise<void> {
    connections = new Connections({
      ...options,
      owner: () => 'all the same',
      limited: (limit) => limited.push(limit),
      milliseconds: () => time,
    });
    server = await startHttpServer(
      ({ url, socket }, response) => {
        requests += 1;
        if (url === '/keep') connections.keep(socket);
        if (url === '/now') response.end();
      },
      { listen: { host: '127.0.0.1', port: 0 }, requestMs: 0, idleMs: 60_000, connections, tls },
    );
  }

  /** A connection that sends this; a whole request has come. */
  async function open(bytes = ''): Promise<Socket> {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1').on('error', () => {});
    sockets.push(socket);
    socket.resume();
    await once(socket, 'connect');
    if (bytes === '') return socket;
    const before = requests;
    socket.write(bytes);
    if (bytes.endsWith('\r\n\r\n')) await vi.waitFor(() => expect(requests).toBeGreaterThan(before));
    return socket;
  }
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const ended = async (socket: Socket): Promise<void> => {
    if (!socket.closed) await once(socket, 'close');
  };
  const isServed = async (): Promise<void> =>
    expect((await rawRequest(server.url, { path: '/now' })).status).toBe(200);

  test('too many: the longest idle ends, then the longest of a stranger, nobody whom we know', async () => {
    await start({ most: 3 });
    const known = await open(get('/keep'));
    const stranger = await open(get('/wait'));
    await isServed();
    const half = await open(get('/').slice(0, 9));
    await vi.waitFor(() => expect(connections.open).toBe(3));
    time += 5_000;
    await isServed(); // makes a fourth
    await ended(half);
    const second = await open(get('/wait'));
    await isServed();
    await ended(stranger);
    expect([known.closed, second.closed]).toEqual([false, false]);
    expect(new Set(limited)).toEqual(new Set(['connections']));
  });

  test('over TLS: whom we know stays there, too', async () => {
    await start({ most: 2 }, selfSigned());
    const secure = async (bytes: string): Promise<Socket> => {
      const port = Number(new URL(server.url).port);
      const socket = connectTls({ port, rejectUnauthorized: false }).on('error', () => {});
      sockets.push(socket.resume());
      await once(socket, 'secureConnect');
      const before = requests;
      socket.write(bytes);
      await vi.waitFor(() => expect(requests).toBeGreaterThan(before));
      return socket;
    };
    const known = await secure(get('/keep'));
    const [stranger, next] = [await secure(get('/wait')), await secure(get('/wait'))];
    await ended(stranger);
    expect([known.closed, next.closed]).toEqual([false, false]);
  });

  test('too many of one: the longest idle of them ends; where all are in use, the newcomer', async () => {
    await start({ most: 100, ofOne: 2 });
    const idle = await open();
    const busy = await open(get('/wait'));
    await vi.waitFor(isServed);
    await ended(idle);
    const other = await open(get('/wait'));
    await vi.waitFor(async () => {
      await expect(rawRequest(server.url, { path: '/now' })).rejects.toThrow();
    });
    expect([busy.closed, other.closed]).toEqual([false, false]);
    expect(new Set(limited)).toEqual(new Set(['client-connections']));
  });
});

function selfSigned(): { cert: Buffer; key: Buffer } {
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const out = ['-keyout', '-', '-out', '-', '-subj', '/CN=localhost'];
  const both = execFileSync('openssl', ['req', '-x509', ...curve, ...out], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return { cert: both, key: both };
}
