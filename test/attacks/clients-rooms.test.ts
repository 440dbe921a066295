/** Several who fill the room for bodies together, slowly, and a builder who does alone: others come in all the same. */
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
import { approvalFile, buildPath } from '../../src/records/paths.ts';
import { packTar } from '../../src/tree/tar.ts';
import { overSocket } from '../harness/raw-http.ts';
import {
  approval,
  approvalFiles,
  build,
  builderEntry,
  now,
  project,
  signerToken,
  tokens,
} from '../policy/scene.ts';
import { makeDepot } from '../tree/depot.ts';
import type { DepotOnDisk } from '../tree/depot.ts';

const MIB = 1024 * 1024;
const PATIENCE = { timeout: 30_000, interval: 100 };
const path = `/${buildPath(build)}`;

let here: DepotOnDisk;
let server: HttpServer;
const sockets: Socket[] = [];
/** The same, as L has them. */
const taken: Socket[] = [];
beforeEach(async () => {
  here = await makeDepot();
  const { tree, depot } = here;
  const builders = { b1: builderEntry('b1'), b2: builderEntry('b2') };
  await depot.submit(build, approvalFiles({ ...approval, builders }));
  // so that each address of this machine is a client of its own
  const limits = new Limits(depot, { clients: new Clients(['127.0.0.0/8']) });
  const owner = (socket: Socket): null => {
    taken.push(socket);
    return null;
  };
  const bounds = { requestMs: 0, idleMs: 60_000, connections: new Connections({ most: 1000, owner }) };
  const listener = requestListener({ project, tree, depot, now: () => now, log: () => {}, limits });
  server = await startHttpServer(listener, { listen: { host: '127.0.0.1', port: 0 }, ...bounds });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  taken.length = 0;
  await server.close();
  await here.remove();
});

/** A write whose only file is so large, and no record. */
const large = (bytes: number): Buffer => packTar([{ name: approvalFile, bytes: Buffer.alloc(bytes) }]);

/** Says how long its body is, and sends all of it but the last byte, or nothing. */
async function holdBack(body: Buffer, localAddress: string, token?: Buffer, sent = -1): Promise<Socket> {
  const bearer = token ? `Authorization: Bearer ${token.toString('base64url')}\r\n` : '';
  const head = `POST ${path} HTTP/1.1\r\nHost: x\r\n${bearer}Content-Length: ${body.length}\r\n\r\n`;
  const { hostname: host, port } = new URL(server.url);
  const socket = connect({ host, port: Number(port), localAddress }).on('error', () => {});
  sockets.push(socket.resume());
  await once(socket, 'connect');
  socket.write(Buffer.concat([Buffer.from(head), body.subarray(0, sent)]));
  return socket;
}

/** L has read so much. */
const hasRead = (bytes: number): Promise<void> =>
  vi.waitFor(
    () => expect(taken.reduce((sum, { bytesRead }) => sum + bytesRead, 0)).toBeGreaterThanOrEqual(bytes),
    PATIENCE,
  );

/** The status of the answer to a write, also where L ends the connection before it has all of it. */
async function write(body: Buffer, token?: Buffer, where = path): Promise<number> {
  const bearer = token ? `Authorization: Bearer ${token.toString('base64url')}\r\n` : '';
  const head = `POST ${where} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${bearer}`;
  const bytes = Buffer.concat([Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`), body]);
  const answer = await overSocket(server.url, bytes);
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);
}

const cutOff = (): number => sockets.filter(({ closed }) => closed).length;

test('a dozen addresses with four megabytes each, slowly: an approver writes one, and who only says a length ends nobody', async () => {
  const body = large(MIB - 2048);
  for (let at = 0; at < 48; at++) await holdBack(body, `127.0.0.${10 + (at % 12)}`);
  await hasRead(48 * (body.length - 1));
  for (let at = 0; at < 20; at++) await holdBack(body, `127.0.0.${30 + at}`, undefined, 0);
  expect(await write(body.subarray(0, 512)), 'it is heard at all').toBe(422);
  expect(cutOff()).toBe(0);

  // too large for what it says to be, which is found out when all of it is there
  expect(await write(body)).toBe(413);
  expect(await write(body)).toBe(413);
  await vi.waitFor(() => expect(cutOff()).toBe(1), PATIENCE);
});

test('a builder with large bodies, slowly: another one writes, and H does', async () => {
  const fill = async (): Promise<void> => {
    const before = taken.reduce((sum, { bytesRead }) => sum + bytesRead, 0);
    const sizes = [120, 70].map((size) => size * MIB);
    for (const size of sizes) await holdBack(large(size), '127.0.0.10', tokens.b1);
    await hasRead(before + 190 * MIB);
    // more than its share, where it has one
    const more = await holdBack(large(62 * MIB), '127.0.0.10', tokens.b1);
    await Promise.race([hasRead(before + 252 * MIB), new Promise((resolve) => more.once('close', resolve))]);
  };
  await fill();
  expect(await write(large(100 * MIB), tokens.b2), 'b2').toBe(413);
  for (const socket of sockets.splice(0)) socket.destroy();

  await fill();
  expect(await write(large(100 * MIB), signerToken, `${path}/signatures`), 'H').toBe(422);
  for (const socket of sockets.splice(0)) socket.destroy();
});
