/** Long polling: what changes in the depot is told to whoever waits for it. */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Changes } from '../../src/depot/changes.ts';
import type { ChangesOptions } from '../../src/depot/changes.ts';
import { requestListener } from '../../src/depot/routes.ts';
import { newBuildId } from '../../src/records/names.ts';
import type { BuildId } from '../../src/records/names.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { GatedDepot } from '../../src/tree/gated.ts';
import { HttpDepot } from '../../src/tree/http.ts';
import { rawRequest } from '../harness/raw-http.ts';
import type { HttpAnswer, HttpRequest } from '../harness/raw-http.ts';
import { until } from '../harness/until.ts';
import { approvalFiles, build, now, project, signerToken, tokens } from '../policy/scene.ts';
import { makeDepot } from '../tree/depot.ts';
import type { DepotOnDisk } from '../tree/depot.ts';

let here: DepotOnDisk;
let depot: GatedDepot;
let changes: Changes;
let server: Server;
let url: string;
let limited: string[];

async function serve(options: ChangesOptions = {}): Promise<void> {
  here = await makeDepot();
  limited = [];
  changes = new Changes({ ...options, limited: (limit) => limited.push(limit) });
  const tree = await DirectoryTree.make(here.directory);
  depot = GatedDepot.over({ tree, rules: project, now: () => now, heard: changes.heard });
  server = createServer(requestListener({ project, tree, depot, now: () => now, log: () => {}, changes }));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
}

/** What nobody ends in a test ends with it. */
beforeEach(() => serve({ waitMs: 60_000 }));
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await here.remove();
});
async function serveAnew(options: ChangesOptions): Promise<void> {
  server.close();
  await here.remove();
  await serve(options);
}

interface Told {
  readonly cursor: string;
  readonly builds: readonly BuildId[] | null;
}
const parse = ({ body }: HttpAnswer): Told => JSON.parse(body.toString()) as Told;
const ask = (request: Partial<HttpRequest> = {}): Promise<HttpAnswer> =>
  rawRequest(url, { path: '/changes/', ...request });
const after = (cursor: string): string => `/changes/?after=${cursor}`;
const stand = async (): Promise<string> => parse(await ask()).cursor;
/** So many wait. */
const waits = (count: number): Promise<void> => until(`${count} wait`, () => changes.waiting === count);
const touch = (...builds: readonly BuildId[]): void => {
  for (const each of builds) changes.heard({ kind: 'changed', build: each });
};
const some = (count: number): BuildId[] =>
  Array.from({ length: count }, () => newBuildId(now, randomBytes(10)));

