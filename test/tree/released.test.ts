/** Many files of a published release in one answer: over HTTP as in a directory, and from servers that answer otherwise. */
import { readdirSync, readlinkSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { requestListener } from '../../src/depot/routes.ts';
import { toProjectName, toVersion } from '../../src/records/names.ts';
import { HttpDepot } from '../../src/tree/http.ts';
import { packTar, streamTar, tarLength } from '../../src/tree/tar.ts';
import { BATCH } from '../../src/tree/tree.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { rawRequest } from '../harness/raw-http.ts';
import { artifacts, build, now, project, signerToken } from '../policy/scene.ts';
import { makeDepot, releaseSignatures, seal, sendRelease } from './depot.ts';
import type { DepotOnDisk } from './depot.ts';

const [name, version] = [toProjectName('hello', 'test'), toVersion('1.0', 'test')];
const signatures = releaseSignatures();
const wanted = signatures.map((file) => ({ name: file.name, size: file.bytes.length }));
const names = wanted.map((file) => file.name);

const servers: Server[] = [];
async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
}
const stop = (): void =>
  servers.splice(0).forEach((server) => {
    server.closeAllConnections();
    server.close();
  });

const connect = (url: string): HttpDepot =>
  new HttpDepot({ url, token: null, insecureHttp: false, timing: { backOffMs: [1] } });

describe('of a depot', () => {
  let here: DepotOnDisk;
  let url: string;
  let shown: readonly Depot[];
  beforeAll(async () => {
    here = await makeDepot();
    await seal(here);
    await sendRelease(here, signatures);
    const { tree, depot } = here;
    url = await listen(requestListener({ project, tree, depot, now: () => now, log: () => {} }));
    shown = [depot, connect(url)];
    for (const unpublished of shown) {
      await expect(unpublished.fetchReleased(name, version, wanted)).rejects.toMatchObject({
        code: 'not-found',
      });
      await expect(unpublished.releasedSizes(name, version, names)).rejects.toMatchObject({
        code: 'not-found',
      });
    }
    await here.depot.as(signerToken).publish(build);
  });
  afterAll(() => {
    stop();
    return here.remove();
  });

  test('anybody reads them, in the order asked for, and their sizes as they are on the disk', async () => {
    for (const depot of shown) {
      const reversed = wanted.toReversed();
      expect(await depot.fetchReleased(name, version, reversed)).toEqual(
        signatures.map(({ bytes }) => bytes).toReversed(),
      );
      expect(await depot.releasedSizes(name, version, ['hello.tar.gz', 'no', 'docs'])).toEqual([
        artifacts['hello.tar.gz']?.length,
        null,
        null,
      ]);
    }
  });

  test.each(['no', '../1.0/SHA256SUMS', '/etc/passwd', 'docs', 'docs/../SHA256SUMS', 'a\nb', ''])(
    'a name that is none, %j, and nothing is answered',
    async (other) => {
      for (const depot of shown)
        await expect(
          depot.fetchReleased(name, version, [...wanted, { name: other, size: 1 }]),
        ).rejects.toMatchObject({ kind: 'refused' });
    },
  );

  test('a size that is not, and nothing is taken', async () => {
    for (const depot of shown)
      for (const more of [-1, 1]) {
        const others = wanted.map((file, at) => ({ ...file, size: file.size + (at === 1 ? more : 0) }));
        await expect(depot.fetchReleased(name, version, others)).rejects.toHaveProperty('code');
      }
  });

  /** How many files of the release are open at once, at most, while many ask for these. */
  async function openTogether(release: string, files: readonly string[]): Promise<number> {
    const wanted = files.map((file) => ({ name: file, size: 5 }));
    let [most, asked] = [0, 0];
    const look = (): void => {
      let open = 0;
      for (const descriptor of readdirSync('/proc/self/fd'))
        try {
          if (readlinkSync(`/proc/self/fd/${descriptor}`).startsWith(release)) open += 1;
        } catch {
          // closed meanwhile
        }
      most = Math.max(most, open);
    };
    const asking = Array.from({ length: 40 }, async () => {
      for await (const _ of here.depot.readReleased(name, version, wanted)) if (asked++ % 20 === 0) look();
    });
    await Promise.all(asking);
    return most;
  }

  test('at most a batch, in files and in bytes', async () => {
    const path = '/releases/hello/1.0/fetch';
    const post = async (list: readonly string[], what = path) => {
      const body = Buffer.from(JSON.stringify(list));
      const answer = await rawRequest(url, { method: 'POST', path: what, body });
      return answer.status;
    };
    const release = join(here.directory, 'releases/hello/1.0');
    const large = Array.from({ length: BATCH.bytes / BATCH.fileBytes }, (_, at) => `large-${at}.asc`);
    for (const file of large) await writeFile(join(release, file), Buffer.alloc(BATCH.fileBytes, file));
    await writeFile(join(release, 'larger.asc'), Buffer.alloc(BATCH.fileBytes + 1));
    const many = (count: number, file: string): string[] =>
      Array.from({ length: count }, (_, at) => `${file}-${at}`);
    expect(await post(large)).toBe(200);
    const whole = large.map((file) => ({ name: file, size: BATCH.fileBytes }));
    for (const depot of shown)
      for (const [at, bytes] of (await depot.fetchReleased(name, version, whole)).entries())
        expect(bytes.equals(Buffer.alloc(BATCH.fileBytes, large[at]))).toBe(true);
    for await (const bytes of here.depot.readReleased(name, version, whole))
      expect(bytes.length, 'what lies in memory while nobody takes it').toBeLessThanOrEqual(64 * 1024);
    expect(await post([...large, 'SHA256SUMS.asc'])).toBe(413);
    expect(await post(['larger.asc'])).toBe(413);
    await Promise.all(many(BATCH.files, 'small').map((file) => writeFile(join(release, file), 'small')));
    expect(await post(many(BATCH.files, 'small'))).toBe(200);
    expect(await openTogether(release, many(64, 'small')), 'files open for forty that ask').toBeLessThan(20);
    for (const what of [path, '/releases/hello/1.0/sizes']) {
      expect(await post(many(BATCH.files + 1, 'small'), what)).toBe(422);
      expect(await post(['small-1', 'small-2', 'small-1'], what), 'one twice').toBe(422);
      expect(await post([], what)).toBe(422);
      expect(await post(['x'.repeat(301)], what)).toBe(422);
      expect(await post(many(BATCH.files, 'x'.repeat(1000)), what)).toBe(413);
    }
  });
});

