/** The log of a depot over HTTP, as H, mirrors, browsers and strangers meet it; and in a directory that several write. */
import { createServer } from 'node:http';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { requestListener } from '../../src/depot/routes.ts';
import { encodeBundle } from '../../src/tlog/tile.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { GatedDepot } from '../../src/tree/gated.ts';
import { HttpDepot } from '../../src/tree/http.ts';
import { LogReader, depotLog, openLog } from '../../src/tree/log/reader.ts';
import { packTar } from '../../src/tree/tar.ts';
import type { TarEntry } from '../../src/tree/tar.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { now, project as scene, signerToken } from '../policy/scene.ts';
import { rawRequest } from '../harness/raw-http.ts';
import type { HttpAnswer, HttpRequest } from '../harness/raw-http.ts';
import { Log, cosigned, readWhole, trust, whole } from '../tree/log-scene.ts';

const project = { ...scene, log: trust };
const cleanUp: (() => unknown)[] = [];
let directory: string;
let url: string;

const gated = async (): Promise<GatedDepot> =>
  GatedDepot.over({ tree: await DirectoryTree.make(directory), rules: project, now: () => now });

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'depot-log-'));
  cleanUp.push(() => rm(directory, { recursive: true }));
  const tree = await DirectoryTree.make(directory);
  const depot = GatedDepot.over({ tree, rules: project, now: () => now });
  const server = createServer(requestListener({ project, tree, depot, now: () => now, log: () => {} }));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUp.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
});
afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
});

function connect(token: Buffer | null = null): HttpDepot {
  const depot = new HttpDepot({ url, token, insecureHttp: false, timing: { backOffMs: [1] } });
  cleanUp.push(() => depot.close());
  return depot;
}

const ask = (request: HttpRequest): Promise<HttpAnswer> => rawRequest(url, request);
const post = (files: readonly TarEntry[], token?: Buffer): Promise<HttpAnswer> =>
  ask({ method: 'POST', path: '/log', body: packTar(files), ...(token && { token }) });
const json = (answer: HttpAnswer): Record<string, unknown> => JSON.parse(answer.body.toString());
const files = (from: number, to: number, log: Log = whole): TarEntry[] => [
  { name: 'checkpoint', bytes: Buffer.from(log.note(to)) },
  { name: `entries/${from}`, bytes: encodeBundle(log.leaves.slice(from, to)) },
];

