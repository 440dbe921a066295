/** What one client may take of L, and what L may take of its host: our own programs wait for their turn and go on. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { rawRequest } from '../harness/raw-http.ts';
import { until } from '../harness/until.ts';
import { World, mustBe } from '../harness/world.ts';

let world: World;
const sockets: Socket[] = [];
beforeAll(async () => {
  world = await World.make();
  for (const version of ['1.0', '1.1', '1.2'])
    await world.release(version, { app: `of ${version}`, notes: 'and more' });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await world.stopServer();
});
afterAll(() => world.close());

const answered = async (): Promise<boolean> =>
  rawRequest(world.url, { path: '/releases/widget/1.0/app' }).then(
    ({ body }) => body.toString() === 'of 1.0',
    () => false,
  );

async function hold(count: number): Promise<void> {
  const { hostname, port } = new URL(world.url);
  for (let at = 0; at < count; at++) {
    const socket = connect(Number(port), hostname).on('error', () => {});
    sockets.push(socket.resume());
    await once(socket, 'connect');
  }
}

test('over its rate a copy of all builds waits for its turn, and comes to its end', async () => {
  await world.stopServer();
  // whoever comes from here is the client of a proxy then
  await world.startServer(['--proxy', '127.0.0.1', '--client-rate', '2']);
  const copy = await world.runOn('operator', ['sync', world.url, world.path('operator', 'copy')]);
  mustBe(0, copy);
  const { body } = await rawRequest(world.url, {
    path: '/releases/widget/1.2/app',
    headers: { 'X-Forwarded-For': '192.0.2.1' },
  });
  expect(body.toString(), 'another client').toBe('of 1.2');
  const turnedAway = world.serverLog.filter((line) => line.includes('429'));
  expect(turnedAway.length, world.serverLog.join('\n')).toBeGreaterThan(0);
  const log = ['log', 'verify', '--depot', world.path('operator', 'copy')];
  mustBe(0, await world.runOn('operator', log));
});

test.each([
  ['--proxy', 'localhost', /--proxy: 'localhost' is neither an address nor a network/],
  ['--client-rate', '0', /--client-rate: '0' is not a whole number from 1/],
  ['--client-connections', '1e3', /--client-connections: '1e3' is not a whole number from 1/],
])('%s %s', async (flag, value, message) => {
  const ran = await world.runOn('L', ['serve', '--data', world.path('L', 'data'), flag, value]);
  expect([ran.code, ran.stderr]).toEqual([2, expect.stringMatching(message)]);
});

test('a host that lets it open few files: others make room, and where there is none left it goes on', async () => {
  await world.stopServer();
  const [pidFile, stop] = [world.path('cwd', 'pid'), new AbortController()];
  const under = ['sh', '-c', 'ulimit -n 328 && echo $$ > pid && exec "$@"', 'sh'];
  const serve = ['serve', '--data', world.path('L', 'data'), '--listen', new URL(world.url).host];
  const serving = world.runOn('L', serve, { under, kill: stop.signal });
  await until('it serves', answered);
  // more than it may open at all
  await hold(400);
  expect(await answered()).toBe(true);

  // nobody can count on that: less than it has open already
  const pid = (await readFile(pidFile, 'utf8')).trim();
  execFileSync('prlimit', [`--pid=${pid}`, '--nofile=60:60']);
  await hold(200);
  for (const socket of sockets.splice(0)) socket.destroy();
  await until('it serves again', answered);
  stop.abort('SIGINT');
  expect(await serving).toMatchObject({ code: 0 });
});
