import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { sha256Hex } from '../../src/records/sha256.ts';
import { GatedDepot } from '../../src/tree/gated.ts';
import type { Blob, BlobRef } from '../../src/tree/tree.ts';
import {
  approval,
  approvalFiles,
  build,
  minutes,
  now,
  project,
  signerToken,
  statementFiles,
  tokens,
  without,
} from '../policy/scene.ts';
import { blobs, makeDepot, put, sendRelease } from './depot.ts';
import type { DepotOnDisk } from './depot.ts';

let here: DepotOnDisk;
const time = { now };
beforeEach(async () => {
  time.now = now;
  here = await makeDepot({}, time);
});
afterEach(() => here.remove());

const denied = (status: number, code: string): object => ({ kind: 'refused', status, code });
const fetchAll = (depot: GatedDepot, blobs: readonly BlobRef[]): Promise<Blob[]> =>
  Readable.from(depot.fetchBlobs(build, blobs)).toArray();
const temporaries = (): Promise<string[]> => readdir(join(here.directory, '.tmp'));

describe('records', () => {
  test('come with their authority or not at all', async () => {
    const unsigned = new Map([['approval.json', approvalFiles().get('approval.json') ?? Buffer.alloc(0)]]);
    await expect(here.depot.submit(build, unsigned)).rejects.toMatchObject({ kind: 'refused', status: 403 });
    expect(await here.tree.list(`builds/${build}`)).toEqual([]);
    expect(await here.depot.submit(build, approvalFiles())).toBe('new');
    expect(await here.depot.submit(build, approvalFiles())).toBe('same');
  });

  test('are all written, or none', async () => {
    await here.depot.submit(build, approvalFiles());
    await here.builder.putBlobs(build, blobs);
    const files = statementFiles();
    files.set('statements/b1.json.sig', Buffer.from('junk'));
    await expect(here.builder.submit(build, files)).rejects.toMatchObject({ kind: 'refused' });
    expect(await here.tree.list(`builds/${build}/statements`)).toEqual([]);
  });

  test('of one build are judged one after the other: the second of two approvals finds the first', async () => {
    const other = approvalFiles({ ...approval, source: null });
    const both = await Promise.allSettled([
      here.depot.submit(build, approvalFiles()),
      here.depot.submit(build, other),
    ]);
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(both[1]).toMatchObject({ reason: { status: 409 } });
    const statements = [statementFiles(), statementFiles()].map((files) => here.builder.submit(build, files));
    // the subjects are not there yet
    await expect(Promise.all(statements)).rejects.toMatchObject({ kind: 'refused' });
  });
});

describe('a blob', () => {
  const bytes = Buffer.from('content');
  beforeEach(() => here.depot.submit(build, approvalFiles()));

  test('is streamed in, named by its digest, and kept in quarantine', async () => {
    expect(await put(here.builder, bytes)).toBe('new');
    const path = `builds/${build}/blobs/${sha256Hex(bytes)}`;
    await expect(here.depot.open(path)).rejects.toMatchObject(denied(401, 'token-missing'));
    await expect(here.builder.read(path, 100)).rejects.toMatchObject({ status: 403 });
    expect(await here.builder.size(path)).toBe(7);
    expect(await here.builder.hasBlob(build, sha256Hex(bytes))).toBe(true);
    expect(await here.builder.hasBlob(build, sha256Hex('other'))).toBe(false);
    const opened = await here.depot.as(signerToken).open(path);
    expect(opened && (await buffer(opened.chunks({ start: 3, end: 4 }))).toString()).toBe('te');
  });

  test('is not asked for again when it is there', async () => {
    await put(here.builder, bytes);
    const source = (): Readable => {
      throw new Error('asked again');
    };
    expect(await here.builder.putBlob(build, sha256Hex(bytes), 7, source)).toBe('same');
  });

  test.each([
    ['shorter than it said', { size: 8 }],
    ['longer than it said', { size: 6 }],
    ['with another digest', { sha256: sha256Hex('other') }],
  ])('%s is refused, and nothing of it is left', async (_what, says) => {
    await expect(put(here.builder, bytes, says)).rejects.toMatchObject({
      kind: 'refused',
      code: 'blob-mismatch',
    });
    expect(await here.tree.list(`builds/${build}/blobs`)).toEqual([]);
    expect(await temporaries()).toEqual([]);
  });

  test('without end is stopped at its size', async () => {
    let sent = 0;
    async function* endless(): AsyncGenerator<Buffer> {
      for (; ; sent += 100) yield Buffer.alloc(100);
    }
    const putting = here.builder.putBlob(build, sha256Hex(bytes), 1000, endless);
    await expect(putting).rejects.toMatchObject({ code: 'blob-mismatch' });
    expect(sent).toBeLessThan(2000);
  });

  test('that breaks off is forgotten, and does not count', async () => {
    async function* broken(): AsyncGenerator<Buffer> {
      yield Buffer.from('con');
      throw new Error('connection lost');
    }
    for (let attempt = 0; attempt < 20; attempt++) {
      await expect(here.builder.putBlob(build, sha256Hex(bytes), 1000, broken)).rejects.toThrow('lost');
    }
    expect(await temporaries()).toEqual([]);
    expect(await put(here.builder, bytes)).toBe('new');
  });

  test('needs a token, and a build that is approved and not over', async () => {
    await expect(put(here.depot, bytes)).rejects.toMatchObject({ status: 401 });
    await expect(put(here.depot.as(Buffer.alloc(32)), bytes)).rejects.toMatchObject({ status: 403 });
    time.now = minutes(24 * 60);
    await expect(put(here.builder, bytes)).rejects.toMatchObject(denied(403, 'expired'));
  });
});

