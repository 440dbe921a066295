/** Clients that send too much, too slowly, or too much at once; meanwhile logs are witnessed. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { overSocket } from '../harness/raw-http.ts';
import { WitnessHost } from './host.ts';
import { line, Log, originHash } from './log.ts';

const log = new Log('log.example/one');
const sockets: Socket[] = [];
let size = 0;

let host: WitnessHost;
beforeAll(async () => {
  host = new WitnessHost();
  await host.start([log]);
});
afterEach(async () => {
  await serving();
  for (const socket of sockets.splice(0)) socket.destroy();
  await serving();
});
afterAll(() => host.close());

async function serving(): Promise<void> {
  expect((await host.add(log.body({ old: size, size: size + 1 }))).status).toBe(200);
  size += 1;
}

/** So many connections that send this and then say no more. */
async function hold(count: number, bytes: string | Buffer): Promise<void> {
  const { hostname, port } = new URL(host.url);
  const sent = Array.from({ length: count }, () => {
    const socket = connect(Number(port), hostname);
    sockets.push(socket);
    return new Promise<void>((resolve) => {
      socket.once('close', resolve).on('error', () => {});
      socket.resume().once('connect', () => socket.write(bytes, () => resolve()));
    });
  });
  await Promise.all(sent);
}

const post = (headers: string): string => `POST /add-checkpoint HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n`;

test('as large as a checkpoint may be, and larger', async () => {
  const grease = line('pq.example', Buffer.of(1, 2, 3, 4), 2428);
  const many = log.body({ old: size, size: size + 1, lines: Array.from({ length: 70 }, () => grease) });
  expect(many.length).toBeGreaterThan(200 * 1024);
  expect((await host.add(many)).status).toBe(200);
  size += 1;
  const [more, atOnce] = ['x'.repeat(256 * 1024 + 1), post('Content-Length: 1000000000')];
  expect((await host.add(more)).status).toBe(413);
  // who says that it is so much is not waited for
  expect(await overSocket(host.url, atOnce)).toMatch(/^HTTP\/1\.1 413 [^]*connection: close/i);
  const endless = `${post('Transfer-Encoding: chunked')}${`10000\r\n${'x'.repeat(0x10000)}\r\n`.repeat(5)}`;
  expect(await overSocket(host.url, endless)).toMatch(/^HTTP\/1\.1 413 /);
});

test('a body in pieces, or asked for first, is a body', async () => {
  const body = Buffer.from(log.body({ old: size, size: size + 1 })).toString('latin1');
  const chunks = body.replaceAll(/[^]/g, '1\r\n$&\r\n');
  const said = await overSocket(
    host.url,
    `${post('Transfer-Encoding: chunked\r\nExpect: 100-continue\r\nConnection: close')}${chunks}0\r\n\r\n`,
  );
  expect(said).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
  size += 1;
});

test.each([
  ['no length at all', 'POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 400],
  ['two lengths', post('Content-Length: 1\r\nContent-Length: 2'), 400],
  ['a length and chunks', post('Content-Length: 1\r\nTransfer-Encoding: chunked'), 400],
  ['a header of a hundred thousand bytes', post(`X: ${'x'.repeat(100_000)}`), 431],
])('%s', async (_, bytes, status) => {
  expect(await overSocket(host.url, bytes)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
});

test('requests behind one another are answered in turn; too many end the connection', async () => {
  const get = (more = '') => `GET /${originHash(log.origin)}/checkpoint HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
  const body = log.body({ old: size, size: size + 1 });
  const first = `${post(`Content-Length: ${Buffer.byteLength(body)}`)}${body}`;
  const said = await overSocket(
    host.url,
    Buffer.from(first + get() + get('Connection: close\r\n')).toString('latin1'),
  );
  size += 1;
  // the checkpoint that the second is shown is that of the first
  expect(said.match(/^HTTP\/1\.1 200 OK/gm)).toHaveLength(3);
  expect(said.split(`\n${size}\n`)).toHaveLength(3);
  const flood = await overSocket(host.url, get().repeat(5000));
  expect((flood.match(/^HTTP/gm) ?? []).length).toBeLessThan(5000);
});

test.each([
  ['say nothing', ''],
  ['never end their headers', 'POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nX: '],
  ['never send their body', post('Content-Length: 200000')],
])('three hundred connections that %s', async (_, bytes) => {
  await hold(300, bytes);
  await serving();
});

test('as many unfinished bodies as it will hold: others are told to come again, and may when those have gone', async () => {
  await hold(270, post('Content-Length: 262144') + 'x'.repeat(262_143));
  await vi.waitFor(async () => expect((await host.add('x'.repeat(200_000))).status).toBe(503), 10_000);
  // a connection that was told so is good for the next request
  const get = `GET /${originHash(log.origin)}/checkpoint HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
  const said = await overSocket(host.url, `${post('Content-Length: 200000')}${'x'.repeat(200_000)}${get}`);
  expect(said.match(/^HTTP\/1\.1 \d+/gm)).toEqual(['HTTP/1.1 503', 'HTTP/1.1 200']);
  for (const socket of sockets.splice(0)) socket.destroy();
  await vi.waitFor(async () => expect((await host.add('x'.repeat(200_000))).status).toBe(400), 10_000);
});
