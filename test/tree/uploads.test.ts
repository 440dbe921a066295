/** Large blobs on a link that breaks: what has arrived is not sent again, belongs to its sender, and does not stay for ever. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { link, readFile, readdir, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { readSubject } from '../../src/builder/hash.ts';
import { requestListener } from '../../src/depot/routes.ts';
import { toArtifactName } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { HttpDepot } from '../../src/tree/http.ts';
import { CuttingProxy } from '../harness/cutting-proxy.ts';
import { rawRequest } from '../harness/raw-http.ts';
import type { HttpAnswer } from '../harness/raw-http.ts';
import { until } from '../harness/until.ts';
import {
  approval,
  approvalFiles,
  build,
  builderEntry,
  minutes,
  now,
  project,
  tokens,
} from '../policy/scene.ts';
import { keep, makeDepot } from './depot.ts';
import type { DepotOnDisk } from './depot.ts';

const MIB = 1024 * 1024;
const bytes = randomBytes(6 * MIB);
const sha256 = sha256Hex(bytes);
const path = `/builds/${build}/blobs/${sha256}`;

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
});

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUp.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
}

function connect(url: string, token = tokens.b1, backOffMs = [1, 1, 1]): HttpDepot {
  const depot = new HttpDepot({ url, token, insecureHttp: false, timing: { backOffMs } });
  cleanUp.push(() => depot.close());
  return depot;
}

const chunked = (all: Buffer): Readable =>
  Readable.from(
    (function* () {
      for (let at = 0; at < all.length; at += 100_000) yield all.subarray(at, at + 100_000);
    })(),
    { objectMode: false },
  );
const send = (depot: HttpDepot, all = bytes): Promise<string> =>
  depot.putBlob(build, sha256Hex(all), all.length, () => chunked(all));

describe('with the real server', () => {
  const time = { now };
  let here: DepotOnDisk;
  let url: string;
  let proxy: CuttingProxy;
  const serve = async (): Promise<string> =>
    listen(
      requestListener({ project, tree: here.tree, depot: here.depot, now: () => time.now, log: () => {} }),
    );
  beforeEach(async () => {
    time.now = now;
    here = await makeDepot({}, time);
    cleanUp.push(() => here.remove());
    const artifacts = { patterns: ['**'], maxCount: 2, maxBytes: 8 * MIB, maxTotalBytes: 6.25 * MIB };
    const builders = { b1: builderEntry('b1'), b2: builderEntry('b2') };
    await here.depot.submit(build, approvalFiles({ ...approval, artifacts, builders }));
    url = await serve();
    proxy = await CuttingProxy.start(url);
    cleanUp.push(() => proxy.close());
  });

  const pieces = async (): Promise<string[]> =>
    (await readdir(join(here.directory, '.tmp'))).filter((name) => name !== 'pieces');
  const piecePath = async (): Promise<string> => join(here.directory, '.tmp', (await pieces())[0] ?? 'none');
  const stored = (): Promise<Buffer> => readFile(join(here.directory, path));
  const ask = (token: Buffer): Promise<HttpAnswer> => rawRequest(url, { method: 'HEAD', path, token });
  const offsetFor = async (token: Buffer): Promise<unknown> => (await ask(token)).headers['upload-offset'];
  const put = (offset: number | null, body: Buffer, token = tokens.b1): Promise<HttpAnswer> =>
    rawRequest(url, {
      ...{ method: 'PUT', path, body, token },
      headers: offset === null ? {} : { 'Upload-Complete': '?1', 'Upload-Offset': String(offset) },
    });
  /** Leaves a piece, as a builder does that is killed. */
  const cutAt = async (size: number): Promise<void> => {
    proxy.budgets = [size];
    await expect(send(connect(proxy.url, tokens.b1, []))).rejects.toMatchObject({ code: 'network' });
    await until('the piece', async () => (await offsetFor(tokens.b1)) !== '0');
  };

  test('cut three times, it arrives with each byte sent once', async () => {
    proxy.budgets = [2 * MIB, 2 * MIB, 1.5 * MIB];
    expect(await send(connect(proxy.url, tokens.b1, [1]))).toBe('new');
    expect((await stored()).equals(bytes)).toBe(true);
    expect(await pieces()).toEqual([]);
    const [first, ...later] = proxy.offsets;
    expect([first, later.length]).toEqual([0, 3]);
    // all but what was still on its way when the link broke
    for (const [at, offset] of later.entries())
      expect(offset).toBeGreaterThan((proxy.offsets[at] ?? 0) + MIB / 2);
  });

  test('cut, and begun again by another run', async () => {
    await cutAt(4 * MIB);
    expect(await send(connect(proxy.url))).toBe('new');
    expect((await stored()).equals(bytes)).toBe(true);
    expect(proxy.offsets.at(-1)).toBeGreaterThan(3 * MIB);
  });

  test('while another process keeps what was cut, uploads go without', async () => {
    await cutAt(4 * MIB);
    const tree = await DirectoryTree.open(here.directory);
    const { depot, sweep } = keep({ tree, rules: project, now: () => time.now });
    const other = await listen(requestListener({ project, tree, depot, now: () => time.now, log: () => {} }));
    expect((await rawRequest(other, { method: 'HEAD', path, token: tokens.b1 })).headers).not.toHaveProperty(
      'upload-offset',
    );
    expect(await send(connect(other))).toBe('new');
    expect((await stored()).equals(bytes)).toBe(true);
    const yesterday = new Date(now.getTime() - 25 * 3600_000);
    await utimes(await piecePath(), yesterday, yesterday);
    await sweep.run();
    expect(await pieces(), 'it may just be sent').toHaveLength(1);
  });

  test('a token of another slot neither sees nor continues it', async () => {
    await cutAt(4 * MIB);
    const mine = Number(await offsetFor(tokens.b1));
    expect(await offsetFor(tokens.b2)).toBe('0');
    const answer = await put(mine, bytes.subarray(mine), tokens.b2);
    expect([answer.status, JSON.parse(answer.body.toString())]).toMatchObject([
      409,
      { code: 'upload-offset' },
    ]);
    expect((await ask(Buffer.alloc(32))).headers).not.toHaveProperty('upload-offset');
    expect(await offsetFor(tokens.b1)).toBe(String(mine));
    expect((await put(mine, bytes.subarray(mine))).status).toBe(201);
    expect((await stored()).equals(bytes)).toBe(true);
  });

  test.each([
    ['before where it ends', -1],
    ['behind where it ends', 1],
  ])('an upload that goes on %s is turned away, and spoils nothing', async (_where, by) => {
    await cutAt(2 * MIB);
    const offset = Number(await offsetFor(tokens.b1));
    expect((await put(offset + by, bytes.subarray(offset + by))).status).toBe(409);
    expect(await offsetFor(tokens.b1)).toBe(String(offset));
  });

  test.each([
    { 'Upload-Offset': '0' },
    { 'Upload-Complete': '?0', 'Upload-Offset': '0' },
    { 'Upload-Complete': '?1', 'Upload-Offset': '-1' },
    { 'Upload-Complete': '?1', 'Upload-Offset': '1e3' },
  ])('%j is not understood', async (headers) => {
    const answer = await rawRequest(url, { method: 'PUT', path, body: 'x', token: tokens.b1, headers });
    expect([answer.status, JSON.parse(answer.body.toString())]).toMatchObject([
      400,
      { code: 'upload-malformed' },
    ]);
  });

  test('a plain PUT arrives, and leaves nothing when it is cut', async () => {
    const cut = rawRequest(proxy.url, { method: 'PUT', path, body: bytes, token: tokens.b1 });
    proxy.budgets = [MIB];
    await expect(cut).rejects.toThrow();
    await until('nothing', async () => (await pieces()).length === 0);
    expect((await put(null, bytes)).status).toBe(201);
    expect((await stored()).equals(bytes)).toBe(true);
  });

  test('what was kept and is not what it was is sent again', async () => {
    await cutAt(4 * MIB);
    const piece = await piecePath();
    const kept = await readFile(piece);
    kept[MIB] = (kept[MIB] ?? 0) ^ 1;
    await writeFile(piece, kept);
    expect(await send(connect(proxy.url))).toBe('new');
    expect(proxy.offsets.slice(-2)).toEqual([kept.length, 0]);
    expect((await stored()).equals(bytes)).toBe(true);
    expect(await pieces()).toEqual([]);
  });

  test('what has a second name is not written to', async () => {
    await cutAt(2 * MIB);
    const [piece, other] = [await piecePath(), join(here.directory, 'other')];
    const before = await readFile(piece);
    await link(piece, other);
    expect(await send(connect(proxy.url))).toBe('new');
    expect((await readFile(other)).equals(before)).toBe(true);
    expect((await stored()).equals(bytes)).toBe(true);
  });

  test('a file that has changed meanwhile does not arrive', async () => {
    const file = join(here.directory, 'file');
    await writeFile(file, bytes);
    proxy.budgets = [4 * MIB];
    const subject = { name: toArtifactName('file', 'test'), sha256, size: bytes.length, sha256State: null };
    const putting = connect(proxy.url).putBlob(build, sha256, bytes.length, () => {
      // the part that the depot has
      if (proxy.cuts > 0) writeFileSync(file, Buffer.concat([randomBytes(100), bytes.subarray(100)]));
      return readSubject(file, subject);
    });
    await expect(putting).rejects.toMatchObject({ code: 'artifact-changed' });
    expect(proxy.offsets).toHaveLength(2);
    await expect(stored()).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('two that send the same at once both get it there', async () => {
    const sent = await Promise.all([send(connect(url)), send(connect(url))]);
    expect(sent).toContain('new');
    expect((await stored()).equals(bytes)).toBe(true);
    expect(await pieces()).toEqual([]);
  });

  test('a connection on which nothing comes any more makes way', async () => {
    proxy.how = 'silence';
    proxy.budgets = [3 * MIB];
    const silent = send(connect(proxy.url, tokens.b1, [])).catch((error: unknown) => error);
    await until('the silence', () => proxy.cuts === 1);
    // on a busy machine it goes on a while with what the system has taken
    await until('it makes way', async () => (await offsetFor(tokens.b1)) !== undefined);
    expect(await send(connect(url))).toBe('new');
    expect((await stored()).equals(bytes)).toBe(true);
    expect(await silent).toMatchObject({ code: 'network' });
  });

  test('it makes way for the first that asks, though timers fire early', async () => {
    const silent = new Readable({ read: () => {} });
    silent.push(bytes.subarray(0, 3 * MIB));
    const sending = here.builder.continueBlob(build, { sha256, size: bytes.length }, 0, silent);
    const sent = sending.catch((error: unknown) => error);
    await until('the piece', async () => (await pieces()).length === 1);
    const now = performance.now.bind(performance);
    const start = now();
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => start + (now() - start) * 0.9);
    cleanUp.push(() => clock.mockRestore());
    expect(await here.builder.uploadOffset(build, sha256)).toBe(3 * MIB);
    expect(await sent).toBeInstanceOf(Error);
  });

  test('a connection whose bytes wait for the disk does not', async () => {
    const { pieces: kept } = here.tree;
    const open = kept.open.bind(kept);
    let go = (): void => {};
    const disk = new Promise<void>((resolve) => {
      go = resolve;
    });
    const opening = vi.spyOn(kept, 'open').mockImplementation(async (...asked) => {
      const piece = await open(...asked);
      const write = piece.write.bind(piece);
      piece.write = async (...chunks) => {
        await disk;
        await write(...chunks);
      };
      return piece;
    });
    const sending = here.builder.continueBlob(build, { sha256, size: bytes.length }, 0, chunked(bytes));
    await vi.waitFor(() => expect(opening).toHaveBeenCalled());
    expect(await here.builder.uploadOffset(build, sha256)).toBeNull();
    go();
    expect(await sending).toBe('new');
    opening.mockRestore();
  });

  test('it counts against the limits, and yields to what its sender sends instead', async () => {
    await cutAt(5 * MIB);
    const other = randomBytes(8 * MIB - 100_000);
    const putOther = (token: typeof tokens.b1): Promise<string> => send(connect(url, token), other);
    await expect(putOther(tokens.b2)).rejects.toMatchObject({ code: 'total-too-large' });
    expect(await offsetFor(tokens.b1)).not.toBe('0');
    expect(await putOther(tokens.b1)).toBe('new');
    expect(await offsetFor(tokens.b1)).toBe('0');
  });

  test('it goes when the blob comes by another way', async () => {
    await cutAt(2 * MIB);
    expect((await put(null, bytes, tokens.b2)).status).toBe(201);
    expect(await pieces()).toEqual([]);
  });

  test('it goes when nobody goes on for a day', async () => {
    await cutAt(2 * MIB);
    const piece = await piecePath();
    await here.sweep.run();
    expect(await pieces()).toHaveLength(1);
    const yesterday = new Date(now.getTime() - 25 * 3600_000);
    await utimes(piece, yesterday, yesterday);
    await here.sweep.run();
    expect(await pieces()).toEqual([]);
  });

  test('what a crash left goes in a day, while the server runs', async () => {
    await cutAt(MIB);
    const left = join(here.directory, '.tmp', `.${'0'.repeat(24)}.tmp`);
    await writeFile(left, 'half');
    await here.sweep.run();
    expect(await pieces()).toHaveLength(2);
    const yesterday = new Date(Date.now() - 25 * 3600_000);
    await utimes(left, yesterday, yesterday);
    await here.sweep.run();
    expect(await pieces()).toHaveLength(1);
  });

  test('it goes when its approval has ended, and is not gone on with', async () => {
    await cutAt(2 * MIB);
    await utimes(await piecePath(), now, now);
    time.now = minutes(4 * 60);
    expect((await ask(tokens.b1)).headers).not.toHaveProperty('upload-offset');
    await here.sweep.run();
    expect(await pieces()).toEqual([]);
  });

  test('a proxy that does not pass on where it goes on costs a repetition', async () => {
    await cutAt(4 * MIB);
    const deaf = await CuttingProxy.start(url);
    cleanUp.push(() => deaf.close());
    deaf.forgets = /upload-(?:offset|complete): [^\r]*\r\n/gi;
    expect(await send(connect(deaf.url))).toBe('new');
    expect((await stored()).equals(bytes)).toBe(true);
  });
});

