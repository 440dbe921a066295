/** A disk that gets full: builders are turned away in time, and what was sealed is still signed, published and taken back. */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseTicket } from '../../src/records/ticket.ts';
import { parseSize } from '../../src/cli/values.ts';
import { Reserve } from '../../src/tree/reserve.ts';
import type { Room } from '../../src/tree/tree.ts';
import { canMount, SmallDisk } from '../faults/room.ts';
import { rawRequest } from '../harness/raw-http.ts';
import { until } from '../harness/until.ts';
import { World, mustBe } from '../harness/world.ts';

const MIB = 1024 * 1024;
const KEPT = 10 * MIB;
const FULL = { kind: 'unable', code: 'disk-reserve' };

describe('counted', () => {
  let room: Room | null;
  let time: number;
  let asked: number;
  let refused: number;
  const reserve = (bytes: number | null = KEPT): Reserve => {
    room = { bytes: 20 * MIB, ofBytes: 1000 * MIB, files: null, ofFiles: null };
    [time, asked, refused] = [0, 0, 0];
    const tree = {
      room: async (): Promise<Room | null> => {
        asked += 1;
        return room;
      },
    };
    return new Reserve(
      tree,
      bytes,
      () => (refused += 1),
      () => time,
    );
  };

  test('uploads under way count as what they are to become', async () => {
    const full = reserve();
    const one = await full.promise([6 * MIB]);
    await expect(full.promise([6 * MIB])).rejects.toMatchObject(FULL);
    expect(refused).toBe(1);
    // it is on the disk, which the system says from now on
    await one.arrived(5 * MIB);
    time = 1000;
    room = { bytes: 15 * MIB, ofBytes: 1000 * MIB, files: null, ofFiles: null };
    await expect(full.promise([5 * MIB])).rejects.toMatchObject(FULL);
    await full.promise([3 * MIB]);
  });

  test('what is written between two looks is not forgotten', async () => {
    const full = reserve();
    const one = await full.promise([6 * MIB]);
    await one.arrived(6 * MIB);
    one.end();
    one.end();
    await expect(full.promise([6 * MIB])).rejects.toMatchObject(FULL);
    time = 1000;
    await full.promise([6 * MIB]);
  });

  test('words alone hold a window, and nothing for long', async () => {
    const full = reserve(0);
    const set = (free: number): void => void (room = { ...room!, bytes: free * MIB });
    set(150);
    const large = await full.promise([2 ** 40]);
    const other = await full.promise([2 ** 40]);
    // a third window does not fit, and what is small does
    await expect(full.promise([2 ** 40])).rejects.toMatchObject(FULL);
    await full.promise([MIB]);
    // as bytes come more is promised, until there is no more
    for (let come = 0; come < 60; come += 4) await large.arrived(4 * MIB);
    await expect(
      (async () => {
        for (let come = 0; come < 100; come += 4) await large.arrived(4 * MIB);
      })(),
    ).rejects.toMatchObject(FULL);
    large.end();
    // nothing has come to the other one
    [time, room] = [31_000, { ...room!, bytes: 70 * MIB }];
    const third = await full.promise([2 ** 40]);
    await expect(other.arrived(1)).rejects.toMatchObject(FULL);
    third.end();
  });

  test('0 is none', () => {
    const none = reserve(0).kept({ ofBytes: 1000 * MIB, ofFiles: 2 ** 20 });
    expect(none).toEqual({ bytes: 0, files: 0 });
    expect(parseSize('0', '--reserve')).toBe(0);
  });

  test('the system is asked once a second', async () => {
    const full = reserve();
    for (time = 0; time < 2000; time += 100) await full.promise([1]);
    expect(asked).toBe(2);
  });

  test('inodes, too, where there is an end to them', async () => {
    const full = reserve();
    room = { bytes: 20 * MIB, ofBytes: 20 * MIB, files: 104, ofFiles: 2000 };
    const some = await full.promise([1, 1, 1, 1]);
    await expect(full.promise([1])).rejects.toMatchObject(FULL);
    some.end();
    time = 1000;
    await full.promise([1]);
  });

  test('a twentieth of a small disk; nothing where there are no bounds', async () => {
    const full = reserve(null);
    expect(full.kept({ ofBytes: 1000 * MIB, ofFiles: null }).bytes).toBe(50 * MIB);
    expect(full.kept({ ofBytes: 2 ** 50, ofFiles: 2 ** 50 })).toEqual({ bytes: 1024 * MIB, files: 10_000 });
    await expect(full.promise([1])).rejects.toMatchObject(FULL);
    [room, time] = [null, 1000];
    await full.promise([2 ** 50]);
  });
});

describe.skipIf(!canMount())('on a small disk', { timeout: 120_000 }, () => {
  let world: World;
  let disk: SmallDisk;
  beforeAll(async () => {
    world = await World.make();
    await world.stopServer();
    await mkdir(world.tree(), { recursive: true });
    disk = SmallDisk.over(world.tree());
    await world.startServer(['--reserve', '20M']);
  }, 60_000);
  afterAll(async () => {
    await world.stopServer();
    disk.close();
    await world.close();
  });

  test('builders are told; the signer, approvers and readers notice nothing', async () => {
    const files = { 'small.bin': 'sealed in time' };
    const sealed = await world.approve('1.0');
    mustBe(0, await world.attest(sealed.ticket, files));

    const late = await world.approve('2.0');
    const pieces = Object.fromEntries(
      ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => [name, randomBytes(10 * MIB)]),
    );
    // it waits as long as it may for somebody who makes room
    const full = await world.attest(late.ticket, pieces, ['--patience', '2s']);
    expect(full.stderr).toContain('status 507');
    expect(full).toMatchObject({ code: 3, error: { code: 'disk-reserve' } });
    expect(full.error?.hint).toContain('--reserve');

    const { uploadToken } = parseTicket((await readFile(late.ticket, 'utf8')).trim());
    const token = Buffer.from(uploadToken, 'base64url');
    const path = `/builds/${late.build}/blobs/${'0'.repeat(64)}`;
    const answer = await rawRequest(world.url, { method: 'PUT', path, token, body: randomBytes(30 * MIB) });
    expect([answer.status, answer.headers['retry-after']]).toEqual([507, undefined]);

    mustBe(0, await world.sign());
    mustBe(0, await world.verify([world.tree('releases', 'widget', '1.0')]));
    mustBe(0, await world.approve('3.0'));
    mustBe(0, await world.runOn('operator', ['revoke', late.build, '--reason', 'no room', '--yes']));
    await until('the metrics', async () => {
      const { body } = await rawRequest(world.url, { path: '/metrics' });
      return /limited_total\{limit="disk-reserve"\} [1-9]/.test(body.toString());
    });
  });
});
