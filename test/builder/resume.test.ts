/** A large artifact on its way, and who is sending or receiving it is killed: it goes on where it was. */
import { createHash, randomBytes } from 'node:crypto';
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { CuttingProxy } from '../harness/cutting-proxy.ts';
import { until } from '../harness/until.ts';
import { World, mustBe } from '../harness/world.ts';
import type { Approved } from '../harness/world.ts';
import type { Ran } from '../harness/program.ts';

const MIB = 1024 * 1024;
const bytes = randomBytes(8 * MIB);
const sha256 = createHash('sha256').update(bytes).digest('hex');

let world: World;
let proxy: CuttingProxy;
let approved: Approved;
let base: string;
let versions = 0;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.close());
beforeEach(async () => {
  approved = await world.approve(`1.${++versions}`);
  base = await world.place({ 'large.bin': bytes });
  proxy = await CuttingProxy.start(world.url);
  proxy.how = 'silence';
  proxy.budgets = [4 * MIB];
});
afterEach(() => proxy.close());

const attest = (kill?: AbortSignal): Promise<Ran> => {
  const args = ['attest', '--ticket', approved.ticket, '--depot', proxy.url, '--base', base, base, '--json'];
  return world.runOn('M', args, kill ? { kill } : {});
};
const halfArrived = (): Promise<void> =>
  until('half of it', async () => {
    const place = world.path('L', 'data', '.tmp');
    const piece = (await readdir(place)).find((name) => name.includes(sha256));
    return piece !== undefined && (await stat(join(place, piece))).size > 3 * MIB;
  });
const expectWhole = async (): Promise<void> => {
  const blob = await readFile(world.path('L', 'data', 'builds', approved.build, 'blobs', sha256));
  expect(blob.equals(bytes)).toBe(true);
  const left = await readdir(world.path('L', 'data', '.tmp'));
  expect(left.filter((name) => name.includes(sha256))).toEqual([]);
  expect(proxy.offsets.at(-1)).toBeGreaterThan(3 * MIB);
};

test('attest is killed, and run again', async () => {
  const kill = new AbortController();
  const killed = attest(kill.signal);
  await halfArrived();
  kill.abort();
  expect((await killed).code).toBeNull();
  const again = await attest();
  mustBe(0, again);
  expect(again.stderr).toMatch(/going on with large\.bin: the depot has [\d.]+ MiB of 8 MiB/);
  await expectWhole();
});

test('attest is interrupted: it says what is kept, and the signal ends it', async () => {
  const interrupt = new AbortController();
  const attesting = attest(interrupt.signal);
  await halfArrived();
  interrupt.abort('SIGINT');
  const interrupted = await attesting;
  expect(interrupted.code).toBeNull();
  // the statement is sealed while the upload stands still
  expect(interrupted.stderr.trim().split('\n').at(-1)).toMatch(
    /^interrupted; run it again: (the signed statement is kept|nothing is signed yet, and the ticket is good)/,
  );
  mustBe(0, await attest());
  await expectWhole();
});

test('the depot is killed, and comes back while attest runs', async () => {
  const attesting = attest();
  await halfArrived();
  await world.stopServer('SIGKILL');
  await world.startServer();
  const attested = await attesting;
  mustBe(0, attested);
  expect(attested.stderr).toMatch(/^the depot does not answer \(.*\); trying again in 0\.\d s$/m);
  expect(attested.stderr).toMatch(/^the depot is back$/m);
  await expectWhole();
});

test('the depot is away for eight seconds, large and small files on their way: each is sent once', async () => {
  const small = Object.fromEntries(
    Array.from({ length: 100 }, (_, at) => [`small-${at}.bin`, randomBytes(20_000)]),
  );
  base = await world.place({ 'large.bin': bytes, ...small });
  const attesting = attest();
  await halfArrived();
  await until('the small ones', () => proxy.answered.some((line) => /^POST \S+\/blobs /.test(line)));
  await world.stopServer('SIGKILL');
  await sleep(8_000);
  await world.startServer();
  const attested = await attesting;
  mustBe(0, attested);
  expect(attested.stderr).toMatch(/^the depot does not answer \(.*\); trying again in [67] s$/m);
  await expectWhole();
  // but for what had not reached the disk, and what is no file
  expect(proxy.passed).toBeGreaterThan(10_000_000);
  expect(proxy.passed).toBeLessThan(11.5 * MIB);
});
