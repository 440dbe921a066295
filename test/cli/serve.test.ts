/** `serve`: starts, speaks HTTP or HTTPS, says what is wrong, and ends when it is told to. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rawRequest } from '../harness/raw-http.ts';
import { freePort, World } from '../harness/world.ts';

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.close());

test('it ends with status 0 on SIGTERM, and starts again on the same data', async () => {
  const approved = await world.approve('1.0.0');
  expect(approved.code, approved.stderr).toBe(0);
  expect(await world.stopServer('SIGTERM')).toBe(0);
  await world.startServer();
  const status = await world.runOn('operator', ['status', '--json']);
  expect(status.json).toMatchObject([{ build: approved.build, state: 'approved' }]);
});

test('a connection that says nothing does not keep it from ending', async () => {
  const { port } = new URL(world.url);
  const silent = connect(Number(port), '127.0.0.1');
  await new Promise((resolve) => silent.once('connect', resolve));
  expect(await world.stopServer('SIGTERM')).toBe(0);
  silent.destroy();
  await world.startServer();
});

test('an address that is taken exits 3 and names it', async () => {
  const listen = new URL(world.url).host;
  const ran = await world.runOn('L', [
    'serve',
    '--data',
    world.path('L', 'data'),
    '--listen',
    listen,
    '--json',
  ]);
  expect(ran).toMatchObject({
    code: 3,
    error: { message: expect.stringContaining(listen), hint: expect.stringMatching(/^ss .*--listen/) },
  });
});

test('--depot says nothing to it, and is refused', async () => {
  const ran = await world.runOn('L', ['serve', '--depot', world.path('L', 'data'), '--json']);
  expect(ran).toMatchObject({ code: 2, error: { message: expect.stringContaining('--data DIR') } });
  expect((await world.runOn('L', ['serve', '--help'])).stdout).not.toContain('--depot');
});

test('check of what is no depot is refused, and moves nothing', async () => {
  const elsewhere = world.path('L', 'elsewhere');
  mkdirSync(join(elsewhere, 'log'), { recursive: true });
  writeFileSync(join(elsewhere, 'log', 'syslog'), 'of something else');
  for (const more of [[], ['--repair']]) {
    const ran = await world.runOn('L', ['check', '--data', elsewhere, '--json', ...more]);
    expect(ran).toMatchObject({ code: 2, error: { code: 'not-a-depot' } });
  }
  expect(readdirSync(elsewhere)).toEqual(['log']);
  for (const data of ['', join(elsewhere, 'log', 'syslog')]) {
    const ran = await world.runOn('L', ['serve', '--data', data, '--json']);
    expect(ran).toMatchObject({ code: 2, error: { message: expect.stringContaining('--data') } });
  }
});

test('what answers under its address may be no depot', async () => {
  const below = await world.runOn('operator', ['status', '--json', '--depot', `${world.url}/elsewhere`]);
  expect(below).toMatchObject({ code: 3, error: { hint: expect.stringMatching(/^is this .* a depot\?/) } });
});

test('with a certificate it speaks HTTPS', async () => {
  const [cert, key] = [world.path('L', 'cert.pem'), world.path('L', 'key.pem')];
  const openssl = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
  ];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  execFileSync('openssl', [...openssl, ...names, '-keyout', key, '-out', cert], { stdio: 'pipe' });

  await world.stopServer();
  await world.startServer(['--tls-cert', cert, '--tls-key', key]);
  const url = new URL('/builds/', world.url.replace('http:', 'https:'));
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const sent = request(url, { ca: readFileSync(cert), agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.once('error', reject).end();
  });
  expect(status).toBe(200);
  await expect(rawRequest(world.url, { path: '/builds/' })).rejects.toThrow();
  await world.stopServer();
  await world.startServer();

  const listen = `127.0.0.1:${await freePort()}`;
  const serve = ['serve', '--data', world.path('L', 'data'), '--listen', listen, '--json'];
  const half = await world.runOn('L', [...serve, '--tls-cert', cert]);
  expect(half).toMatchObject({ code: 2, error: { code: 'wrong-usage' } });
  writeFileSync(world.path('L', 'junk.pem'), 'junk');
  const junk = await world.runOn('L', [
    ...serve,
    '--tls-cert',
    cert,
    '--tls-key',
    world.path('L', 'junk.pem'),
  ]);
  expect(junk).toMatchObject({ code: 2, error: { code: 'tls-malformed' } });
});