describe('of a server that answers otherwise', () => {
  afterEach(stop);
  const answering = (status: number, body: Buffer | string): Promise<string> =>
    listen((request, response) => {
      request.resume();
      response.writeHead(status, { 'content-length': Buffer.byteLength(body) }).end(body);
    });
  const two = signatures.slice(0, 2);
  const [one = { name: '', bytes: Buffer.alloc(0) }, other = one] = two;

  test.each([
    ['swapped', packTar([other, one])],
    ['one twice', packTar([one, one])],
    [
      'each for the other',
      packTar([
        { ...one, name: other.name },
        { ...other, name: one.name },
      ]),
    ],
    ['one short', packTar([one])],
    ['cut', packTar(two).subarray(0, 1500)],
    ['a short one', packTar([one, { ...other, bytes: other.bytes.subarray(1) }])],
    ['a long one', packTar([one, { ...other, bytes: Buffer.concat([other.bytes, Buffer.alloc(1)]) }])],
    ['one more', packTar([...two, one])],
    ['a flood', Buffer.alloc(10_000_000)],
    ['none', packTar([])],
    ['text', Buffer.from('here you are')],
  ])('%s', async (_, tar) => {
    const depot = connect(await answering(200, tar));
    const asked = two.map((file) => ({ name: file.name, size: file.bytes.length }));
    await expect(depot.fetchReleased(name, version, asked)).rejects.toHaveProperty('code');
    const honest = connect(await answering(200, packTar(two)));
    expect(await honest.fetchReleased(name, version, asked)).toEqual(two.map(({ bytes }) => bytes));
  });

  test.each(['[]', '[1]', '[1,2,3]', '[1,-1]', '[1,"2"]', '[1,1.5]', '[1,9007199254740993]', '{}', 'no'])(
    'the sizes of two files: %s',
    async (sizes) => {
      const depot = connect(await answering(200, sizes));
      await expect(depot.releasedSizes(name, version, ['a', 'b'])).rejects.toHaveProperty('code');
    },
  );

  test.each([404, 405, 501])('plain files, status %i: it is said, once', async (status) => {
    let asked = 0;
    const depot = connect(
      await listen((request, response) => {
        asked += 1;
        request.resume();
        response.writeHead(status, { 'content-length': 0 }).end();
      }),
    );
    await expect(depot.fetchReleased(name, version, wanted)).rejects.toMatchObject({
      code: `http-${status}`,
    });
    expect(asked).toBe(1);
  });
});

test('a tar that is streamed is the tar that is packed, and as long as was said', async () => {
  const files = [...signatures, { name: `${'d/'.repeat(60)}x`, bytes: Buffer.alloc(100_000, 1) }];
  files.push({ name: 'empty', bytes: Buffer.alloc(0) }, { name: 'block', bytes: Buffer.alloc(512, 2) });
  async function* coming() {
    for (const { bytes } of files) {
      yield bytes.subarray(0, 60_000);
      if (bytes.length > 60_000) yield bytes.subarray(60_000);
    }
  }
  const heads = files.map((file) => ({ name: file.name, size: file.bytes.length }));
  const streamed: Buffer[] = [];
  for await (const piece of streamTar(heads, coming())) streamed.push(piece);
  expect(Buffer.concat(streamed).equals(packTar(files))).toBe(true);
  expect(tarLength(heads)).toBe(packTar(files).length);
});
