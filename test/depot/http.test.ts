/** The depot as strangers, builders and the signer meet it over HTTP. */
import { createHash } from 'node:crypto';
import { readFile, readdir, rename, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeBase64Url } from '../../src/records/names.ts';
import { parseTicket } from '../../src/records/ticket.ts';
import { packTar, tarEntries } from '../../src/tree/tar.ts';
import { litterOf } from '../harness/litter.ts';
import { rawRequest } from '../harness/raw-http.ts';
import type { HttpAnswer, HttpRequest } from '../harness/raw-http.ts';
import { World } from '../harness/world.ts';

let world: World;
let build: string;
let uploadToken: Buffer;
let signerToken: Buffer;

const ask = (request: HttpRequest): Promise<HttpAnswer> => rawRequest(world.url, request);
const json = (answer: HttpAnswer): Record<string, unknown> => JSON.parse(answer.body.toString());
const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');
const blob = (bytes: Buffer | string): string => `/builds/${build}/blobs/${sha256(bytes)}`;

beforeAll(async () => {
  world = await World.make();
  const approved = await world.approve('1.0', ['--max-size', '1000000', '--max-count', '20']);
  build = approved.build;
  const ticket = parseTicket(await readFile(approved.ticket, 'utf8'));
  uploadToken = decodeBase64Url(ticket.uploadToken, 'token');
  signerToken = Buffer.from(
    (await readFile(world.path('H', 'signer', 'signer-token'), 'utf8')).trim(),
    'base64url',
  );
});
afterAll(() => world.close());

describe('a path has one way to be written', () => {
  test.each([
    '/builds/../../../etc/passwd',
    '/builds/%2e%2e/x',
    '//builds/',
    '/builds//x',
    '/./builds/',
    '/builds/?after=%30',
    '/builds/?x=1',
    '/releases/a/1/%00',
    '/builds/..',
    'http://elsewhere/builds/',
    '/builds/?after=',
    `/${'a'.repeat(2000)}`,
    '/builds\\x',
    '/builds/#x',
  ])('%.60s is refused', async (path) => {
    const answer = await ask({ path });
    // an empty cursor is the first page; everything else has no meaning
    expect(answer.status).toBe(path === '/builds/?after=' ? 200 : 400);
    if (answer.status === 400) expect(json(answer)['code']).toBe('path-malformed');
  });

  test('a method that the depot does not know is refused', async () => {
    for (const method of ['DELETE', 'PATCH', 'PROPFIND']) {
      const answer = await ask({ method, path: `/builds/${build}/approval.json` });
      expect([answer.status, json(answer)['code']]).toEqual([405, 'method-not-allowed']);
    }
  });

  test('a strange Host header changes nothing', async () => {
    const answer = await ask({ path: `/builds/${build}/approval.json`, headers: { Host: 'evil.example' } });
    expect(answer.status).toBe(200);
  });
});