describe('over HTTP', () => {
  test('it grows by whoever has what the log key signed, and is read and verified by anybody', async () => {
    const depot = connect();
    for (const [from, to] of [
      [0, 3],
      [3, 300],
      [300, 1000],
    ] as const)
      expect(await depot.pushLog(whole.push(from, to))).toBe('new');
    expect(await depot.pushLog(whole.push(300, 1000))).toBe('same');
    const log = await openLog({ kind: 'url', url });
    cleanUp.push(() => log.close());
    const reader = new LogReader(log, trust);
    const head = await reader.head();
    if (!head) throw new Error('no head');
    let count = 0;
    for await (const { index, leaf } of reader.entries(head, 0)) {
      expect(leaf).toEqual(whole.leaves[index]);
      count += 1;
    }
    expect(count).toBe(1000);
    // the log by itself, as tlog-tiles has it
    const itself = await openLog({ kind: 'url', url: `${url}/log` });
    cleanUp.push(() => itself.close());
    expect(await new LogReader(itself, trust).head()).toEqual(head);
  });

  test('201 for what is new, 200 for what is there, 409 for what does not go on from it', async () => {
    const fork = new Log(20, (index) => Buffer.from(`other ${index}`));
    expect((await post(files(0, 10))).status).toBe(201);
    expect((await post(files(0, 10))).status).toBe(200);
    const refusals = [files(0, 5), files(0, 10, fork), files(10, 20, fork), files(11, 20), files(0, 0)];
    for (const answer of await Promise.all(refusals.map((each) => post(each)))) {
      expect([answer.status, json(answer)['code']]).toEqual([409, 'log-conflict']);
      expect(json(answer)['message']).toMatch(/10.*(5|10|20|0)/);
    }
    await expect(connect().pushLog(fork.push(0))).rejects.toMatchObject({
      kind: 'refused',
      code: 'log-conflict',
    });
    expect((await post(files(10, 20))).status).toBe(201);
  });

  test('anything else than a checkpoint and its entries is no push', async () => {
    const [checkpoint, entries] = files(0, 10);
    if (!checkpoint || !entries) throw new Error('two files');
    for (const bad of [
      [],
      [checkpoint],
      [entries],
      [checkpoint, entries, entries],
      [checkpoint, checkpoint],
      [checkpoint, { ...entries, name: 'entries' }],
      [checkpoint, { ...entries, name: 'entries/' }],
      [checkpoint, { ...entries, name: 'entries/00' }],
      [checkpoint, { ...entries, name: 'entries/-1' }],
      [checkpoint, { ...entries, name: 'entries/0/../1' }],
      [checkpoint, { ...entries, name: 'entries/9007199254740993' }],
      [checkpoint, { ...entries, bytes: Buffer.alloc(0) }],
      [checkpoint, { ...entries, bytes: entries.bytes.subarray(0, -1) }],
    ]) {
      const answer = await post(bad);
      expect([422, 413]).toContain(answer.status);
      expect(json(answer)['code']).toMatch(/^(log-malformed|bundle-malformed|tar-too-large)$/);
    }
    const nonsense = await ask({ method: 'POST', path: '/log', body: 'nonsense' });
    expect([nonsense.status, json(nonsense)['code']]).toEqual([422, 'tar-malformed']);
    expect(await readdir(directory)).not.toContain('log');
    for (const method of ['PUT', 'DELETE'])
      for (const path of ['/log/checkpoint', '/log/tile/0/000', '/log'])
        expect((await ask({ method, path, body: checkpoint.bytes })).status).toBe(405);
  });

  test('strangers send a megabyte at a time, the signer more', async () => {
    const log = new Log(40, (index) => Buffer.alloc(60_000, index));
    const body = files(0, 40, log);
    const answer = await post(body);
    expect([answer.status, json(answer)['code']]).toEqual([413, 'too-large']);
    await expect(connect().pushLog(log.push(0))).rejects.toMatchObject({ code: 'too-large' });
    expect((await post(body, Buffer.alloc(32, 1))).status).toBe(413);
    expect(await connect(signerToken).pushLog(log.push(0))).toBe('new');
    const kept = await readWhole(await DirectoryTree.open(directory));
    expect(Buffer.concat(kept).equals(Buffer.concat(log.leaves))).toBe(true);
  });

  test('and a client does not even collect what no depot takes', async () => {
    let sent = 0;
    const entries = function* (): Generator<Buffer> {
      for (; ; sent++) yield Buffer.alloc(65_535);
    };
    const pushed = connect(signerToken).pushLog({ ...whole.push(0, 10), entries });
    await expect(pushed).rejects.toMatchObject({ kind: 'unable', code: 'log-too-long' });
    expect(sent).toBeLessThan(1100);
  });

  test('tiles are for ever and of bytes; the checkpoint is text, and asked for again each time', async () => {
    await connect().pushLog(whole.push(0, 300));
    const tile = await ask({ path: '/log/tile/0/000' });
    expect(tile.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'cache-control': 'public, max-age=31536000, immutable',
    });
    expect(tile.body).toHaveLength(8192);
    expect((await ask({ path: '/log/tile/entries/001.p/44' })).status).toBe(200);
    const checkpoint = await ask({ path: '/log/checkpoint' });
    expect(checkpoint.headers).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-cache',
    });
    expect(checkpoint.body.toString()).toBe(whole.note(300));
    const head = await ask({ method: 'HEAD', path: '/log/checkpoint' });
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([
      200,
      String(checkpoint.body.length),
      0,
    ]);
  });

  test('only what a log has is shown, whatever lies there', async () => {
    await connect().pushLog(whole.push(0, 300));
    await writeFile(join(directory, 'log', 'secret'), 'no tile');
    await writeFile(join(directory, 'log', 'checkpoint.bak'), 'no tile');
    for (const path of [
      '/log',
      '/log/tile',
      '/log/tile/0/1',
      '/log/tile/0/x1/002',
      '/log/tile/0/x000/000',
      '/log/tile/00/000',
      '/log/tile/0/000.p/0',
      '/log/tile/0/000.p/256',
      '/log/tile/0/000.p/01',
      '/log/tile/0/000.p/',
      '/log/tile/64/000',
      '/log/secret',
      '/log/checkpoint.bak',
      '/log/checkpoint/',
    ])
      expect([path, (await ask({ path })).status]).toEqual([path, 404]);
  });

  test('and what is no path at all is none of the log either', async () => {
    for (const path of ['/log/tile/0/../x', '/log/tile/0/%30', '/log//checkpoint', '/log/tile/0/000?x=1'])
      expect((await ask({ path })).status).toBe(400);
  });

  test('says where it stands: as JSON, and as a page for a browser, with those who cosigned', async () => {
    const empty = json(await ask({ path: '/log/' }));
    expect(empty).toMatchObject({ origin: trust.origin, size: 0, witnesses: [] });
    await connect().pushLog(whole.push(0, 300, cosigned(whole.note(300), 1, 1000)));
    const root = whole.tree.root(300).toString('base64');
    expect(json(await ask({ path: '/log/' }))).toEqual({
      ...{ origin: trust.origin, size: 300, root },
      witnesses: ['example.org/w2'],
    });
    const accept = { accept: 'text/html' };
    const page = (await ask({ path: '/log/', headers: accept })).body.toString();
    for (const text of [trust.origin, '300', 'example.org/w2', '/log/checkpoint'])
      expect(page).toContain(text);
    expect((await ask({ path: '/', headers: accept })).body.toString()).toContain('href="/log/"');
  });

  test('one that is damaged there is not the fault of who asks or sends', async () => {
    await connect().pushLog(whole.push(0, 300));
    await writeFile(join(directory, 'log', 'tile', '0', '001.p', '44'), Buffer.alloc(44 * 32));
    const answer = await post(files(300, 310));
    expect([answer.status, json(answer)['code']]).toEqual([500, 'log-damaged']);
    await expect(connect().pushLog(whole.push(300, 310))).rejects.toMatchObject({ kind: 'unable' });
  });
});

