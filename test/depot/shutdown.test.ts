/** How the depot ends, and what a signal tells it: nothing acknowledged is lost, nobody waits for nothing. */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { parseTicket } from '../../src/records/ticket.ts';
import { PROGRAM } from '../harness/program.ts';
import { rawRequest } from '../harness/raw-http.ts';
import { until } from '../harness/until.ts';
import { World, freePort, mustBe } from '../harness/world.ts';

const MIB = 1024 * 1024;
const bytes = randomBytes(4 * MIB);
const sha256 = createHash('sha256').update(bytes).digest('hex');

let world: World;
let versions = 0;
const running = new Set<ChildProcess>();
beforeAll(async () => {
  world = await World.make();
  await world.stopServer();
});
afterAll(() => world.close());
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
});

interface Depot {
  readonly child: ChildProcess;
  readonly url: string;
  readonly metrics: string;
  readonly log: string[];
  readonly ended: Promise<number | null>;
}

/** A depot of its own process; `sockets` are inherited from descriptor 3 on. */
async function serve(
  args: readonly string[] = [],
  sockets: Readonly<Record<string, Server>> = {},
): Promise<Depot> {
  const metrics = `127.0.0.1:${await freePort()}`;
  const names = Object.keys(sockets);
  const own = [
    ...(names.includes('metrics') ? [] : ['--metrics', metrics]),
    ...(names.length > 0 ? [] : ['--listen', '127.0.0.1:0']),
  ];
  const command = [PROGRAM, 'serve', '--data', world.path('L', 'data'), '--json', ...own, ...args];
  // a program knows its sockets by its own id, which the one that becomes it has
  const shell =
    names.length > 0 ? `LISTEN_PID=$$ LISTEN_FDS=${names.length} LISTEN_FDNAMES=${names.join(':')} ` : '';
  const child = spawn('sh', ['-c', `${shell}exec "$@"`, 'sh', process.execPath, ...command], {
    ...{ cwd: world.path('cwd'), env: world.env('L') },
    stdio: ['ignore', 'pipe', 'pipe', ...Object.values(sockets).map(descriptorOf)],
  });
  running.add(child);
  const log: string[] = [];
  if (child.stderr) createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const lines = child.stdout ? createInterface({ input: child.stdout }) : null;
  const [first] = lines ? ((await once(lines, 'line')) as [string]) : ['{}'];
  const said = JSON.parse(first) as { url?: string; code?: string; message?: string };
  if (said.url === undefined) throw new Error(`${said.code}: ${said.message}`);
  return { child, url: said.url, metrics: `http://${metrics}`, log, ended };
}

/** Node tells nobody which one it is. */
const descriptorOf = (server: Server): number =>
  // oxlint-disable-next-line eslint/no-underscore-dangle -- there is no other way to it
  (server as unknown as { readonly _handle: { readonly fd: number } })._handle.fd;

const listening = async (): Promise<Server> => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
};

const underWay = async ({ metrics }: Depot, route: string): Promise<boolean> =>
  (await rawRequest(metrics, { path: '/metrics' })).body
    .toString()
    .split('\n')
    .some(
      (line) =>
        line.startsWith('countersign_depot_requests_under_way{') && line.includes(`route="${route}"} 1`),
    );

/** A connection on which half of an artifact was sent, and its path; of a build that was approved for it. */
async function halfSent(depot: Depot): Promise<{ socket: Socket; path: string }> {
  const { child, url } = depot;
  const approved = await world.approve(`1.${++versions}`, ['--depot', url]);
  mustBe(0, approved);
  expect(child.exitCode).toBeNull();
  const { uploadToken } = parseTicket(await readFile(approved.ticket, 'utf8'));
  const { hostname, port } = new URL(url);
  const path = `/builds/${approved.build}/blobs/${sha256}`;
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {}); // it may be cut
  const head = [`PUT ${path} HTTP/1.1`, 'Host: x', `Content-Length: ${bytes.length}`, 'Upload-Complete: ?1'];
  socket.write(`${[...head, `Authorization: Bearer ${uploadToken}`].join('\r\n')}\r\n\r\n`);
  socket.write(bytes.subarray(0, bytes.length / 2));
  await until('half of it is there', async () =>
    (await readdir(world.path('L', 'data', '.tmp')).catch(() => [])).some((name) => name.includes(sha256)),
  );
  return { socket, path };
}

const isClosed = (url: string): Promise<boolean> =>
  rawRequest(url, { path: '/healthz' }).then(
    () => false,
    () => true,
  );

async function answerOn(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  if (!socket.closed) await once(socket, 'close');
  return Buffer.concat(chunks).toString('latin1');
}

test('an upload that is under way is finished, acknowledged and kept; nobody new is let in', async () => {
  const depot = await serve();
  const { socket, path } = await halfSent(depot);
  depot.child.kill('SIGTERM');
  await until('no new connection', () => isClosed(depot.url));
  const { status, body } = await rawRequest(depot.metrics, { path: '/readyz' });
  expect([status, JSON.parse(body.toString())]).toMatchObject([503, { reasons: [{ code: 'stopping' }] }]);
  const answer = answerOn(socket);
  socket.write(bytes.subarray(bytes.length / 2));
  expect(await answer).toMatch(/^HTTP\/1\.1 201 [^]*\r\nconnection: close\r\n/i);
  expect(await depot.ended).toBe(0);
  expect(depot.log.at(-1)).toContain('"msg":"stopped"');
  expect((await readFile(world.path('L', 'data', path))).equals(bytes)).toBe(true);
});