describe('whoever waits', () => {
  test('is told of a build as soon as it has a new record, and where to go on', async () => {
    const first = await ask();
    expect(parse(first).builds).toEqual([]);
    expect(first).toMatchObject({
      status: 200,
      headers: {
        'content-type': 'application/json',
        'cache-control': 'no-store',
        'content-length': String(first.body.length),
      },
    });
    const { cursor } = parse(first);
    const waiting = [ask({ path: after(cursor) }), ask({ path: after(cursor), token: signerToken })];
    await waits(2);
    await depot.submit(build, approvalFiles());
    const [one, other] = (await Promise.all(waiting)).map(parse);
    expect(one).toEqual({ cursor: expect.not.stringMatching(cursor), builds: [build] });
    expect(other).toEqual(one);
    expect(changes.waiting).toBe(0);

    const next = ask({ path: after(one?.cursor ?? '') });
    await waits(1);
    await depot.submit(build, approvalFiles());
    touch(...some(1));
    expect(parse(await next).builds, 'the same again is nothing new').not.toContain(build);
  });

  test('who comes late is told of each build once, at once', async () => {
    const cursor = await stand();
    const [one, two] = some(2);
    if (!one || !two) throw new Error('two builds');
    touch(one, two, one, one);
    expect(parse(await ask({ path: after(cursor) })).builds).toEqual([two, one]);
  });

  test('for nothing hears so after a while, and stands where it stood', async () => {
    await serveAnew({ waitMs: 50 });
    const cursor = await stand();
    expect(parse(await ask({ path: after(cursor) }))).toEqual({ cursor, builds: [] });
    expect(changes.waiting).toBe(0);
  });

  test('and goes is forgotten at once', async () => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.write(`GET ${after(await stand())} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await waits(1);
    socket.destroy();
    await waits(0);
  });

  test('is answered when the depot ends, and nobody waits then', async () => {
    const cursor = await stand();
    const waiting = ask({ path: after(cursor) });
    await waits(1);
    changes.close();
    expect(parse(await waiting)).toEqual({ cursor, builds: [] });
    expect(parse(await ask({ path: after(cursor) }))).toEqual({ cursor, builds: [] });
  });

  test('HEAD does not wait', async () => {
    const { status, body } = await ask({ method: 'HEAD', path: after(await stand()) });
    expect([status, body.length]).toEqual([200, 0]);
  });
});

describe('a cursor', () => {
  test.each([
    ['of another process', (cursor: string) => cursor.replace(/^./, (digit) => (digit === '0' ? '1' : '0'))],
    ['of nobody', () => 'latest'],
    ['that is empty', () => ''],
    ['ahead of us', (cursor: string) => cursor.replace(/\d+$/, '7')],
    ['written otherwise', (cursor: string) => cursor.replace(/\.0$/, '.00')],
    ['without a count', (cursor: string) => cursor.replace(/\.0$/, '')],
  ])('%s: all is to be looked at', async (_, change) => {
    const cursor = change(await stand());
    expect(parse(await ask({ path: after(cursor) })).builds).toBe(null);
  });

  test('behind a thousand builds is told of each; behind more, that all is to be looked at', async () => {
    const cursor = await stand();
    const builds = some(1001);
    touch(...builds.slice(0, 1000));
    expect(parse(await ask({ path: after(cursor) })).builds).toEqual(builds.slice(0, 1000));
    touch(...builds.slice(1000));
    const late = parse(await ask({ path: after(cursor) }));
    expect(late.builds).toBe(null);
    touch(...builds.slice(0, 1));
    expect(parse(await ask({ path: after(late.cursor) })).builds).toEqual(builds.slice(0, 1));
  });

  test.each(['%30', 'a'.repeat(65), 'a_b', 'a&revoked=1', 'a?after=b'])('%s is none', async (cursor) => {
    expect((await ask({ path: after(cursor) })).status).toBe(400);
  });

  test('is of /changes/ alone', async () => {
    expect((await ask({ path: `/builds/?after=${await stand()}` })).status).toBe(400);
    expect((await ask({ path: '/changes/', method: 'POST', body: '' })).status).toBe(405);
  });
});

test('strangers keep each other out, and not the signer', async () => {
  await serveAnew({ waitMs: 60_000, strangersMax: 2 });
  const path = after(await stand());
  const waiting = [ask({ path }), ask({ path, token: tokens.b1 })];
  await waits(2);
  const late = await ask({ path });
  expect(late).toMatchObject({ status: 503, headers: { 'retry-after': expect.stringMatching(/^\d+$/) } });
  expect(JSON.parse(late.body.toString())).toMatchObject({ code: 'busy' });
  expect(limited).toEqual(['changes']);
  waiting.push(ask({ path, token: signerToken }));
  await waits(3);
  expect((await ask()).status, 'who does not wait').toBe(200);
  touch(build);
  expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200, 200]);
});

describe('a client', () => {
  const never = new AbortController().signal;
  const client = (address = url): HttpDepot =>
    new HttpDepot({ url: address, token: signerToken, insecureHttp: false });

  test('asks where the depot stands, and is told', async () => {
    const first = await client().changes(null, never);
    expect(first?.builds).toEqual([]);
    const next = client().changes(first?.cursor ?? '', never);
    await waits(1);
    touch(build);
    expect(await next).toMatchObject({ builds: [build] });
    expect(await client().changes('old.0', never)).toMatchObject({ builds: null });
  });

  test('ends when it is told to, and leaves nothing behind', async () => {
    const stop = new AbortController();
    const waiting = client().changes(await stand(), stop.signal);
    await waits(1);
    stop.abort();
    await expect(waiting).rejects.toThrow();
    await waits(0);
    await expect(client().changes(null, stop.signal)).rejects.toThrow();
  });

  test.each([
    ['404: a depot that tells nothing', 404, '', null],
    ['no JSON', 200, '<html>', 'record-malformed'],
    ['a field more', 200, '{"cursor":"a","builds":[],"more":1}', 'record-malformed'],
    ['no cursor', 200, '{"builds":[]}', 'record-malformed'],
    ['a cursor that is no cursor', 200, '{"cursor":"../","builds":[]}', 'record-malformed'],
    ['a cursor that is long', 200, `{"cursor":"${'a'.repeat(65)}","builds":[]}`, 'record-malformed'],
    ['no builds', 200, '{"cursor":"a","builds":["x"]}', 'name-malformed'],
    ['too many', 200, JSON.stringify({ cursor: 'a', builds: Array(1001).fill(build) }), 'record-malformed'],
    ['much too much', 200, ' '.repeat(200_000), 'too-large'],
    ['503', 503, '', 'http-503'],
    ['a redirect', 302, '', 'bad-answer'],
  ])('takes nothing else: %s', async (_, status, body, code) => {
    let asked = 0;
    const other = createServer((_request, response) => {
      asked += 1;
      response.writeHead(status, { 'content-length': body.length }).end(body);
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const address = other.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const answer = client(`http://127.0.0.1:${port}`).changes('a', never);
    if (code === null) expect(await answer).toBe(null);
    else await expect(answer).rejects.toMatchObject({ code });
    expect(asked, 'once').toBe(1);
    other.close();
  });
});
