/**
 * Clients against L: what strangers, thieves of a ticket and builders that want more than they were given ask for. After
 * each case L serves what it served, byte for byte, and has kept nothing that it should not have.
 */
import { readFile, readdir, rename, stat } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sha256Hex } from '../../src/records/sha256.ts';
import { packTar } from '../../src/tree/tar.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import type { Snapshot } from '../harness/invariants.ts';
import { litterOf } from '../harness/litter.ts';
import { rawRequest } from '../harness/raw-http.ts';
import type { HttpAnswer, HttpRequest } from '../harness/raw-http.ts';
import { mustBe, World } from '../harness/world.ts';
import { b1, post, putBlob, sign, statementOf, steal } from './forge.ts';
import type { Held } from './forge.ts';
import { expectSigned } from './outcome.ts';
import { shelf } from './round.ts';

const SECRET = 'bytes that nobody may read before they are published';

let world: World;
/** Published. */
let released: string;
/** Sealed, with SECRET in it, and not signed yet. */
let sealed: Held;
/** Approved for three blobs of 1,000 bytes, 2,000 together. */
let open: Held;
let other: Held;
let before: Snapshot;
let kept: string[];

beforeAll(async () => {
  world = await World.make();
  released = await world.release('1.0', { app: 'the release that must stay as it is' });
  const approved = await world.approve('2.0');
  sealed = await steal(world, approved);
  mustBe(0, await world.attest(approved.ticket, { secret: SECRET }));
  const narrow = ['--max-count', '3', '--max-size', '1000', '--max-total', '2000'];
  open = await steal(world, await world.approve('3.0', narrow));
  other = await steal(world, await world.approve('4.0'));
});
beforeEach(async () => {
  [before, kept] = [await snapshot(world), await shelf(world)];
});
afterAll(() => world.close());

const ask = (request: HttpRequest): Promise<HttpAnswer> => rawRequest(world.url, request);

/** Turned away with one of these statuses; nothing is kept, and nothing else changed. */
async function expectTurnedAway(answer: HttpAnswer, ...statuses: number[]): Promise<void> {
  expect(statuses, answer.body.toString()).toContain(answer.status);
  expect(answer.body.toString(), 'what is in quarantine').not.toContain(SECRET);
  await expectUntouched(world, before, { answers: [answer] });
  expect(await shelf(world)).toEqual(kept);
  const shown = await ask({ path: '/releases/widget/1.0/app' });
  expect(shown.body.toString()).toBe('the release that must stay as it is');
}

describe('an upload', () => {
  const content = 'an artifact of somebody';
  const blob = `blobs/${sha256Hex(content)}`;
  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
  const tokens: [string, (held: Held) => HttpRequest['headers']][] = [
    ['no token', () => ({})],
    ['a stranger’s token', () => bearer('A'.repeat(43))],
    ['the token of another build', () => bearer(other.token.toString('base64url'))],
    ['the token in capitals', ({ token }) => bearer(token.toString('base64url').toUpperCase())],
    ['the token, and more', ({ token }) => bearer(`${token.toString('base64url')}A`)],
    ['half the token', ({ token }) => bearer(token.toString('base64url').slice(0, 21))],
    ['the digest of the token', ({ approval }) => bearer(approval.builders[b1]?.uploadTokenSha256 ?? '')],
    ['the token as a password', ({ token }) => ({ Authorization: `Basic ${token.toString('base64')}` })],
    ['the token in a cookie', ({ token }) => ({ Cookie: `token=${token.toString('base64url')}` })],
    ['nothing but spaces', () => bearer(' '.repeat(43))],
  ];

  test.each(tokens)('with %s', async (_, headersOf) => {
    const headers = headersOf(open) ?? {};
    const path = `/builds/${open.build}`;
    const statement = sign(open, statementOf(open, { app: content }));
    const tar = (files: Iterable<readonly [string, Buffer]>) =>
      packTar([...files].map(([name, bytes]) => ({ name, bytes })));
    for (const request of [
      { method: 'PUT', path: `${path}/${blob}`, body: content },
      { method: 'POST', path: `${path}/blobs`, body: tar([[sha256Hex(content), Buffer.from(content)]]) },
      { method: 'POST', path, body: tar(statement) },
      { method: 'POST', path: `${path}/signatures`, body: tar([['app.asc', Buffer.from('x')]]) },
      { method: 'POST', path: `${path}/fetch`, body: JSON.stringify([sha256Hex(SECRET)]) },
    ])
      await expectTurnedAway(await ask({ ...request, headers }), 401, 403, 422, 404);
  });

  test('to a build that is not there, or is nobody’s', async () => {
    for (const build of ['01jd9v7q3m4n5p6r7s8t9vwxyz', released])
      await expectTurnedAway(await putBlob(world, { ...open, build }, content), 401, 403, 404);
  });

  test.each([
    ['of other bytes than its name', { path: `blobs/${sha256Hex('other')}`, body: content }, 422],
    [
      'of more bytes than are allowed',
      { path: `blobs/${sha256Hex('x'.repeat(1001))}`, body: 'x'.repeat(1001) },
      413,
    ],
    [
      'that says a terabyte',
      { path: blob, body: content, headers: { 'Content-Length': '1099511627776' } },
      413,
    ],
    [
      'that says more than numbers hold',
      { path: blob, body: content, headers: { 'Content-Length': '9007199254740993' } },
      411,
      400,
    ],
    ['in chunks', { path: blob, body: content, headers: { 'Transfer-Encoding': 'chunked' } }, 400, 411],
    [
      'compressed, it says',
      { path: `blobs/${sha256Hex('other')}`, body: content, headers: { 'Content-Encoding': 'gzip' } },
      422,
    ],
  ] as [string, HttpRequest, ...number[]][])('%s', async (_, request, ...statuses) => {
    const path = `/builds/${open.build}/${request.path}`;
    await expectTurnedAway(await ask({ method: 'PUT', token: open.token, ...request, path }), ...statuses);
  });
});

