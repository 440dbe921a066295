/** A stick that is pulled out, a directory that is moved away, in the middle of the work: said at once, and carried on later. */
import { mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectRefusal } from '../harness/invariants.ts';
import type { Ran } from '../harness/program.ts';
import { describeAsRoot, rootCan } from '../harness/root.ts';
import { World, mustBe } from '../harness/world.ts';
import { contentsOf } from '../tree/copies.ts';

const FILES = 8;
let world: World;
let depot: string;
let large: string;
beforeAll(async () => {
  world = await World.make();
  await world.stopServer();
  depot = world.path('depot');
  large = await sealed('1.0', 8 << 20);
  await sealed('1.1', 10);
});
afterAll(() => world.close());

/** A build that waits. */
async function sealed(version: string, size: number, at = depot): Promise<string> {
  const approved = await world.approve(version, ['--depot', at]);
  mustBe(0, approved);
  const { build, ticket } = approved;
  const files = Array.from({ length: FILES }, (_, i) => [`${i}.bin`, Buffer.alloc(size, i + 1)] as const);
  mustBe(0, await world.attest(ticket, Object.fromEntries(files)));
  return build;
}

const sync = (from: string, to: string): Promise<Ran> =>
  world.runOn('operator', ['sync', from, to, '--json']);

/** When the first artifact of the large build is there, and not yet the last. */
async function begun(to: string): Promise<void> {
  const end = Date.now() + 20_000;
  const blobs = join(to, 'builds', large, 'blobs');
  while ((await readdir(blobs).catch(() => [])).length === 0 && Date.now() < end) await sleep(1);
}

function expectGone(ran: Ran, directory: string): void {
  mustBe(3, ran);
  // and no other build is begun
  expect(ran.json.filter((record) => 'build' in record)).toMatchObject([
    { build: large, state: 'unfinished', code: 'no-depot' },
  ]);
  expect(ran.stderr).toContain(`${directory} is gone`);
  expect(ran.stderr).toContain('hint: is it mounted? put it back and run this again');
}

describe('sync', () => {
  test.each(['TO', 'FROM'])('ends when %s is gone, and goes on when it is there again', async (end) => {
    const to = world.path(`without-${end}`);
    const gone = end === 'TO' ? to : depot;
    const running = sync(depot, to);
    await begun(to);
    await rename(gone, `${gone}.moved`);
    expectGone(await running, gone);
    await rename(`${gone}.moved`, gone);
    const again = await sync(depot, to);
    mustBe(0, again);
    expect(again.json.map(({ state }) => state)).toEqual(['carried', 'carried']);
    expect(await contentsOf(to)).toEqual(await contentsOf(depot));
  });
});

test('sign without its depot ends in good order; put back, what was signed is not signed again', async () => {
  let moved = 0;
  world.agent.before = async (command) => {
    if (command === 'PKSIGN' && moved++ === 0) await rename(depot, `${depot}.moved`);
  };
  const ran = await world.sign([large, '--depot', depot]);
  world.agent.before = () => {};
  mustBe(3, ran);
  expect(ran.json).toMatchObject([
    // whether it is revoked can't be asked: the release is not logged before
    { build: large, state: 'verified', code: 'no-depot' },
    { log: 'unfinished' },
  ]);
  expect(ran.stderr).toContain('hint: put it back and run this again: nothing is signed twice');
  expect(ran.stdout + ran.stderr).not.toContain('.tmp');
  const { signatures } = world.agent;
  await rename(`${depot}.moved`, depot);
  mustBe(0, await world.sign([large, '--depot', depot]));
  expect(world.agent.signatures).toBe(signatures);
});

describeAsRoot('a stick', ['unshare', '--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt'], () => {
  let stick: string;
  beforeAll(async () => {
    stick = world.path('stick');
    await mkdir(stick);
    const ours = `uid=${process.getuid?.()},gid=${process.getgid?.()},mode=755`;
    expect(rootCan(['mount', '-t', 'tmpfs', '-o', ours, 'none', stick])).toBe(true);
  });
  afterAll(() => void rootCan(['umount', '-l', stick]));

  test('that can’t be written says so, and how to mend it', async () => {
    const build = await sealed('2.0', 10, stick);
    expect(rootCan(['mount', '-o', 'remount,ro', stick])).toBe(true);
    const ran = await world.sign([build, '--depot', stick]);
    expect(rootCan(['mount', '-o', 'remount,rw', stick])).toBe(true);
    mustBe(3, ran);
    expect(ran.json).toMatchObject([{ build, state: 'signed', code: 'disk' }, { log: 'unfinished' }]);
    expect(ran.stderr).toContain('hint: it is mounted read-only: mount it so that it can be written');
    mustBe(0, await world.sign([build, '--depot', stick]));
  });

  test('that is pulled out leaves an empty directory: nothing is written into that', async () => {
    const running = sync(depot, stick);
    await begun(stick);
    expect(rootCan(['umount', '-l', stick])).toBe(true);
    const ran = await running;
    expectGone(ran, stick);
    expect(await readdir(stick)).toEqual([]);
    expectRefusal(ran);
  });
});
