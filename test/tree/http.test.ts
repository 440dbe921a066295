/** The HTTP form against the real server, then against servers that answer what they were not asked. */
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { requestListener } from '../../src/depot/routes.ts';
import { toBuildId } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { HttpDepot } from '../../src/tree/http.ts';
import { packTar } from '../../src/tree/tar.ts';
import type { Blob, BlobRef } from '../../src/tree/tree.ts';
import {
  approvalFiles,
  artifacts,
  build,
  now,
  project,
  signerToken,
  statementFiles,
  subjects,
  tokens,
} from '../policy/scene.ts';
import { blobs, chainOf, makeDepot, releaseSignatures } from './depot.ts';
import type { DepotOnDisk } from './depot.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of cleanUp.splice(0)) await end();
});

async function listen(listener: RequestListener): Promise<string> {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUp.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
}

function connect(url: string, token: Buffer | null = null): HttpDepot {
  const depot = new HttpDepot({ url, token, insecureHttp: false, timing: { backOffMs: [1] } });
  cleanUp.push(() => depot.close());
  return depot;
}

const fetchAll = (depot: HttpDepot, wanted: readonly BlobRef[]): Promise<Blob[]> =>
  Readable.from(depot.fetchBlobs(build, wanted)).toArray();

describe('with the real server', () => {
  let here: DepotOnDisk;
  let url: string;
  beforeEach(async () => {
    here = await makeDepot();
    cleanUp.push(() => here.remove());
    const { tree, depot } = here;
    url = await listen(requestListener({ project, tree, depot, now: () => now, log: () => {} }));
  });

  test('a build goes from approved to published', async () => {
    const [operator, builder, signer] = [connect(url), connect(url, tokens.b1), connect(url, signerToken)];
    expect(await operator.submit(build, approvalFiles())).toBe('new');
    expect(await operator.submit(build, approvalFiles())).toBe('same');
    expect(await signer.builds(null)).toEqual({ builds: [build], next: null });
    expect(await signer.builds(build)).toEqual({ builds: [], next: null });

    const [one, ...others] = blobs;
    const sendOne = (): Promise<string> =>
      builder.putBlob(build, one?.sha256 ?? sha256Hex(''), one?.bytes.length ?? 0, () =>
        Readable.from([one?.bytes]),
      );
    expect(await builder.hasBlob(build, subjects[0]?.sha256 ?? sha256Hex(''))).toBe(false);
    expect(await sendOne()).toBe('new');
    expect(await sendOne()).toBe('same');
    await builder.putBlobs(build, others);
    expect(await builder.hasBlob(build, subjects[0]?.sha256 ?? sha256Hex(''))).toBe(true);
    await builder.submit(build, statementFiles());

    expect((await fetchAll(signer, subjects)).map(({ sha256 }) => sha256)).toEqual(
      subjects.map(({ sha256 }) => sha256),
    );
    const signatures = releaseSignatures();
    await signer.submit(build, chainOf(signatures));
    await signer.putSignatures(build, signatures);
    await signer.publish(build);
    await signer.publish(build);

    const consumer = connect(url);
    const file = await consumer.open('releases/hello/1.0/hello.tar.gz');
    expect(file && (await buffer(file.stream))).toEqual(artifacts['hello.tar.gz']);
    expect(await consumer.read('releases/hello/1.0/docs/hello.txt', 5)).toEqual(artifacts['docs/hello.txt']);
    await expect(consumer.read('releases/hello/1.0/docs/hello.txt', 4)).rejects.toMatchObject({
      code: 'too-large',
    });
  });

  test('what is not there is null', async () => {
    expect(await connect(url).read(`builds/${build}/approval.json`, 10)).toBeNull();
    expect(await connect(url).open('releases/hello/1.0/x')).toBeNull();
  });

  test("the gate's no arrives as its code", async () => {
    const unsigned = new Map([...approvalFiles()].filter(([name]) => name === 'approval.json'));
    await expect(connect(url).submit(build, unsigned)).rejects.toMatchObject({ kind: 'refused' });
    await connect(url).submit(build, approvalFiles());
    await expect(connect(url).putBlobs(build, blobs)).rejects.toMatchObject({
      kind: 'refused',
      code: 'token-missing',
    });
    await expect(connect(url).publish(build)).rejects.toMatchObject({
      kind: 'refused',
      code: 'release-incomplete',
    });
    await expect(fetchAll(connect(url, tokens.b1), subjects)).rejects.toMatchObject({ code: 'quarantined' });
    await expect(fetchAll(connect(url, signerToken), subjects)).rejects.toMatchObject({
      code: 'blob-missing',
    });
  });

  test('also when it comes long before the end of a large body', async () => {
    await connect(url).submit(build, approvalFiles());
    const size = 500_000_000;
    const zeros = Buffer.alloc(1_000_000);
    const source = (): Readable =>
      Readable.from(
        (function* () {
          for (let sent = 0; sent < size; sent += zeros.length) yield zeros;
        })(),
      );
    const putting = connect(url, Buffer.alloc(32)).putBlob(build, sha256Hex('x'), size, source);
    await expect(putting).rejects.toMatchObject({ kind: 'refused', code: 'token-unknown' });
  });
});

