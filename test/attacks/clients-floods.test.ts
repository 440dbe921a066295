/**
 * Clients against L, by the thousand: connections that say nothing, bodies that never end, downloads that nobody reads.
 * Meanwhile L serves everybody else, and its memory stays within the limit.
 */
import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { sha256Hex } from '../../src/records/sha256.ts';
import { packTar } from '../../src/tree/tar.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import type { Snapshot } from '../harness/invariants.ts';
import { rawRequest } from '../harness/raw-http.ts';
import { World } from '../harness/world.ts';
import { putBlob, steal } from './forge.ts';
import type { Held } from './forge.ts';
import { shelf } from './round.ts';

const large = '/releases/widget/1.0/large';

let world: World;
let open: Held;
let before: Snapshot;
let kept: string[];
const sockets: Socket[] = [];

beforeAll(async () => {
  world = await World.make();
  await world.release('1.0', {
    app: 'the release that must stay as it is',
    large: Buffer.alloc(16 * 1024 * 1024, 7),
  });
  open = await steal(world, await world.approve('2.0'));
});
beforeEach(async () => {
  // the most memory that it ever had is what is looked at: each flood begins anew
  await world.stopServer('SIGKILL');
  await world.startServer();
  [before, kept] = [await snapshot(world), await shelf(world)];
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});
afterAll(() => world.close());

/** So many connections that send this and then say no more; `deaf` ones read nothing either. */
async function flood(count: number, bytes: string | Buffer, deaf = false): Promise<void> {
  const { hostname, port } = new URL(world.url);
  const connected: Promise<void>[] = [];
  for (let at = 0; at < count; at++) {
    const socket = connect(Number(port), hostname);
    sockets.push(socket);
    connected.push(
      new Promise((resolve) => {
        socket.once('close', resolve).on('error', () => {});
        socket.once('connect', () => socket.write(bytes, () => resolve()));
      }),
    );
    if (!deaf) socket.resume();
    // the queue of those that are not accepted yet is short
    if (at % 200 === 199) await Promise.race([Promise.all(connected), answered()]);
  }
  if (!deaf) await Promise.all(connected);
}

const answered = async (): Promise<void> => {
  const answer = await rawRequest(world.url, { path: '/releases/widget/1.0/app' });
  expect([answer.status, answer.body.toString()]).toEqual([200, 'the release that must stay as it is']);
};

/** Others are served, read and write alike; then it is as if nothing had been. */
async function expectServing(): Promise<void> {
  await answered();
  const content = `sent during ${expect.getState().currentTestName}`;
  expect((await putBlob(world, open, content)).status).toBe(201);
  await expectUntouched(world, before, { answers: [] });
  for (const socket of sockets.splice(0)) socket.destroy();
  const file = `builds/${open.build}/blobs/${sha256Hex(content)}`;
  const left = (await shelf(world)).filter((name) => !kept.includes(name) && !file.startsWith(name));
  expect(left.filter((name) => !name.startsWith('.tmp/'))).toEqual([]);
  // what was half-way goes with its connection
  await vi.waitFor(async () =>
    expect(await readdir(world.tree('.tmp'))).not.toContainEqual(expect.stringMatching(/\.tmp$/)),
  );
  await answered();
}

describe('two thousand connections', () => {
  test.each([
    ['that say nothing', ''],
    ['that never end their headers', `GET / HTTP/1.1\r\nHost: x\r\n${'X: y\r\n'.repeat(1000)}X: `],
    ['that asked once and stay', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
  ])('%s', async (_, bytes) => {
    await flood(2000, bytes);
    await expectServing();
  });
});

describe('bodies that never end', () => {
  test('six hundred of strangers, a megabyte each but for its last byte: most are told to come again', async () => {
    const tar = packTar([{ name: 'approval.json', bytes: Buffer.alloc(1000 * 1024, 65) }]);
    const head = `POST /builds/${open.build} HTTP/1.1\r\nHost: x\r\nContent-Length: ${tar.length}\r\n\r\n`;
    await flood(600, Buffer.concat([Buffer.from(head), tar.subarray(0, -1)]));
    const path = `/builds/${open.build}`;
    const turnedAway = await rawRequest(world.url, { method: 'POST', path, body: tar });
    expect([turnedAway.status, JSON.parse(turnedAway.body.toString())]).toMatchObject([
      503,
      { code: 'busy' },
    ]);
    await expectServing();
    // and when they have gone there is room again
    await vi.waitFor(async () =>
      expect((await rawRequest(world.url, { method: 'POST', path, body: tar })).status).toBe(413),
    );
  });

  test('that fit when they begin and no more when they go on: in the middle they are told', async () => {
    const tar = packTar([{ name: 'approval.json', bytes: Buffer.alloc(1000 * 1024, 65) }]);
    const head = `POST /builds/${open.build} HTTP/1.1\r\nHost: x\r\nContent-Length: ${tar.length}\r\n\r\n`;
    const half = tar.length / 2;
    await flood(80, Buffer.concat([Buffer.from(head), tar.subarray(0, half)]));
    const told = sockets.map(
      (socket) => new Promise<string>((resolve) => socket.once('data', (data) => resolve(data.toString()))),
    );
    for (const socket of sockets) socket.write(tar.subarray(half, -1));
    expect(await Promise.race(told)).toMatch(/^HTTP\/1\.1 503 [^]*"busy"/);
    await expectServing();
  });

  test('two hundred that say a megabyte and send none of it keep nobody out', async () => {
    const path = `/builds/${open.build}`;
    const tar = packTar([{ name: 'approval.json', bytes: Buffer.from('no approval') }]);
    await flood(200, `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n`);
    await answered();
    expect((await rawRequest(world.url, { method: 'POST', path, body: tar })).status).not.toBe(503);
    await expectServing();
  });

  test('three hundred blobs of whoever has a ticket', async () => {
    const bytes = Buffer.alloc(100_000, 1);
    const head = `PUT /builds/${open.build}/blobs/${sha256Hex('x')} HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n`;
    await flood(
      300,
      Buffer.concat([
        Buffer.from(`${head}Authorization: Bearer ${open.token.toString('base64url')}\r\n\r\n`),
        bytes,
      ]),
    );
    await expectServing();
  });

  test('a hundred megabytes each, said by strangers, are not waited for', async () => {
    await flood(300, `POST /builds/${open.build} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n`);
    await expectServing();
  });
});

describe('answers that nobody reads', () => {
  const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;

  test.each([
    ['three hundred downloads, whole and in part', 300, get(large, 'Range: bytes=1-\r\n') + get(large)],
    ['a hundred times ten behind one another', 100, get(large).repeat(10)],
    ['twenty times ten thousand behind one another', 20, get('/releases/widget/1.0/app').repeat(10_000)],
    ['ten thousand ranges in one request', 20, get(large, `Range: bytes=${'0-0,'.repeat(3000)}1-1\r\n`)],
    ['pages, a hundred times ten', 100, get('/builds/', 'Accept: text/html\r\n').repeat(10)],
  ])('%s', async (_, count, bytes) => {
    await flood(count, bytes, true);
    await expectServing();
  });

  test('five hundred ranges of one byte, answered', async () => {
    const asked = Array.from({ length: 500 }, (_, at) =>
      rawRequest(world.url, { path: large, headers: { Range: `bytes=${at * 1000}-${at * 1000}` } }),
    );
    for (const answer of await Promise.all(asked))
      expect([answer.status, answer.body.length]).toEqual([206, 1]);
    await expectServing();
  });
});