describe('limits of a build', () => {
  const some = (count: number): Buffer[] =>
    Array.from({ length: count }, (_, at) => Buffer.from(`blob ${at}`));
  beforeEach(() => here.depot.submit(build, approvalFiles()));

  test('hold for blobs that are sent at the same time', async () => {
    const all = await Promise.allSettled(some(30).map((bytes) => put(here.builder, bytes)));
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
    expect(all.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: denied(413, 'too-many'),
    });
    expect(await here.tree.list(`builds/${build}/blobs`)).toHaveLength(10);
  });

  test('the same blob twice at once counts as one', async () => {
    const bytes = Buffer.from('the same');
    await Promise.all([put(here.builder, bytes), put(here.builder, bytes)]);
    for (const other of some(9)) await put(here.builder, other);
    await expect(put(here.builder, Buffer.from('one more'))).rejects.toMatchObject(denied(413, 'too-many'));
  });

  test('count what was there before the process began', async () => {
    for (const bytes of some(10)) await put(here.builder, bytes);
    const { tree } = here;
    const restarted = GatedDepot.over({ tree, rules: project, now: () => now });
    const more = put(restarted.as(tokens.b1), Buffer.from('one more'));
    await expect(more).rejects.toMatchObject(denied(413, 'too-many'));
  });

  test('are those of each blob and of all together', async () => {
    await expect(put(here.builder, Buffer.alloc(1001))).rejects.toMatchObject(denied(413, 'too-large'));
    await put(here.builder, Buffer.alloc(1000, 1));
    await put(here.builder, Buffer.alloc(1000, 2));
    await expect(put(here.builder, Buffer.alloc(1))).rejects.toMatchObject(denied(413, 'total-too-large'));
  });
});

describe('many small files together', () => {
  beforeEach(() => here.depot.submit(build, approvalFiles()));

  test('go in and come out in the order asked for', async () => {
    await here.builder.putBlobs(build, blobs);
    const refs = blobs.map(({ sha256, bytes }) => ({ sha256, size: bytes.length })).reverse();
    const fetched = await fetchAll(here.depot.as(signerToken), refs);
    expect(fetched).toEqual([...blobs].reverse());
  });

  test('with one wrong: that one is not kept', async () => {
    const wrong = { sha256: sha256Hex('right'), bytes: Buffer.from('wrong') };
    await expect(here.builder.putBlobs(build, [wrong])).rejects.toMatchObject({ code: 'blob-mismatch' });
    expect(await here.tree.list(`builds/${build}/blobs`)).toEqual([]);
  });

  test('of whoever has no token cost no look at what was released', async () => {
    await sendRelease(here);
    const { tree } = here;
    const restarted = GatedDepot.over({ tree, rules: project, now: () => now });
    const read = vi.spyOn(tree, 'read');
    await expect(put(restarted, Buffer.from('more'))).rejects.toMatchObject({ code: 'token-missing' });
    expect(read.mock.calls.map(([path]) => path)).not.toContainEqual(expect.stringContaining('manifest'));
    read.mockRestore();
  });

  test('are fetched by the signer alone, and a missing one is said', async () => {
    const ref = { sha256: sha256Hex('missing'), size: 7 };
    await expect(fetchAll(here.builder, [ref])).rejects.toMatchObject({ status: 403 });
    await expect(fetchAll(here.depot.as(signerToken), [ref])).rejects.toMatchObject({ code: 'blob-missing' });
  });
});

test('what does not exist is null, what is no path is not there', async () => {
  expect(await here.depot.read(`builds/${build}/approval.json`, 100)).toBeNull();
  expect(await here.depot.read('log/../secret', 100)).toBeNull();
  expect(await here.depot.read('.tmp/x', 100)).toBeNull();
  expect(await here.depot.builds(null)).toEqual({ builds: [], next: null });
});

test('builds are listed from the files alone', async () => {
  await here.depot.submit(build, approvalFiles());
  expect(await here.depot.builds(null)).toEqual({ builds: [build], next: null });
  expect(await here.depot.builds(build)).toEqual({ builds: [], next: null });
});

test('an approval without its signature is not one', async () => {
  const name = [...approvalFiles().keys()].find((file) => file.endsWith('.sig')) ?? '';
  await expect(here.depot.submit(build, without(approvalFiles(), name))).rejects.toMatchObject({
    status: 403,
  });
});
