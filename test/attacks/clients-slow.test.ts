/**
 * Clients against L: more sockets than it takes, that say nothing or little, slowly; a flood of writes that are all bad.
 * Meanwhile a release goes its whole way, by the real programs; then L is as it was.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { sha256Hex } from '../../src/records/sha256.ts';
import { packTar } from '../../src/tree/tar.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { rawRequest } from '../harness/raw-http.ts';
import type { HttpRequest } from '../harness/raw-http.ts';
import { until } from '../harness/until.ts';
import { World, mustBe } from '../harness/world.ts';
import { steal } from './forge.ts';
import type { Held } from './forge.ts';

/** As many as this process may open: where that is less, L takes fewer, too. */
const SOCKETS = Math.min(
  10_400,
  Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1]) - 300,
);
/** Each takes 17 KB, and a reader two chunks of a file; much of it is Node's. */
const PEAK_KIB = 400 * 1024;
const READERS_BYTES = 200 * 1024 * 1024;

let world: World;
let open: Held;
const sockets: Socket[] = [];

beforeAll(async () => {
  world = await World.make();
  await world.release('1.0', { app: 'there before', large: Buffer.alloc(32 * 1024 * 1024, 7) });
  open = await steal(world, await world.approve('2.0'));
  // the most memory that it ever had is what is looked at
  await world.stopServer();
  await world.startServer();
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});
afterAll(() => world.close());

/** So many more that send this, and others are served; a part of them at a time, as the queue of those that are not accepted yet is short. */
async function hold(count: number, bytes: (at: number) => string, deaf = false): Promise<void> {
  const { hostname, port } = new URL(world.url);
  const one = (at: number): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect(Number(port), hostname, () => socket.write(bytes(at), () => resolve()));
      socket.on('error', () => {}).once('close', () => resolve());
      if (!deaf) socket.resume();
      sockets.push(socket);
    });
  for (let at = 0; at < count; at += 200) {
    await Promise.all(Array.from({ length: Math.min(200, count - at) }, (_, more) => one(at + more)));
    await answered();
  }
}

async function answered(): Promise<void> {
  const answer = await rawRequest(world.url, { path: '/releases/widget/1.0/app' });
  expect([answer.status, answer.body.toString()]).toEqual([200, 'there before']);
}

/** What L counts. */
async function metric(name: string): Promise<number> {
  const { body } = await rawRequest(world.url, { path: '/metrics' });
  const line = body
    .toString()
    .split('\n')
    .find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}

const silent = (): string => '';
const halfAHead = (): string => 'GET /releases/ HTTP/1.1\r\nHost: x\r\nX-Slow: ';
const slowBody = (): string =>
  `POST /builds/${open.build} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nsome of it`;

/** Bad writes on so many connections until it is told to end; then how many there were, by status. */
function badWrites(connections: number): () => Promise<Map<number, number>> {
  const path = `/builds/${open.build}`;
  const garbage = packTar([{ name: 'approval.json', bytes: randomBytes(100_000) }]);
  const kinds: (() => HttpRequest)[] = [
    () => ({ method: 'PUT', path: `${path}/blobs/${sha256Hex('x')}`, body: 'x', token: randomBytes(32) }),
    () => ({ method: 'POST', path: `${path}/blobs`, body: garbage }),
    () => ({ method: 'POST', path, body: garbage, token: randomBytes(32) }),
    () => ({ method: 'POST', path, body: randomBytes(2000) }),
    () => ({ method: 'POST', path, headers: { 'Content-Length': '2000000' }, body: 'x'.repeat(2_000_000) }),
    () => ({ method: 'POST', path: '/log', body: garbage, token: randomBytes(32) }),
    () => ({ method: 'PUT', path: `${path}/statement.b1.json`, body: garbage }),
  ];
  let ended = false;
  const answers = new Map<number, number>();
  const count = (status: number): unknown => answers.set(status, (answers.get(status) ?? 0) + 1);
  const working = Array.from({ length: connections }, async (_, at) => {
    for (let more = at; !ended; more++) {
      const request = kinds[more % kinds.length]?.() ?? { path: '/' };
      // what is too large ends with its connection, often before the answer is read
      await rawRequest(world.url, request).then(
        ({ status }) => count(status),
        () => count(0),
      );
    }
  });
  return async () => {
    ended = true;
    await Promise.all(working);
    return answers;
  };
}

test('ten thousand slow sockets and a flood of bad writes: a release goes its whole way', async () => {
  const before = await metric('countersign_depot_connections');
  await hold(SOCKETS / 2, silent);
  await hold(SOCKETS / 2 - 400, halfAHead);
  await hold(400, slowBody);
  const held = await metric('countersign_depot_connections');
  const made = await metric('countersign_depot_limited_total{limit="connections"}');
  expect(held, 'connections that are open').toBeGreaterThan(SOCKETS / 3);
  expect(held + made, 'those, and those that made room').toBeGreaterThanOrEqual(SOCKETS);
  const end = badWrites(50);

  const build = await world.release('3.0', { app: 'released in the middle of it', notes: 'and read' });

  const answer = await rawRequest(world.url, { path: '/releases/widget/3.0/app' });
  expect([answer.status, answer.body.toString()]).toEqual([200, 'released in the middle of it']);
  const state = await rawRequest(world.url, { path: `/builds/${build}/` });
  expect(JSON.parse(state.body.toString())).toMatchObject({ state: 'published' });
  const after = await snapshot(world);
  const answers = await end();
  for (const status of answers.keys()) expect(status).toBeOneOf([0, 401, 403, 404, 405, 413, 422, 503]);
  expect([...answers.values()].reduce((sum, some) => sum + some, 0)).toBeGreaterThan(500);

  await expectUntouched(world, after, { answers: [] });
  expect(world.serverPeakKiB).toBeLessThan(PEAK_KIB);
  for (const socket of sockets.splice(0)) socket.destroy();
  await until(
    'connections are as many as before',
    async () => (await metric('countersign_depot_connections')) <= before + 1,
  );
  mustBe(0, await world.runOn('operator', ['log', 'verify', '--json']));
}, 120_000);

test('two thousand that take a byte a second: others are served, and L holds little for them', async () => {
  const idle = await resident();
  await hold(2000, () => 'GET /releases/widget/1.0/large HTTP/1.1\r\nHost: x\r\n\r\n', true);
  const reading = setInterval(() => {
    for (const socket of sockets) socket.read(1);
  }, 1000);
  await answered();
  await until('all are being served', async () => (await metric('countersign_depot_open_files')) > 4000);
  await answered();
  clearInterval(reading);
  expect((await resident()) - idle).toBeLessThan(READERS_BYTES);
}, 60_000);

const resident = (): Promise<number> => metric('countersign_depot_resident_bytes');