describe('a server that', () => {
  /** Answers HEAD with these headers, breaks each PUT, and tells how many there were. */
  const breaking = async (
    headers: () => Record<string, string>,
  ): Promise<{ url: string; puts: unknown[] }> => {
    const puts: unknown[] = [];
    const url = await listen((request, response) => {
      if (request.method === 'HEAD') return void response.writeHead(404, headers()).end();
      puts.push(request.headers['upload-offset']);
      request.destroy();
    });
    return { url, puts };
  };

  test('knows nothing of it gets all of it each time, a few times', async () => {
    const { url, puts } = await breaking(() => ({}));
    await expect(send(connect(url))).rejects.toMatchObject({ code: 'network' });
    expect(puts).toEqual([undefined, undefined, undefined, undefined]);
  });

  test.each([
    ['has more than there is', () => bytes.length + 1, ['0', '0', '0', '0']],
    ['has ever less', (asked: number) => 1000 - asked, ['999', '998', '997', '996']],
    ['has a byte more each time', (asked: number) => asked, ['1', '2', '3', '4']],
    ['says nonsense', () => NaN, [undefined, undefined, undefined, undefined]],
  ])('%s does not keep us', async (_what, offset, expected) => {
    let asked = 0;
    const { url, puts } = await breaking(() => ({ 'upload-offset': String(offset((asked += 1))) }));
    await expect(send(connect(url))).rejects.toMatchObject({ code: 'network' });
    expect(puts).toEqual(expected);
  });

  test('has a mebibyte more each time gets a hundred attempts', async () => {
    let asked = 0;
    const { url, puts } = await breaking(() => ({ 'upload-offset': String((asked += 1) * MIB) }));
    const zeros = Buffer.alloc(MIB);
    const source = (): Readable => Readable.from(Array.from({ length: 200 }, () => zeros));
    const sending = connect(url).putBlob(build, sha256, 200 * MIB, source);
    await expect(sending).rejects.toMatchObject({ code: 'network' });
    expect(puts).toHaveLength(100);
  });
});