describe('several at once', () => {
  /** Pushes each size, in turn, as far as it is news. */
  async function send(depot: Pick<Depot, 'pushLog'>, sizes: readonly number[]): Promise<string[]> {
    const codes: string[] = [];
    for (const size of sizes)
      await depot.pushLog(whole.push(0, size)).catch((error: { code: string }) => codes.push(error.code));
    return codes;
  }

  test('in one directory and over HTTP: it never goes back, and ends as the longest', async () => {
    const writers = [await gated(), await gated(), connect()];
    const sizes = [0, 1, 2].map((at) => Array.from({ length: 12 }, (_, step) => 3 + step * 30 + at * 7));
    const seen: number[] = [];
    let done = false;
    const watching = (async () => {
      const reader = new LogReader(depotLog(await DirectoryTree.open(directory)), trust);
      while (!done) seen.push((await reader.head())?.checkpoint.size ?? 0);
    })();
    const codes = await Promise.all(writers.map((writer, at) => send(writer, sizes[at] ?? [])));
    done = true;
    await watching;
    // who is late is told so
    expect(new Set(codes.flat())).toEqual(new Set(codes.flat().length > 0 ? ['log-conflict'] : []));
    expect(seen).toEqual(seen.toSorted((one, other) => one - other));
    const longest = Math.max(...sizes.flat());
    expect(await readWhole(await DirectoryTree.open(directory))).toEqual(whole.leaves.slice(0, longest));
  });

  test('cosignatures that come at the same time are all kept', async () => {
    const depot = await gated();
    await depot.pushLog(whole.push(0, 5));
    const note = whole.note(5);
    await Promise.all([
      depot.pushLog(whole.push(5, 5, cosigned(note, 0, 10))),
      (await gated()).pushLog(whole.push(5, 5, cosigned(note, 1, 20))),
    ]);
    const kept = await readFile(join(directory, 'log', 'checkpoint'), 'utf8');
    expect(kept).toBe(cosigned(cosigned(note, 0, 10), 1, 20));
  });
});
