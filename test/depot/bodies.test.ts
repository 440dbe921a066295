/** Bodies that never end: whoever sends them keeps nobody out who asks for something else, and the signer never. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Clients } from '../../src/depot/clients.ts';
import { Limits } from '../../src/depot/limits.ts';
import { requestListener } from '../../src/depot/routes.ts';
import { Connections } from '../../src/host/connections.ts';
import { startHttpServer } from '../../src/host/http-server.ts';
import type { HttpServer } from '../../src/host/http-server.ts';
import { packTar } from '../../src/tree/tar.ts';
import { rawRequest } from '../harness/raw-http.ts';
import { build, now, project, signerToken, subjects, tokens } from '../policy/scene.ts';
import { makeDepot, releaseSignatures, seal, sendRelease } from '../tree/depot.ts';
import type { DepotOnDisk } from '../tree/depot.ts';

const MIB = 1024 * 1024;
const PATIENCE = { timeout: 30_000, interval: 100 };
let here: DepotOnDisk;
let server: HttpServer;
const sockets: Socket[] = [];
beforeEach(async () => {
  here = await makeDepot();
  await seal(here);
  await sendRelease(here);
  await here.depot.as(signerToken).publish(build);
  const { tree, depot } = here;
  const bounds = { requestMs: 0, idleMs: 60_000, connections: new Connections({ most: 1000 }) };
  const listener = requestListener({ project, tree, depot, now: () => now, log: () => {} });
  server = await startHttpServer(listener, { listen: { host: '127.0.0.1', port: 0 }, ...bounds });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await server.close();
  await here.remove();
});

/** So many that send all of a body but its last byte. */
async function flood(count: number, path: string, body: Buffer): Promise<void> {
  const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;
  const bytes = Buffer.concat([Buffer.from(head), body.subarray(0, -1)]);
  for (let at = 0; at < count; at++) {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1').on('error', () => {});
    sockets.push(socket);
    await once(socket, 'connect');
    socket.write(bytes);
  }
}

const fetchReleased = '/releases/hello/1.0/fetch';
const fetchBlobs = `/builds/${build}/fetch`;
const names = JSON.stringify(releaseSignatures().map(({ name }) => name));
/** The same, as large as a stranger's may be. */
const large = names.padEnd(128 * 1024);
const digests = JSON.stringify(subjects.map(({ sha256 }) => sha256));
const ask = async (path: string, body: string, token?: Buffer): Promise<number> =>
  (await rawRequest(server.url, { method: 'POST', path, body, ...(token && { token }) })).status;

test('records of strangers: lists are answered, to anybody', async () => {
  // a tar whose only file does not end
  const tar = packTar([{ name: 'approval.json', bytes: Buffer.alloc(MIB - 1536) }]);
  await flood(70, `/builds/${build}`, tar);
  await vi.waitFor(async () => expect(await ask(`/builds/${build}`, 'x'.repeat(MIB))).toBe(503), PATIENCE);
  expect(await ask(fetchReleased, large)).toBe(200);
});

test.each([fetchReleased, fetchBlobs, '/releases/hello/1.0/sizes'])(
  'lists of strangers, to %s: the signer and builders are answered',
  async (path) => {
    await flood(80, path, Buffer.alloc(128 * 1024, ' '));
    await vi.waitFor(async () => expect(await ask(fetchReleased, large)).toBe(503), PATIENCE);
    expect(await ask(fetchReleased, large, signerToken)).toBe(200);
    expect(await ask('/releases/hello/1.0/sizes', names, signerToken)).toBe(200);
    expect(await ask(fetchBlobs, digests, signerToken)).toBe(200);
    expect(await ask(fetchBlobs, digests, tokens.b1), 'not his to read').toBe(403);
    for (const socket of sockets.splice(0)) socket.destroy();
    await vi.waitFor(async () => expect(await ask(fetchReleased, large)).toBe(200), PATIENCE);
  },
);

test('one client takes its share and no more: another one is heard', async () => {
  const { tree, depot } = here;
  const limits = new Limits(depot, { clients: new Clients(['127.0.0.1']) });
  await server.close();
  const bounds = { requestMs: 0, idleMs: 60_000, connections: new Connections({ most: 1000 }) };
  const listener = requestListener({ project, tree, depot, now: () => now, log: () => {}, limits });
  server = await startHttpServer(listener, { listen: { host: '127.0.0.1', port: 0 }, ...bounds });
  const tar = packTar([{ name: 'approval.json', bytes: Buffer.alloc(MIB - 1536) }]);
  await flood(4, `/builds/${build}`, tar);
  const path = `/builds/${build}`;
  const of = async (client: string, bytes: number): Promise<number> => {
    const headers = { 'X-Forwarded-For': client };
    return (await rawRequest(server.url, { method: 'POST', path, headers, body: 'x'.repeat(bytes) })).status;
  };
  await vi.waitFor(async () => expect(await of('127.0.0.1', MIB)).toBe(503), PATIENCE);
  expect(await of('192.0.2.1', MIB)).toBe(422);
});