describe('what is there', () => {
  test('is not written over, by whoever has a token', async () => {
    const files = (await shelf(world)).filter((file) => file.startsWith('builds/') && file.includes('.'));
    expect(files.length).toBeGreaterThan(20);
    for (const file of files) {
      const [, build = ''] = file.split('/');
      const held = [sealed, open, other].find((one) => one.build === build) ?? other;
      for (const body of ['other bytes', ''])
        await expectTurnedAway(
          await ask({ method: 'PUT', path: `/${file}`, body, token: held.token }),
          409,
          405,
          403,
          422,
          413,
        );
    }
  });

  test('nor what is published', async () => {
    const files = (await shelf(world)).filter((file) => file.startsWith('releases/'));
    for (const file of [...files, 'releases/widget/1.0/more', 'releases/widget/9.9/app'])
      for (const method of ['PUT', 'POST', 'DELETE', 'PATCH', 'MOVE'])
        await expectTurnedAway(
          await ask({ method, path: `/${file}`, body: 'other bytes', token: sealed.token }),
          405,
        );
  });

  test('nor is a statement taken with the token of another build, before or after the seal', async () => {
    for (const at of [1, 2]) {
      const answer = await post(
        world,
        other.build,
        sign(other, statementOf(other, { app: 'a' }, { command: `${at}` })),
        sealed.token,
      );
      await expectTurnedAway(answer, 403);
    }
  });
});

describe('to read what is in quarantine', () => {
  const blob = sha256Hex(SECRET);
  const ways: [string, (path: string) => HttpRequest][] = [
    ['as it is', (path) => ({ path })],
    ['by HEAD', (path) => ({ path, method: 'HEAD' })],
    ['in part', (path) => ({ path, headers: { Range: 'bytes=0-9' } })],
    ['from its end', (path) => ({ path, headers: { Range: 'bytes=-9' } })],
    ['if it has changed', (path) => ({ path, headers: { 'If-None-Match': '"x"', 'If-Range': '"x"', Range: 'bytes=0-' } })],
    ['as a page', (path) => ({ path, headers: { Accept: 'text/html' } })],
    ['with a slash', (path) => ({ path: `${path}/` })],
    ['in capitals', (path) => ({ path: path.replace(blob, blob.toUpperCase()) })],
    ['by another root', (path) => ({ path: path.replace('/builds/', '/Builds/') })],
    ['as a listing', (path) => ({ path: path.replace(blob, '') })],
    ['as a listing without a slash', (path) => ({ path: path.replace(`/${blob}`, '') })],
    ['as a release', () => ({ path: '/releases/widget/2.0/secret' })],
    ['as its signature', (path) => ({ path: path.replace(`blobs/${blob}`, 'signatures/secret.asc') })],
    ['many at a time', (path) => ({ path: path.replace(`blobs/${blob}`, 'fetch'), method: 'POST', body: `["${blob}"]` })],
    ['by a method that is another', (path) => ({ path, method: 'POST', headers: { 'X-HTTP-Method-Override': 'GET' }, body: '' })],
    ['by a path that is another', (path) => ({ path: '/', headers: { 'X-Original-URL': path, 'X-Rewrite-URL': path, 'X-Forwarded-Prefix': path, Accept: 'x' } })],
  ]; // prettier-ignore

  test.each(ways)('%s', async (what, requestOf) => {
    const request = requestOf(`/builds/${sealed.build}/blobs/${blob}`);
    for (const token of [undefined, Buffer.alloc(32), open.token, sealed.token]) {
      const answer = await ask({ ...request, ...(token && { token }) });
      expect(answer.body.toString()).not.toContain(SECRET.slice(0, 9));
      // a path in a header means nothing; a builder may ask whether its own blob is there
      const harmless = what === 'by a path that is another' || (what === 'by HEAD' && token === sealed.token);
      if (harmless) expect(answer.status).toBe(200);
      else expect(answer.status).toBeOneOf([400, 401, 403, 404, 405]);
    }
    await expectUntouched(world, before, { answers: [] });
    expect(await shelf(world)).toEqual(kept);
  });

  test('is the signer’s alone', async () => {
    const token = Buffer.from(
      (await readFile(world.path('H', 'signer', 'signer-token'), 'utf8')).trim(),
      'base64url',
    );
    const answer = await ask({ path: `/builds/${sealed.build}/blobs/${blob}`, token });
    expect(answer.body.toString()).toBe(SECRET);
  });
});

