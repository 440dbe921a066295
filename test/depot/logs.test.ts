/** The depot's log: a line for each request, nothing in it that is nobody's business, and no reader that it waits for. */
import { spawn } from 'node:child_process';
import { rename } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROGRAM } from '../harness/program.ts';
import { overSocket, rawRequest } from '../harness/raw-http.ts';
import { until } from '../harness/until.ts';
import { World } from '../harness/world.ts';

type Line = Readonly<Record<string, unknown>>;

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.close());

const lines = (): Line[] => world.serverLog.map((line) => JSON.parse(line) as Line);
/** The line of a request, when it is there. */
async function lineOf(id: unknown): Promise<Line> {
  await until(`the line of ${String(id)}`, () => lines().some((line) => line['request'] === id));
  return lines().find((line) => line['request'] === id) ?? {};
}

describe('each request', () => {
  test('has an id in its answer, and a line with it', async () => {
    const { build } = await world.approve('1.0');
    const { headers } = await rawRequest(world.url, { path: `/builds/${build}/statements/b1.json` });
    expect(headers['x-request-id']).toMatch(/^[0-9a-f]{16}$/);
    const line = await lineOf(headers['x-request-id']);
    expect(line).toMatchObject({
      ...{ level: 'info', msg: 'request', method: 'GET', path: `/builds/${build}/statements/b1.json` },
      ...{ status: 404, code: 'not-found', client: 'local', build, slot: 'b1' },
    });
    expect(line['time']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    for (const name of ['ms', 'in', 'out']) expect(line[name], name).toBeGreaterThan(0);
  });

  test('has one of its own, whatever it says: nobody named this proxy', async () => {
    const asked = { path: '/', headers: { 'X-Request-Id': 'chosen-by-client' } };
    expect((await rawRequest(world.url, asked)).headers['x-request-id']).toMatch(/^[0-9a-f]{16}$/);
  });

  test('has one even if it is no HTTP', async () => {
    const answer = await overSocket(world.url, 'GET / HTTP/1.1\r\nno header\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    const id = /^x-request-id: ([0-9a-f]{16})\r$/im.exec(answer)?.[1];
    expect(await lineOf(id)).toMatchObject({ msg: 'not HTTP', status: 400 });
  });

  test('leaves neither a token nor a query nor a header', async () => {
    const token = Buffer.alloc(32, 7);
    const path = `/builds/?token=${token.toString('hex')}`;
    const { headers } = await rawRequest(world.url, { path, token, headers: { Cookie: 'c=secret-of-mine' } });
    expect(await lineOf(headers['x-request-id'])).toMatchObject({ path: '/builds/', status: 400 });
    for (const secret of [token.toString('hex'), token.toString('base64url'), 'secret-of-mine'])
      expect(world.serverLog.join('\n')).not.toContain(secret);
  });

  test('of whoever watches is not worth a line', async () => {
    for (const path of ['/healthz', '/readyz', '/metrics']) await rawRequest(world.url, { path });
    const { headers } = await rawRequest(world.url, { path: '/' });
    await lineOf(headers['x-request-id']);
    expect(lines().map((line) => line['path'])).not.toContain('/metrics');
  });
});

test('a fault of ours has its id in the answer and beside the stack', async () => {
  await world.stopServer();
  await world.startServer();
  await rename(world.tree(), `${world.tree()}.moved`);
  const { status, headers } = await rawRequest(world.url, { path: '/builds/' });
  await rename(`${world.tree()}.moved`, world.tree());
  expect(status).toBe(500);
  expect(await lineOf(headers['x-request-id'])).toMatchObject({
    level: 'error',
    status: 500,
    code: 'no-depot',
  });
});

test('a proxy that was named gives ids and clients', async () => {
  await world.stopServer();
  await world.startServer(['--proxy', '127.0.0.1']);
  const ask = (id: string) =>
    rawRequest(world.url, { path: '/', headers: { 'X-Request-Id': id, 'X-Forwarded-For': '192.0.2.7' } });
  expect((await ask('from-nginx.0123')).headers['x-request-id']).toBe('from-nginx.0123');
  expect(await lineOf('from-nginx.0123')).toMatchObject({ client: '192.0.2.7' });
  for (const bad of ['short', 'a b c d e f g', 'x'.repeat(65)])
    expect((await ask(bad)).headers['x-request-id']).toMatch(/^[0-9a-f]{16}$/);
});

test('for a person it is text: what is wrong, with -v each request; escapes are harmless', async () => {
  await world.stopServer();
  await world.startServer(['--log', 'text']);
  await rawRequest(world.url, { path: '/builds/' });
  await world.stopServer();
  await world.startServer(['--log', 'text', '-v']);
  await rawRequest(world.url, { path: '/' });
  await overSocket(world.url, 'GET /a\x1b[31m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  await overSocket(world.url, 'GET /\x9b31m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  await until('both lines', () => world.serverLog.length >= 2);
  expect(world.serverLog[0]).toMatch(/^\d\d:\d\d:\d\d GET \/ 200 [\d.]+ ms$/);
  // oxlint-disable-next-line eslint/no-control-regex -- that is what must not be there
  expect(world.serverLog.join('')).not.toMatch(/[\x00-\x1f\x7f-\x9f]/);
});

test('with -q only what is wrong', async () => {
  await world.stopServer();
  await world.startServer(['-q']);
  await rawRequest(world.url, { path: '/builds/' });
  await rawRequest(world.url, { path: '/builds/' });
  expect(world.serverLog).toEqual([]);
});

test('that nobody reads it holds nothing up: 10,000 requests, then the next reader is told, and it ends', async () => {
  await world.stopServer();
  const serve = ['serve', '--data', world.path('L', 'data'), '--listen', '127.0.0.1:0', '--json'];
  const child = spawn(process.execPath, [PROGRAM, ...serve], {
    ...{ cwd: world.path('cwd'), env: world.env('L'), stdio: ['ignore', 'pipe', 'pipe'] },
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const { url } = await new Promise<{ url: string }>((resolve) =>
    createInterface({ input: child.stdout }).once('line', (line) =>
      resolve(JSON.parse(line) as { url: string }),
    ),
  );
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const get = () =>
    new Promise<number>((resolve, reject) => {
      request(`${url}/log/`, { agent }, (response) => {
        response.resume().once('end', () => resolve(response.statusCode ?? 0));
      })
        .once('error', reject)
        .end();
    });
  // some 200 bytes a line: two megabytes, of which a pipe and we hold a fraction
  for (let at = 0; at < 10_000; at += 100)
    expect(new Set(await Promise.all(Array.from({ length: 100 }, get)))).toEqual(new Set([200]));
  const said: Line[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => said.push(JSON.parse(line) as Line));
  await until('the reader is told', async () => {
    await get();
    return said.some((line) => typeof line['lost'] === 'number');
  });
  expect(said.length).toBeLessThan(10_000);
  agent.destroy();
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
});