test('a verification that is under way is finished, and the release is there', async () => {
  const approved = await world.startServer().then(() => world.approve(`1.${++versions}`));
  mustBe(0, await world.attest(approved.ticket, { 'large.bin': Buffer.alloc(48 * MIB, 1) }));
  mustBe(0, await world.sign(['--no-wait']));
  await world.stopServer();
  const depot = await serve();
  const path = `/builds/${approved.build}/publish`;
  let answered = false;
  const published = rawRequest(depot.url, { method: 'POST', path, body: '' }).finally(
    () => (answered = true),
  );
  await until('it is under way', async () => answered || underWay(depot, '/builds/:build/publish'));
  depot.child.kill('SIGTERM');
  expect((await published).status).toBe(200);
  expect(await depot.ended).toBe(0);
  const release = world.path('L', 'data', 'releases', world.project, `1.${versions}`);
  expect(await readdir(release)).toContain('large.bin');
});

test('who waits for changes is answered, and who is idle is not waited for', async () => {
  const depot = await serve();
  const first = await rawRequest(depot.url, { path: '/changes/' });
  const { cursor } = JSON.parse(first.body.toString()) as { cursor: string };
  const { hostname, port } = new URL(depot.url);
  const idle = connect(Number(port), hostname);
  idle.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(idle, 'data');
  const waiting = rawRequest(depot.url, { path: `/changes/?after=${cursor}` });
  await until('somebody waits', () => underWay(depot, '/changes/'));
  const began = performance.now();
  depot.child.kill('SIGTERM');
  expect((await waiting).status).toBe(200);
  expect(await depot.ended).toBe(0);
  // requests under way would have got half a minute
  expect(performance.now() - began).toBeLessThan(15_000);
});

test('an upload that does not move is cut off after half a minute, and what came is kept', async () => {
  const depot = await serve();
  const { socket, path } = await halfSent(depot);
  const cut = answerOn(socket);
  depot.child.kill('SIGTERM');
  expect(await depot.ended).toBe(0);
  expect(await cut).toBe('');
  expect((await readdir(world.path('L', 'data', '.tmp'))).some((name) => name.includes(sha256))).toBe(true);
  expect(path).toContain(sha256);
});

test('a second signal ends it at once', async () => {
  const depot = await serve();
  const { socket } = await halfSent(depot);
  depot.child.kill('SIGTERM');
  await until('no new connection', () => isClosed(depot.url));
  depot.child.kill('SIGTERM');
  expect(await depot.ended).toBeNull();
  socket.destroy();
});

test('sockets that it was started with are taken by their names, and not with --listen', async () => {
  const [socket, metrics] = [await listening(), await listening()];
  const [{ port }, { port: scraped }] = [socket.address() as AddressInfo, metrics.address() as AddressInfo];
  await expect(serve(['--listen', '127.0.0.1:0'], { depot: socket })).rejects.toThrow('wrong-usage');
  await expect(serve([], { depot: socket, other: metrics })).rejects.toThrow('wrong-usage');
  const depot = await serve([], { metrics, depot: socket });
  // from now on it is the depot alone that has them
  socket.close();
  metrics.close();
  expect(depot.url).toBe(`http://127.0.0.1:${port}`);
  expect((await rawRequest(depot.url, { path: '/builds/' })).status).toBe(200);
  const scrape = await rawRequest(`http://127.0.0.1:${scraped}`, { path: '/metrics' });
  expect(scrape.body.toString()).toContain('countersign_depot_connections');
  depot.child.kill('SIGTERM');
  expect(await depot.ended).toBe(0);
});

test('SIGHUP: a renewed certificate is shown, a broken one is reported and the old one stays', async () => {
  const [cert, key] = [world.path('L', 'cert.pem'), world.path('L', 'key.pem')];
  const make = (name: string): void => {
    const request = ['req', '-x509', '-newkey', 'ed25519', '-nodes', '-days', '2', '-subj', `/CN=${name}`];
    execFileSync('openssl', [...request, '-keyout', key, '-out', cert], { stdio: 'pipe' });
  };
  make('first');
  const depot = await serve(['--tls-cert', cert, '--tls-key', key]);
  const shown = async (): Promise<string | undefined> => {
    const socket = connectTls({
      port: Number(new URL(depot.url).port),
      host: '127.0.0.1',
      rejectUnauthorized: false,
    });
    await once(socket, 'secureConnect');
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return String(CN);
  };
  expect(await shown()).toBe('first');
  make('second');
  depot.child.kill('SIGHUP');
  await until('it is renewed', async () => (await shown()) === 'second');
  await writeFile(cert, 'nothing of the kind');
  depot.child.kill('SIGHUP');
  await until('it is reported', () => depot.log.some((line) => line.includes('"code":"tls-malformed"')));
  expect(await shown()).toBe('second');
});
