/** What a depot shows over HTTP of builds that were taken back, and to whom it shows artifacts in quarantine. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildsPage } from '../../src/depot/pages.ts';
import { Lists } from '../../src/depot/lists.ts';
import { requestListener } from '../../src/depot/routes.ts';
import { Connections } from '../../src/host/connections.ts';
import { startHttpServer } from '../../src/host/http-server.ts';
import type { HttpServer } from '../../src/host/http-server.ts';
import { timestamp } from '../../src/records/names.ts';
import { encodeReadRequest } from '../../src/records/read-request.ts';
import type { ReadRequest } from '../../src/records/read-request.ts';
import { HttpDepot } from '../../src/tree/http.ts';
import { rawRequest } from '../harness/raw-http.ts';
import { ada, approval, bob, build, mallory, minutes, now, otherBuild, project } from '../policy/scene.ts';
import { revocationFiles } from '../policy/scheme-scene.ts';
import { blobs, makeDepot, seal, sendRelease } from '../tree/depot.ts';
import type { DepotOnDisk } from '../tree/depot.ts';

const rules = { ...project, threshold: 2 };
let here: DepotOnDisk;
let server: HttpServer;
const lists = new Lists();
beforeAll(async () => {
  here = await makeDepot();
  await seal(here);
  const { tree, depot } = here;
  const listener = requestListener({ project: rules, tree, depot, now: () => now, log: () => {}, lists });
  const bounds = { requestMs: 0, idleMs: 60_000, connections: new Connections({ most: 100 }) };
  server = await startHttpServer(listener, { listen: { host: '127.0.0.1', port: 0 }, ...bounds });
});
afterAll(async () => {
  await server.close();
  await here.remove();
});

const page = async (path: string): Promise<string> =>
  (await rawRequest(server.url, { path, headers: { Accept: 'text/html' } })).body.toString();
const json = async (path: string): Promise<unknown> =>
  JSON.parse((await rawRequest(server.url, { path })).body.toString());

const request: ReadRequest = {
  ...{ signer: approval.signer, build, depot: project.depot ?? '', time: timestamp(now) },
};
const open = (changes: Partial<ReadRequest> = {}, who = ada): HttpDepot => {
  const bytes = encodeReadRequest({ ...request, ...changes });
  const token = { bytes, signature: who.secret.sign(bytes, now.getTime() / 1000) };
  return new HttpDepot({ url: server.url, token, insecureHttp: false });
};
const [one, two] = blobs;
const path = `builds/${build}/blobs/${one?.sha256}`;

test('an approver reads artifacts in quarantine, one by one and together, and nobody else does', async () => {
  const depot = open();
  expect(await depot.read(path, 100)).toEqual(one?.bytes);
  const refs = blobs.map(({ sha256, bytes }) => ({ sha256, size: bytes.length }));
  const fetched = [];
  for await (const blob of depot.fetchBlobs(build, refs)) fetched.push(blob);
  expect(fetched).toEqual([one, two]);
  for (const [stranger, code] of [
    [open({}, mallory), 'signature-invalid'],
    [open({ time: timestamp(minutes(-6)) }), 'read-request-expired'],
    [open({ depot: 'https://elsewhere.example.org' }), 'read-request-foreign'],
    [open({ build: otherBuild }), 'read-request-foreign'],
  ] as const) {
    await expect(stranger.read(path, 100)).rejects.toMatchObject({ code });
    await expect(stranger.fetchBlobs(build, refs)[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code,
    });
  }
});

test('a read request writes nothing', async () => {
  await expect(open().putBlobs(build, [...blobs])).rejects.toMatchObject({ code: 'token-missing' });
});

test.each([
  ['without a signature', 'Countersign-Read AAAA'],
  ['of three parts', 'Countersign-Read AAAA.AAAA.AAAA'],
  ['not in base64url', 'Countersign-Read AAAA.A+AA'],
  ['with bits to spare', 'Countersign-Read AAAA.AB'],
  ['empty', 'Countersign-Read'],
  ['endless', `Countersign-Read ${'A'.repeat(9000)}.AAAA`],
])('a read request %s is malformed', async (_what, Authorization) => {
  const answer = await rawRequest(server.url, { path: `/${path}`, headers: { Authorization } });
  expect(answer.status).toBe(401);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'read-request-malformed' });
});

test('a build that one approver has taken back is revoked, and says by whom and why', async () => {
  expect(await json(`/builds/${build}/`)).toMatchObject({ state: 'built', revocations: [] });
  expect(await json('/builds/?revoked=1')).toEqual({ builds: [], next: null });
  await here.depot.submit(build, revocationFiles(ada, { reason: 'the <b>wrong</b> branch' }));
  expect(await json(`/builds/${build}/`)).toMatchObject({
    state: 'revoked',
    assurance: 'single-builder',
    builders: [{ slot: 'b1', scheme: 'keypair' }],
    revocations: [{ person: 'Ada <ada@example.org>', reason: 'the <b>wrong</b> branch' }],
  });
  const shown = await page(`/builds/${build}/`);
  expect(shown).toContain('the &lt;b&gt;wrong&lt;/b&gt; branch');
  expect(shown).toContain('Ada &lt;ada@example.org&gt;');
  expect(await page('/builds/')).toMatch(new RegExp(`<code>${build}</code></a> hello 1\\.0: revoked`));
  expect(await json('/builds/?revoked=1')).toEqual({ builds: [build], next: null });
  expect(await json(`/builds/?revoked=1&after=${build}`)).toEqual({ builds: [], next: null });
  expect(await open().revoked(null)).toEqual({ builds: [build], next: null });
});

test('a page of revoked builds leads to the next page of revoked builds', () => {
  const shown = buildsPage([{ build, state: 'revoked', project: 'hello', version: '1.0' }], {
    revoked: true,
    next: build,
  });
  expect(shown).toContain(`href="/builds/?revoked=1&amp;after=${build}"`);
  expect(buildsPage([], { revoked: false, next: build })).toContain(`href="/builds/?after=${build}"`);
});

test('a release is withdrawn when as many have taken it back as the threshold; its page says so at the top', async () => {
  await sendRelease(here);
  await here.depot.publish(build);
  const release = '/releases/hello/1.0/';
  expect(await json(`/builds/${build}/`)).toMatchObject({ state: 'published' });
  expect(await json(release)).toMatchObject({ withdrawn: [] });
  expect(await page(release)).not.toContain('ithdrawn');
  expect(await page('/releases/')).not.toContain('withdrawn');
  await here.depot.submit(build, revocationFiles(bob, { reason: 'a back door\n\u202e' }));
  // `serve` wires that
  lists.heard({ kind: 'changed', build });
  expect(await json(`/builds/${build}/`)).toMatchObject({ state: 'revoked' });
  expect(await json(release)).toMatchObject({ withdrawn: [{}, { reason: 'a back door\n\u202e' }] });
  expect(await page('/releases/')).toMatch(/>hello 1\.0<\/a\s*> <strong>withdrawn<\/strong>/);
  expect(await json('/releases/')).toMatchObject({ releases: [{ withdrawn: true }] });
  const shown = await page(release);
  expect(shown).toContain('a back door\\x0a\\u{202e}');
  expect(shown.indexOf('Withdrawn: do not install it')).toBeLessThan(shown.indexOf('Signed 20'));
  // nothing is thrown away
  expect((await rawRequest(server.url, { path: `${release}hello.tar.gz` })).status).toBe(200);
});