describe('blobs', () => {
  const bytes = Buffer.from('an artifact, before it is published');

  test('no token, a stranger’s and a malformed one write nothing', async () => {
    const put = { method: 'PUT', path: blob(bytes), body: bytes };
    expect((await ask(put)).status).toBe(401);
    expect((await ask({ ...put, token: Buffer.alloc(32, 7) })).status).toBe(403);
    expect((await ask({ ...put, headers: { Authorization: 'Bearer !!' } })).status).toBe(401);
    expect(await readdir(world.tree('builds', build))).not.toContain('blobs');
  });

  test('the upload token writes; the same bytes again are the same; the name is the digest', async () => {
    const put = { method: 'PUT', path: blob(bytes), body: bytes, token: uploadToken };
    expect((await ask(put)).status).toBe(201);
    expect((await ask(put)).status).toBe(200);
    const other = await ask({ ...put, path: blob('other bytes') });
    expect([other.status, json(other)['code']]).toEqual([422, 'blob-mismatch']);
  });

  test('a body without a length, or over the limit, is not taken', async () => {
    const headers = { 'Transfer-Encoding': 'chunked' };
    const answer = await ask({ method: 'PUT', path: blob(''), token: uploadToken, headers });
    expect([answer.status, json(answer)['code']]).toEqual([411, 'length-required']);
    const large = Buffer.alloc(1_000_001);
    expect((await ask({ method: 'PUT', path: blob(large), body: large, token: uploadToken })).status).toBe(
      413,
    );
  });

  test('only the signer reads them; a builder may ask whether they are there', async () => {
    const path = blob(bytes);
    expect((await ask({ path })).status).toBe(401);
    expect((await ask({ path, token: uploadToken })).status).toBe(403);
    expect((await ask({ path, method: 'HEAD', token: uploadToken })).status).toBe(200);
    const answer = await ask({ path, token: signerToken });
    expect(answer.body).toEqual(bytes);
    expect(answer.headers['content-disposition']).toBe('attachment');
  });

  test('many small ones travel as a tar, in and out', async () => {
    const files = ['one', 'two', 'three'].map((text) => ({ name: sha256(text), bytes: Buffer.from(text) }));
    const path = `/builds/${build}/blobs`;
    expect((await ask({ method: 'POST', path, body: packTar(files), token: uploadToken })).status).toBe(201);
    expect((await ask({ method: 'POST', path, body: packTar(files) })).status).toBe(401);

    const body = JSON.stringify(files.map(({ name }) => name));
    const fetched = await ask({ method: 'POST', path: `/builds/${build}/fetch`, body, token: signerToken });
    const entries = [];
    for await (const entry of tarEntries([fetched.body], { files: 3, fileBytes: 100, bytes: 300 }))
      entries.push(entry);
    expect(entries).toEqual(files);
    expect((await ask({ method: 'POST', path: `/builds/${build}/fetch`, body })).status).toBe(401);
  });

  test('ranges are answered as asked', async () => {
    const path = blob(bytes);
    const range = (value: string) => ask({ path, token: signerToken, headers: { Range: value } });
    const part = await range('bytes=3-10');
    expect([part.status, part.body.toString(), part.headers['content-range']]).toEqual([
      206,
      'artifact',
      `bytes 3-10/${bytes.length}`,
    ]);
    expect((await range('bytes=-9')).body.toString()).toBe('published');
    expect((await range('bytes=9999-')).status).toBe(416);
    expect((await range('bytes=0-0,5-6')).status).toBe(200);
  });
});

describe('records', () => {
  test('are public, in the browser harmless', async () => {
    const answer = await ask({ path: `/builds/${build}/approval.json` });
    expect(answer.status).toBe(200);
    expect(answer.headers['x-content-type-options']).toBe('nosniff');
    expect(answer.headers['content-security-policy']).toContain("default-src 'none'");
  });

  test('are never replaced, and never written without their authenticators', async () => {
    const path = `/builds/${build}/approval.json`;
    const { body } = await ask({ path });
    expect((await ask({ method: 'PUT', path, body })).status).toBe(200);
    expect((await ask({ method: 'PUT', path, body: '{}' })).status).toBe(409);
    const statement = await ask({ method: 'PUT', path: `/builds/${build}/statements/b1.json`, body: '{}' });
    expect([statement.status, json(statement)['code']]).toEqual([403, 'write-needs-authenticator']);
    const alone = packTar([{ name: 'statements/b1.json', bytes: Buffer.from('{}') }]);
    const posted = await ask({ method: 'POST', path: `/builds/${build}`, body: alone, token: uploadToken });
    expect([posted.status, json(posted)['code']]).toEqual([403, 'write-needs-authenticator']);
    expect((await ask({ method: 'PUT', path: '/releases/widget/1.0/x', body: 'x' })).status).toBe(405);
  });

  test('a large body from a stranger is refused before it is read', async () => {
    const answer = await ask({ method: 'POST', path: `/builds/${build}`, body: Buffer.alloc(2_000_000) });
    expect([answer.status, json(answer)['code']]).toEqual([413, 'too-large']);
  });

  test('a build that is not there, or not signed, is not published', async () => {
    const publish = (id: string) => ask({ method: 'POST', path: `/builds/${id}/publish` });
    for (const id of [build, '01jd9v7q3m4n5p6r7s8t9vwxyz']) {
      const answer = await publish(id);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
    }
    expect((await ask({ path: '/releases/widget/1.0/SHA256SUMS' })).status).toBe(404);
  });
});

