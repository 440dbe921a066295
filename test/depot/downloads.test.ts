/** Downloads as browsers, curl, caches and strangers ask for them: conditions, ranges, HEAD, types, and who may keep what. */
import { stat, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bodyValidators, judgeConditions, judgeIfRange } from '../../src/depot/conditional.ts';
import { requestListener } from '../../src/depot/routes.ts';
import { overSocket, rawRequest } from '../harness/raw-http.ts';
import type { HttpAnswer, HttpRequest } from '../harness/raw-http.ts';
import { artifacts, build, now, project, signerToken, tokens } from '../policy/scene.ts';
import { blobs, makeDepot, seal, sendRelease } from '../tree/depot.ts';
import type { DepotOnDisk } from '../tree/depot.ts';

let here: DepotOnDisk;
let server: Server;
let url: string;

const RELEASE = '/releases/hello/1.0';
const FILE = `${RELEASE}/hello.tar.gz`;
const BYTES = artifacts['hello.tar.gz'];
const BLOB = `/builds/${build}/blobs/${blobs[0]?.sha256}`;
const CHECKPOINT = '/log/checkpoint';
const TILE = '/log/tile/0/000.p/7';
/** All at a time of the last century's last second, and a bit. */
const MODIFIED = new Date('1999-12-31T23:59:59.7Z');
const LAST_MODIFIED = 'Fri, 31 Dec 1999 23:59:59 GMT';
const TAG = `"386d437f-${BYTES.length.toString(16)}"`;

const ask = (request: HttpRequest): Promise<HttpAnswer> => rawRequest(url, request);
const get = (path: string, headers: Record<string, string> = {}): Promise<HttpAnswer> =>
  ask({ path, headers });
const json = (answer: HttpAnswer): Record<string, unknown> => JSON.parse(answer.body.toString());
const place = (path: string): string => join(here.directory, path);

/** The release, its log's checkpoint and a tile, from a time that we know. */
beforeAll(async () => {
  here = await makeDepot();
  const { tree, depot } = here;
  const listener = requestListener({ project, tree, depot, now: () => now, log: () => {} });
  server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await here.remove();
});

test('what is not there yet is kept by nobody, and is there as soon as it is published', async () => {
  const missing = await get(FILE);
  expect([missing.status, missing.headers['cache-control']]).toEqual([404, 'no-store']);
  await seal(here);
  await sendRelease(here);
  expect(await get(FILE)).toMatchObject({ status: 404, headers: { 'cache-control': 'no-store' } });
  await here.depot.publish(build);
  const there = await get(FILE);
  expect([there.status, there.body]).toEqual([200, BYTES]);
  await here.tree.write(TILE.slice(1), Buffer.alloc(7 * 32));
  await here.tree.write(CHECKPOINT.slice(1), Buffer.from('a note of\n1\n'));
  await utimes(place(FILE), MODIFIED, MODIFIED);
});

