/**
 * Somebody on L writes, cuts, removes or renames an artifact while H reads it: through `serve`, and where H reads the
 * depot's directory itself. H signs the bytes that it has read, if they are those of the statement, or nothing.
 */
import { appendFile, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { sha256Hex } from '../../src/records/sha256.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import type { Ran } from '../harness/program.ts';
import { freePort, mustBe, World } from '../harness/world.ts';
import { entries, verdicts } from './outcome.ts';
import { stoppedAt } from './stopped.ts';

/** More than what lies in the buffers between L and H. */
const SIZE = 24 * 1024 * 1024;
const right = Buffer.alloc(SIZE, 'right ');
const wrong = Buffer.alloc(SIZE, 'wrong ');

let world: World;
let closing: (() => void)[] = [];
beforeAll(async () => {
  world = await World.make();
});
afterEach(() => {
  for (const close of closing.splice(0)) close();
});
afterAll(() => world.close());

/** A way to L on which, once a MiB has come back, nothing moves until `act` is done; the first time only. */
async function relay(act: () => Promise<unknown>): Promise<string> {
  const { hostname, port } = new URL(world.url);
  let done = false;
  const sockets: Socket[] = [];
  const server: Server = createServer((client) => {
    const depot = connect(Number(port), hostname);
    sockets.push(client, depot);
    client.on('error', () => depot.destroy()).pipe(depot);
    depot.on('error', () => client.destroy()).pipe(client);
    let received = 0;
    depot.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (done || received < 1024 * 1024) return;
      done = true;
      depot.pause();
      void act().finally(() => depot.resume());
    });
  });
  const listening = await freePort();
  await new Promise<void>((resolve) => server.listen(listening, '127.0.0.1', resolve));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${listening}`;
}

type Act = (blob: string) => Promise<unknown>;
type Sign = (build: string, blob: string, act: Act) => Promise<Ran>;

/** L says at once that it cannot go on: an H that waits for the rest is ended, and fails the test. */
const throughServer: Sign = async (build, blob, act) =>
  world.sign([build, '--depot', await relay(() => act(blob))], { timeoutMs: 25_000 });

/** H stops when it has opened the file and reads for the second time. */
const inDirectory: Sign = (build, blob, act) => {
  const args = ['sign', build, '--once', '--yes', '--json', '--depot', world.tree()];
  return stoppedAt(world, 'H', args, { call: 'read,pread64', path: blob, nth: 2 }, () => act(blob));
};

describe.each<[string, string, Sign]>([
  ['through serve', '1', throughServer],
  ['in the directory itself', '2', inDirectory],
])('%s', (_, version, sign) => {
  let build = '';
  let blob = '';
  beforeAll(async () => {
    const approved = await world.approve(version);
    mustBe(0, await world.attest(approved.ticket, { app: right }));
    build = approved.build;
    blob = world.tree('builds', build, 'blobs', sha256Hex(right));
  });

  test.each<[string, Act]>([
    ['it is written anew, in place', (path) => writeFile(path, wrong)],
    ['it is cut', (path) => truncate(path, SIZE / 2)],
    [
      'its end is written anew',
      async (path) => {
        await truncate(path, SIZE - 6);
        await appendFile(path, 'wrong ');
      },
    ],
  ])('%s: nothing is signed, and put back it can be', async (_, act) => {
    const before = await snapshot(world);
    const ran = await sign(build, blob, act);
    expect(verdicts(ran), ran.stderr).toEqual(['built artifact-wrong']);
    mustBe(1, ran);
    await expectUntouched(world, before, { answers: [ran] });
    await rm(blob);
    await writeFile(blob, right);
  });

  test('another is renamed over it: what was read is what is signed, and what L has is not published', async () => {
    const made = world.agent.signatures;
    const ran = await sign(build, blob, async (path) => {
      await writeFile(world.path('L', 'other'), wrong);
      await rename(world.path('L', 'other'), path);
    });
    expect(verdicts(ran), ran.stderr).toEqual(['signed blob-damaged']);
    mustBe(3, ran);
    await expect(readFile(world.tree('releases/widget', version, 'app'))).rejects.toMatchObject({
      code: 'ENOENT',
    });
    expect(world.agent.signatures - made, 'the artifact and SHA256SUMS').toBe(2);
    expect((await entries(world, build)).join(' ')).toBe('approval statement intent release');
    await rm(blob);
    await writeFile(blob, right);
    mustBe(0, await world.sign([build]));
    expect(world.agent.signatures - made, 'signed once').toBe(2);
  });
});

test.each<[string, Act, RegExp, number]>([
  ['grows', (path) => appendFile(path, 'more'), /^built artifact-wrong$/, 1],
  ['is removed', rm, /^signed (blob-damaged|release-incomplete)$/, 3],
])(
  'one that %s while H reads: published once it is as it was, signed once',
  async (how, act, verdict, status) => {
    const version = `3.${how.length}`;
    const approved = await world.approve(version);
    const content = Buffer.alloc(3_000_000, how);
    mustBe(0, await world.attest(approved.ticket, { app: content }));
    const blob = world.tree('builds', approved.build, 'blobs', sha256Hex(content));
    const made = world.agent.signatures;
    const ran = await inDirectory(approved.build, blob, act);
    expect(verdicts(ran)[0]).toMatch(verdict);
    mustBe(status, ran);
    await rm(blob, { force: true });
    await writeFile(blob, content);
    mustBe(0, await world.sign([approved.build]));
    expect(world.agent.signatures - made, 'the artifact and SHA256SUMS').toBe(2);
    expect((await readFile(world.tree('releases/widget', version, 'app'))).equals(content)).toBe(true);
  },
);