describe('listings', () => {
  test('builds in ascending order for a program, a page for a person', async () => {
    expect(json(await ask({ path: '/builds/' }))).toEqual({ builds: [build], next: null });
    expect(json(await ask({ path: `/builds/?after=${build}` }))).toEqual({ builds: [], next: null });
    expect(json(await ask({ path: `/builds/${build}/` }))).toMatchObject({ build, state: 'approved' });
    for (const path of ['/', '/builds/', `/builds/${build}/`, '/releases/']) {
      const page = await ask({ path, headers: { Accept: 'text/html,*/*' } });
      expect(page.headers['content-type']).toContain('text/html');
      expect(page.body.toString()).not.toContain('<script');
    }
  });

  test('a release is listed with its files once it is published', async () => {
    const name = 'dir/hello+1~rc.tar.gz';
    await world.release('2.0', { [name]: 'hello' });
    const page = await ask({ path: '/releases/widget/2.0/', headers: { Accept: 'text/html' } });
    expect(page.body.toString()).toContain(`<a href="${name}">`);
    const file = await ask({ path: `/releases/widget/2.0/${name}` });
    expect([file.status, file.body.toString(), file.headers['content-disposition']]).toEqual([
      200,
      'hello',
      'attachment',
    ]);
    expect(json(await ask({ path: '/releases/' }))).toEqual({
      releases: [{ project: 'widget', version: '2.0', withdrawn: false }],
    });
    expect(json(await ask({ path: '/releases/widget/2.0/' }))).toMatchObject({
      count: 1,
      artifacts: [{ name }],
    });
  });

  test('a release with a manifest of many megabytes is listed by its number of files: to show it to strangers costs too much', async () => {
    await world.release('3.0', { a: '1', b: '2' });
    await writeFile(
      world.tree('releases', 'widget', '3.0', 'countersign', 'manifest.json'),
      Buffer.alloc(3e6),
    );
    const path = '/releases/widget/3.0/';
    expect(json(await ask({ path }))).toMatchObject({ count: 2, artifacts: null });
    const page = await ask({ path, headers: { Accept: 'text/html' } });
    expect(page.body.toString()).toContain('2 files');
  });
});

test('who goes away in the middle of a body leaves no word in the log', async () => {
  const { hostname, port } = new URL(world.url);
  const before = world.serverLog.length;
  const socket = connect(Number(port), hostname);
  await new Promise<void>((sent) =>
    socket.write(
      `POST /builds/${build} HTTP/1.1\r\nHost: ${hostname}\r\nContent-Length: 9\r\n\r\nhello`,
      () => sent(),
    ),
  );
  await sleep(100);
  socket.destroy();
  await sleep(100);
  expect((await ask({ path: '/' })).status).toBe(200);
  expect(world.serverLog.slice(before).filter((line) => !line.includes('"level":"info"'))).toEqual([]);
});

test('SIGTERM ends the depot in order, and it comes back with what it had', async () => {
  expect(await world.stopServer()).toBe(0);
  await world.startServer();
  expect((await ask({ path: `/builds/${build}/approval.json` })).status).toBe(200);
  expect(await litterOf(world.tree())).toEqual([]);
});

test('its data is taken away under it: whoever asks is told that the depot says so', async () => {
  await rename(world.tree(), `${world.tree()}.moved`);
  const ran = await world.runOn('operator', ['status', '--json']);
  await rename(`${world.tree()}.moved`, world.tree());
  expect([ran.code, ran.error?.code]).toEqual([3, 'no-depot']);
  expect(ran.stderr + ran.stdout).toContain(`the depot at ${world.url} says: `);
});