describe('what it is, and who may keep it', () => {
  const immutable = 'public, max-age=31536000, immutable';
  const text = 'text/plain; charset=utf-8';
  const signature = 'application/pgp-signature';
  test.each([
    [FILE, 'application/octet-stream', immutable, undefined],
    [`${RELEASE}/docs/hello.txt`, 'application/octet-stream', immutable, undefined],
    [`${FILE}.asc`, signature, immutable, undefined],
    [`${RELEASE}/SHA256SUMS`, text, immutable, undefined],
    [`${RELEASE}/SHA256SUMS.asc`, signature, immutable, undefined],
    [`${RELEASE}/countersign/release.json`, 'application/json', immutable, undefined],
    [`${RELEASE}/countersign/release.proof`, text, immutable, undefined],
    [`${RELEASE}/countersign/signatures.list`, text, immutable, undefined],
    [`${RELEASE}/countersign/statements/b1.json.sig`, signature, immutable, undefined],
    [`/builds/${build}/approval.json`, 'application/json', 'no-cache', undefined],
    [`/builds/${build}/signatures/hello.tar.gz.asc`, signature, 'no-cache', undefined],
    [TILE, 'application/octet-stream', immutable, undefined],
    [CHECKPOINT, text, 'no-cache', undefined],
    ['/', 'application/json', 'no-cache', 'Accept'],
    ['/builds/', 'application/json', 'no-cache', 'Accept'],
    [`/builds/${build}/`, 'application/json', 'no-cache', 'Accept'],
    ['/releases/', 'application/json', 'no-cache', 'Accept'],
    [`${RELEASE}/`, 'application/json', 'no-cache', 'Accept'],
  ])('%s', async (path, type, cache, vary) => {
    const answer = await get(path);
    expect([answer.status, answer.headers['content-type']]).toEqual([200, type]);
    expect([answer.headers['cache-control'], answer.headers['vary']]).toEqual([cache, vary]);
    const saved = type === 'application/octet-stream' ? 'attachment' : undefined;
    expect(answer.headers['content-disposition']).toBe(saved);
    expect(answer.headers['x-content-type-options']).toBe('nosniff');
    expect(answer.headers['content-encoding']).toBeUndefined();

    // HEAD tells all of it, and no more
    const { date: _then, 'x-request-id': _one, ...headers } = answer.headers;
    const head = await ask({ path, method: 'HEAD', headers: { Range: 'bytes=1-2' } });
    const { date: _now, 'x-request-id': _other, ...told } = head.headers;
    expect([head.status, head.body.length, told]).toEqual([200, 0, headers]);
    expect(told['content-length']).toBe(String(answer.body.length));

    // whoever has it need not have it again
    const again = await get(path, { 'If-None-Match': String(headers['etag']), 'Accept-Encoding': 'gzip' });
    expect([again.status, again.body.length]).toEqual([304, 0]);
    const kept = ['cache-control', 'etag', 'last-modified', 'vary'];
    for (const name of kept) expect([name, again.headers[name]]).toEqual([name, headers[name]]);
    for (const name of ['content-length', 'content-type', 'transfer-encoding'])
      expect([name, again.headers[name]]).toEqual([name, undefined]);

    // to somebody with a token it is theirs alone, whatever it is
    const theirs = await ask({ path, token: signerToken });
    expect([theirs.status, theirs.headers['cache-control']]).toEqual([200, 'private, no-store']);
  });

  test('what is in quarantine is for whoever has shown a token, also as a part or as news that it is the same', async () => {
    const whole = await ask({ path: BLOB, token: signerToken });
    const etag = String(whole.headers['etag']);
    for (const [headers, status] of [
      [{}, 200],
      [{ Range: 'bytes=0-0', 'If-Range': etag }, 206],
      [{ Range: 'bytes=999-' }, 416],
      [{ 'If-None-Match': etag }, 304],
      [{ 'If-Match': '"other"' }, 412],
    ] as const) {
      const answer = await ask({ path: BLOB, token: signerToken, headers });
      expect([answer.status, answer.headers['cache-control']]).toEqual([
        status,
        status > 400 ? 'no-store' : 'private, no-store',
      ]);
      // no condition lets a stranger know whether he has guessed
      const stranger = await ask({ path: BLOB, headers });
      expect([stranger.status, stranger.headers['www-authenticate']]).toEqual([401, 'Bearer']);
      expect([stranger.headers['etag'], stranger.headers['cache-control']]).toEqual([undefined, 'no-store']);
    }
    const builder = await ask({ path: BLOB, method: 'HEAD', token: tokens.b1 });
    expect([builder.status, builder.headers['etag']]).toEqual([200, etag]);
  });

  test('a page and the same as JSON have tags of their own', async () => {
    const [page, data] = [await get('/releases/', { Accept: 'text/html' }), await get('/releases/')];
    expect(page.headers['etag']).not.toBe(data.headers['etag']);
    const other = await get('/releases/', {
      Accept: 'text/html',
      'If-None-Match': String(data.headers['etag']),
    });
    expect([other.status, other.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
  });
});

describe('conditions on a file', () => {
  const later = 'Sat, 01 Jan 2000 00:00:00 GMT';
  const earlier = 'Fri, 31 Dec 1999 23:59:58 GMT';

  test('its tag and time are those of its inode, as nginx says them', async () => {
    const { headers } = await get(FILE);
    expect([headers['etag'], headers['last-modified']]).toEqual([TAG, LAST_MODIFIED]);
    expect((await stat(place(FILE))).mtimeMs).toBe(MODIFIED.getTime());
  });

  test.each<[Record<string, string>, number]>([
    // §13.1.1
    [{ 'If-Match': TAG }, 200],
    [{ 'If-Match': `"a", ${TAG} ,"b"` }, 200],
    [{ 'If-Match': '*' }, 200],
    [{ 'If-Match': '"a"' }, 412],
    [{ 'If-Match': '"a", "b"' }, 412],
    [{ 'If-Match': `W/${TAG}` }, 412],
    // §13.1.2
    [{ 'If-None-Match': TAG }, 304],
    [{ 'If-None-Match': `W/${TAG}` }, 304],
    [{ 'If-None-Match': `"a,b",,W/"c",\t${TAG}` }, 304],
    [{ 'If-None-Match': '*' }, 304],
    [{ 'If-None-Match': '"a"' }, 200],
    // §13.1.3
    [{ 'If-Modified-Since': LAST_MODIFIED }, 304],
    [{ 'If-Modified-Since': later }, 304],
    [{ 'If-Modified-Since': earlier }, 200],
    [{ 'If-Modified-Since': 'Friday, 31-Dec-99 23:59:59 GMT' }, 304],
    [{ 'If-Modified-Since': 'Saturday, 01-Jan-00 00:00:00 GMT' }, 304],
    [{ 'If-Modified-Since': 'Fri Dec 31 23:59:59 1999' }, 304],
    [{ 'If-Modified-Since': 'Sat Jan  1 00:00:00 2000' }, 304],
    // §13.1.4
    [{ 'If-Unmodified-Since': LAST_MODIFIED }, 200],
    [{ 'If-Unmodified-Since': earlier }, 412],
    // §13.2.2: what is asked first, and what is not asked any more
    [{ 'If-Match': TAG, 'If-Unmodified-Since': earlier }, 200],
    [{ 'If-Match': '"a"', 'If-None-Match': TAG }, 412],
    [{ 'If-Unmodified-Since': earlier, 'If-None-Match': TAG }, 412],
    [{ 'If-None-Match': '"a"', 'If-Modified-Since': later }, 200],
    [{ 'If-Match': TAG, 'If-None-Match': TAG }, 304],
    [{ 'If-None-Match': TAG, Range: 'bytes=0-0' }, 304],
    [{ 'If-None-Match': TAG, Range: 'bytes=999-' }, 304],
    // §13.1.5
    [{ 'If-Range': TAG, Range: 'bytes=0-0' }, 206],
    [{ 'If-Range': LAST_MODIFIED, Range: 'bytes=0-0' }, 206],
    [{ 'If-Range': '"a"', Range: 'bytes=0-0' }, 200],
    [{ 'If-Range': `W/${TAG}`, Range: 'bytes=0-0' }, 200],
    [{ 'If-Range': `${TAG}, "a"`, Range: 'bytes=0-0' }, 200],
    [{ 'If-Range': later, Range: 'bytes=0-0' }, 200],
    [{ 'If-Range': earlier, Range: 'bytes=0-0' }, 200],
    [{ 'If-Range': '"a"', Range: 'bytes=999-' }, 200],
    [{ 'If-Range': TAG, Range: 'bytes=999-' }, 416],
    [{ 'If-Range': TAG }, 200],
  ])('%j: %d', async (headers, status) => {
    const answer = await get(FILE, headers);
    expect(answer.status).toBe(status);
    if (status === 200) expect(answer.body).toEqual(BYTES);
    if (status > 400) expect(answer.headers['cache-control']).toBe('no-store');
    const head = await ask({ path: FILE, method: 'HEAD', headers });
    expect(head.status).toBe([206, 416].includes(status) ? 200 : status);
  });

  test.each<[string, string]>([
    ['If-Match', 'unquoted'],
    ['If-Match', '"open'],
    ['If-Match', '"a" "b"'],
    ['If-Match', '"a";q=1'],
    ['If-Match', ','],
    ['If-None-Match', TAG.slice(1)],
    ['If-None-Match', `${TAG}x`],
    ['If-None-Match', `w/${TAG}`],
    ['If-None-Match', `*, ${TAG}`],
    ['If-Modified-Since', 'tomorrow'],
    ['If-Modified-Since', '2030-01-01T00:00:00Z'],
    ['If-Modified-Since', 'Tue, 30 Feb 2027 00:00:00 GMT'],
    ['If-Modified-Since', 'Sat, 01 Jan 2000 24:00:00 GMT'],
    ['If-Modified-Since', 'Sat, 01 Jan 2000 00:00:00 CET'],
    ['If-Unmodified-Since', 'Thu, 01 Jan 1970 00:00:61 GMT'],
    ['If-Unmodified-Since', '0'],
    ['Range', 'bytes=a-b'],
    ['Range', 'bytes=-'],
    ['Range', 'bytes=5-3'],
    ['Range', 'lines=1-2'],
    ['Range', 'bytes=0-0, 2-2'],
    ['Range', `bytes=${'0-,'.repeat(3000)}0-`],
    ['Range', `bytes=0-${'9'.repeat(5000)}`],
  ])('%s: %.60s means nothing, and is answered with all of it', async (name, value) => {
    const answer = await get(FILE, { [name]: value });
    expect([answer.status, answer.body]).toEqual([200, BYTES]);
  });

  test('nothing that a header may hold makes it fail, or think for long', () => {
    const body = bodyValidators('a list');
    const file = { tag: TAG, modified: MODIFIED };
    const names = fc.constantFrom('if-match', 'if-none-match', 'if-range', 'if-modified-since');
    const value = fc.oneof(
      fc.string({ unit: fc.constantFrom('"', 'W/', ',', ' ', '\t', '*', 'a', TAG, '\u00ff') }),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.dictionary(names, value), (headers) => {
        for (const validators of [body, file]) {
          judgeConditions(headers, validators);
          judgeIfRange(headers, validators);
        }
      }),
    );
    const started = performance.now();
    for (const part of ['"', '" ', ' ', '\t', ',', '"",', 'W/', 'W/"",', '"a" ,'])
      judgeConditions({ 'if-none-match': part.repeat(16_384) }, body);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

describe('ranges', () => {
  const range = (value: string): Promise<HttpAnswer> => get(FILE, { Range: value });

  test.each([
    ['bytes=0-0', 0, 0],
    ['bytes=2-', 2, 8],
    ['bytes=2-999', 2, 8],
    ['bytes=-4', 5, 8],
    ['bytes=-999', 0, 8],
    ['Bytes=3-5', 3, 5],
  ])('%s', async (value, start, end) => {
    const answer = await range(value);
    expect([answer.status, answer.body]).toEqual([206, BYTES.subarray(start, end + 1)]);
    expect(answer.headers).toMatchObject({
      'content-range': `bytes ${start}-${end}/${BYTES.length}`,
      'content-length': String(end - start + 1),
      'content-type': 'application/octet-stream',
      etag: TAG,
      'last-modified': LAST_MODIFIED,
      'cache-control': 'public, max-age=31536000, immutable',
    });
  });

  test.each(['bytes=9-', 'bytes=999-1000', 'bytes=-0'])('%s is beyond it', async (value) => {
    const answer = await range(value);
    expect([answer.status, json(answer)['code']]).toEqual([416, 'range-not-satisfiable']);
    expect(answer.headers['content-range']).toBe(`bytes */${BYTES.length}`);
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  test('an empty file has none', async () => {
    await here.tree.write(`${RELEASE.slice(1)}/empty`, Buffer.alloc(0));
    const whole = await get(`${RELEASE}/empty`);
    expect([whole.status, whole.headers['content-length']]).toEqual([200, '0']);
    expect((await get(`${RELEASE}/empty`, { Range: 'bytes=0-' })).status).toBe(416);
  });

  test('a download is cut and goes on, and the parts are the file', async () => {
    const large = Buffer.from(Array.from({ length: 3_000_000 }, (_, at) => (at * 31) % 251));
    const path = `${RELEASE}/large`;
    await here.tree.write(path.slice(1), large);
    const { etag } = (await ask({ path, method: 'HEAD' })).headers;
    const parts: Buffer[] = [];
    for (let at = 0; at < large.length; at += 700_001) {
      const headers = { Range: `bytes=${at}-${at + 700_000}`, 'If-Range': String(etag) };
      parts.push((await get(path, headers)).body);
    }
    expect(Buffer.concat(parts).equals(large)).toBe(true);
  });

  test('a thousand of them at once, all of it wanted a thousand times, cost no more than the file each', async () => {
    const flood = `bytes=${Array.from({ length: 1000 }, () => '0-').join(',')}`;
    const answers = await Promise.all(Array.from({ length: 50 }, () => range(flood)));
    for (const answer of answers) expect([answer.status, answer.body]).toEqual([200, BYTES]);
  });
});

describe('what changes', () => {
  test('a list has another tag as soon as it has another entry', async () => {
    const path = `/builds/${build}/`;
    const etag = String((await get(path)).headers['etag']);
    const since = 'Fri, 01 Jan 2100 00:00:00 GMT';
    // nobody keeps when a list changed: only its tag can tell
    expect((await get(path, { 'If-Modified-Since': since })).status).toBe(200);
    expect((await get(path, { 'If-Unmodified-Since': 'Thu, 01 Jan 1970 00:00:00 GMT' })).status).toBe(200);
    expect((await get(path, { 'If-None-Match': etag })).status).toBe(304);
    expect((await get(path, { 'If-Match': etag })).status).toBe(200);
    await here.tree.write(`builds/${build}/enrolments/b1.json`, Buffer.from('{}'));
    expect((await get(path, { 'If-None-Match': etag })).status).toBe(200);
    const failed = await get(path, { 'If-Match': etag });
    expect([failed.status, json(failed)['code']]).toEqual([412, 'precondition-failed']);
  });

  test('a checkpoint that is replaced within a second by one of its size is another', async () => {
    const first = await get(CHECKPOINT);
    const then = new Date();
    await utimes(place(CHECKPOINT), then, then);
    await here.tree.replacing((replace) => replace(CHECKPOINT.slice(1), Buffer.from('a note of\n2\n')));
    await utimes(place(CHECKPOINT), then, then);
    const second = await get(CHECKPOINT, { 'If-None-Match': String(first.headers['etag']) });
    expect([second.status, second.body.toString()]).toEqual([200, 'a note of\n2\n']);
  });

  test('a file that is cut while it is sent ends the connection: nobody takes the part for the whole', async () => {
    const path = `${RELEASE}/shrinks`;
    await here.tree.write(path.slice(1), Buffer.alloc(20_000_000));
    const response = await fetch(`${url}${path}`);
    const reader = response.body?.getReader();
    await reader?.read();
    await writeFile(place(path), 'short');
    const rest = async (): Promise<void> => {
      while (!(await reader?.read())?.done);
    };
    await expect(rest()).rejects.toThrow(/terminated/);
  });
});

test.each([
  ['POST', FILE, 'GET, HEAD'],
  ['PUT', FILE, 'GET, HEAD'],
  ['DELETE', '/', 'GET, HEAD'],
  ['OPTIONS', '/builds/', 'GET, HEAD'],
  ['PUT', '/log/', 'GET, HEAD'],
  ['PATCH', `/builds/${build}/approval.json`, 'GET, HEAD, PUT'],
  ['DELETE', BLOB, 'GET, HEAD, PUT'],
  ['DELETE', `/builds/${build}`, 'GET, HEAD, POST'],
  ['PROPFIND', `/builds/${build}/publish`, 'GET, HEAD, POST'],
  ['PUT', `${RELEASE}/fetch`, 'GET, HEAD, POST'],
  ['DELETE', '/log', 'GET, HEAD, POST'],
])('%s %s: what may be done there is said', async (method, path, allow) => {
  const answer = await ask({ method, path });
  expect([answer.status, answer.headers['allow']]).toEqual([405, allow]);
  expect(answer.headers['cache-control']).toBe('no-store');
});

test.each([
  ['\xff\xfe"', 200],
  ['" "', 200],
  [`"${'x'.repeat(12_000)}"`, 200],
  ['"\x7f"', 400],
  [`"${'x'.repeat(17_000)}"`, 431],
])('header bytes that no client sends, %.20s, end in an answer', async (value, status) => {
  const head = `GET ${FILE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nIf-None-Match: ${value}\r\n\r\n`;
  expect(await overSocket(url, head)).toContain(`HTTP/1.1 ${status} `);
});
