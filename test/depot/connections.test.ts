/** Who makes room when there are too many connections: those of whoever has many, and what is slow before what is idle only now. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Connections } from '../../src/host/connections.ts';
import { startHttpServer } from '../../src/host/http-server.ts';
import type { HttpServer } from '../../src/host/http-server.ts';

const MOST = 20;
const honest = '127.0.0.2';
const other = '127.0.0.3';
const slow = '127.0.0.4';

let server: HttpServer;
let connections: Connections;
let time = 0;
let requests = 0;
const sockets: Socket[] = [];
beforeEach(async () => {
  connections = new Connections({
    most: MOST,
    owner: ({ remoteAddress }) => remoteAddress ?? null,
    milliseconds: () => time,
  });
  server = await startHttpServer(
    ({ url }, response) => {
      requests += 1;
      if (url === '/now') response.end('now');
    },
    { listen: { host: '127.0.0.1', port: 0 }, requestMs: 0, idleMs: 60_000, connections },
  );
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await server.close();
});

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
const slowBody = 'POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome of it';

/** A connection from an address, which the server has taken. */
async function open(localAddress: string): Promise<Socket> {
  const socket = connect({ port: Number(new URL(server.url).port), host: '127.0.0.1', localAddress });
  sockets.push(socket.on('error', () => {}).resume());
  const [before, full] = [connections.open, connections.open >= MOST];
  await once(socket, 'connect');
  // where it is full somebody else has ended when it was taken
  const closed = (): number => sockets.filter((each) => each.closed).length;
  const gone = closed();
  await vi.waitFor(() => expect(full ? closed() > gone : connections.open > before).toBe(true));
  return socket;
}

/** One that asks; the request has come. */
async function asking(from: string, bytes: string): Promise<Socket> {
  const socket = await open(from);
  const before = requests;
  socket.write(bytes);
  await vi.waitFor(() => expect(requests).toBeGreaterThan(before));
  return socket;
}

async function isServed(socket: Socket): Promise<boolean> {
  const answer = once(socket, 'data', { signal: AbortSignal.timeout(2000) });
  socket.write(get('/now'));
  return answer.then(
    ([bytes]) => String(bytes).startsWith('HTTP/1.1 200'),
    () => false,
  );
}

test('slow bodies fill the table, and newcomers come ten a second: who was served just now is served again', async () => {
  const attack = [];
  for (let at = 0; at < MOST - 2; at++) attack.push(await asking(slow, slowBody));
  time += 10_000;
  const two = [await open(honest), await open(other)];
  for (const socket of two) expect(await isServed(socket)).toBe(true);
  // each from an address of its own, and silent
  for (let at = 0; at < MOST - 4; at++) {
    time += 100;
    await open(`127.0.1.${at + 1}`);
  }
  expect(two.map(({ closed }) => closed)).toEqual([false, false]);
  for (const socket of two) expect(await isServed(socket)).toBe(true);
  expect(attack.filter(({ closed }) => !closed)).toHaveLength(2);
  expect(connections.open).toBe(MOST);
});

test('one address has most of them: its own make room, however long others are idle or take', async () => {
  const [download, idle] = [await asking(honest, get('/slow')), await open(other)];
  time += 30_000;
  const attack = [];
  for (let at = 0; at < MOST - 2; at++) attack.push(await open(slow));
  for (let at = 0; at < 3 * MOST; at++) {
    time += 100;
    await open(slow);
  }
  expect([download.closed, idle.closed, attack.every(({ closed }) => closed)]).toEqual([false, false, true]);
  expect(await isServed(idle)).toBe(true);
});

test('what is idle for long makes room before a request under way', async () => {
  const idle = await open(other);
  const download = await asking(honest, get('/slow'));
  for (let at = 0; at < MOST - 2; at++) await open(`127.0.1.${at + 1}`);
  time += 5_000;
  await open(slow);
  expect([idle.closed, download.closed]).toEqual([true, false]);
});