describe('a quota', () => {
  const blobsOf = async ({ build }: Held): Promise<number[]> => {
    const names = await readdir(world.tree('builds', build, 'blobs')).catch(() => []);
    return Promise.all(
      names.map(async (name) => (await stat(world.tree('builds', build, 'blobs', name))).size),
    );
  };
  const put = (content: string): Promise<HttpAnswer> => putBlob(world, open, content);

  test('is not used up by what fails', async () => {
    const failing = Array.from({ length: 20 }, (_, at) =>
      ask({
        method: 'PUT',
        path: `/builds/${open.build}/blobs/${sha256Hex(String(at))}`,
        body: 'x'.repeat(900),
        token: open.token,
      }),
    );
    for (const answer of await Promise.all(failing)) expect(answer.status).toBeOneOf([422, 413]);
    expect(await blobsOf(open)).toEqual([]);
  });

  test('holds for thirty that race for it, one by one and in archives', async () => {
    const single = Array.from({ length: 20 }, (_, at) => put(`${'x'.repeat(900)}${at}`));
    const archived = Array.from({ length: 10 }, (_, at) => {
      const files = [`${'y'.repeat(600)}${at}`, `${'z'.repeat(600)}${at}`].map((text) => Buffer.from(text));
      const body = packTar(files.map((bytes) => ({ name: sha256Hex(bytes), bytes })));
      return ask({ method: 'POST', path: `/builds/${open.build}/blobs`, body, token: open.token });
    });
    const statuses = (await Promise.all([...single, ...archived])).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([201, 413]));
    const sizes = await blobsOf(open);
    expect(sizes.length).toBeLessThanOrEqual(3);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(2000);
  });

  test('counts what is there already once: the same again is no more', async () => {
    const room = 2000 - (await blobsOf(open)).reduce((sum, size) => sum + size, 0);
    const [name = ''] = await readdir(world.tree('builds', open.build, 'blobs'));
    const present = await readFile(world.tree('builds', open.build, 'blobs', name), 'utf8');
    for (const answer of await Promise.all(Array.from({ length: 20 }, () => put(present))))
      expect(answer.status).toBe(200);
    if ((await blobsOf(open)).length < 3)
      expect((await put('w'.repeat(Math.min(room, 1000)))).status).toBe(201);
    expect((await put('one more')).status).toBe(413);
  });
});

describe('to publish', () => {
  const publish = (build: string): Promise<HttpAnswer> =>
    ask({ method: 'POST', path: `/builds/${build}/publish` });

  test('what is not signed', async () => {
    for (const { build } of [sealed, open, other]) await expectTurnedAway(await publish(build), 404, 422);
  });

  test('what is published, again and again: nothing large is read for it', async () => {
    const manifest = world.tree('builds', released, 'manifest.json');
    await rename(manifest, `${manifest}.away`);
    try {
      const answers = await Promise.all(Array.from({ length: 200 }, () => publish(released)));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    } finally {
      await rename(`${manifest}.away`, manifest);
    }
    await expectUntouched(world, before, { answers: [] });
  });

  test('what is signed, fifty strangers at once: it is published once, and H finds it done', async () => {
    const hostile = await HostileDepot.start(world.url);
    try {
      hostile.lie(/\/publish$/, () => ({ status: 500, headers: {}, body: Buffer.from('') }));
      expect((await world.sign([sealed.build, '--depot', hostile.url])).code).toBe(3);
    } finally {
      await hostile.close();
    }
    const answers = await Promise.all(Array.from({ length: 50 }, () => publish(sealed.build)));
    expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200));
    const made = world.agent.signatures;
    await expectSigned(world, sealed.build, '2.0', { secret: SECRET });
    expect(world.agent.signatures).toBe(made);
    expect(await litterOf(world.tree())).toEqual([]);
  });
});