describe('what nobody asked for is not taken', () => {
  const answering = (status: number, body: string | Buffer): Promise<string> =>
    listen((request, response) => {
      request.resume();
      response.writeHead(status, { 'content-length': Buffer.byteLength(body) }).end(body);
    });
  const id = (end: string): string => `01jd9v7q3m4n5p6r7s8t9vwxy${end}`;

  test.each([
    ['out of order', { builds: [id('2'), id('1')], next: null }],
    ['twice the same', { builds: [id('1'), id('1')], next: null }],
    ['before what was asked for', { builds: [id('0')], next: null }],
    ['and then back again', { builds: [id('1')], next: id('0') }],
    ['what is no build', { builds: ['../x'], next: null }],
    ['more than a list', { builds: [], next: null, more: 1 }],
    ['no list', []],
  ])('builds: %s', async (_what, listing) => {
    const depot = connect(await answering(200, JSON.stringify(listing)));
    await expect(depot.builds(toBuildId(id('0'), 'test'))).rejects.toHaveProperty('code');
  });

  const [first = { sha256: sha256Hex(''), bytes: Buffer.alloc(0) }] = blobs;
  const wanted = [{ sha256: first.sha256, size: first.bytes.length }];
  const asFile = (name: string, bytes: Buffer): Buffer => packTar([{ name, bytes }]);
  test.each([
    ['another blob', asFile(sha256Hex('other'), first.bytes), 'blob-mismatch'],
    ['another size', asFile(first.sha256, first.bytes.subarray(1)), 'blob-mismatch'],
    ['a larger one', asFile(first.sha256, Buffer.alloc(300)), 'tar-too-large'],
    ['a name of another kind', asFile('../x', first.bytes), 'blob-mismatch'],
    ['one more', packTar([1, 2].map(() => ({ name: first.sha256, bytes: first.bytes }))), 'tar-too-large'],
    ['none', packTar([]), 'bad-answer'],
    ['no tar', Buffer.from('no tar'), 'tar-malformed'],
    ['a flood', Buffer.alloc(1_000_000), 'too-large'],
  ])('a fetch: %s', async (_what, tar, code) => {
    await expect(fetchAll(connect(await answering(200, tar), signerToken), wanted)).rejects.toMatchObject({
      code,
    });
  });

  test.each([
    [403, '{"code":"quarantined","message":"no","hint":""}', 'refused', 'quarantined'],
    [500, '{"code":"internal","message":"failed","hint":"again"}', 'unable', 'internal'],
    [429, '{"code":"busy","message":"later","hint":""}', 'unable', 'busy'],
    [403, '{"code":"two\\nlines","message":"no","hint":""}', 'refused', 'http-403'],
    [403, '{"code":"x","message":"no","hint":"","more":1}', 'refused', 'http-403'],
    [403, '<html>Forbidden</html>', 'refused', 'http-403'],
    [502, '<html>Bad Gateway</html>', 'unable', 'http-502'],
    [206, 'partial', 'unable', 'http-206'],
  ])('an error: %i %s', async (status, body, kind, code) => {
    const depot = connect(await answering(status, body));
    await expect(depot.read('releases/x', 100)).rejects.toMatchObject({ kind, code });
    await expect(depot.open('releases/x')).rejects.toMatchObject({ kind, code });
    await expect(depot.publish(build)).rejects.toMatchObject({ kind, code });
  });

  test('a path that is none is not asked for', async () => {
    for (const path of ['../x', '/x', 'a//b', 'builds/?after=x', 'x\r\nHost: y']) {
      await expect(connect('http://127.0.0.1:1').read(path, 1)).rejects.toMatchObject({
        code: 'path-malformed',
      });
    }
  });
});
