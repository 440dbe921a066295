/**
 * A disk, or its table of inodes, that is full: a page or an inode more for each run, so that every write of a command
 * meets it. What was done stays done, and with room the same command finishes.
 */
import { mkdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Ran } from '../harness/program.ts';
import { mustBe } from '../harness/world.ts';
import { newProject } from './new-project.ts';
import { released } from './released.ts';
import { canMount, SmallDisk } from './room.ts';
import type { Room } from './room.ts';
import { endOf, everyCall } from './row.ts';
import type { Play } from './row.ts';
import { DISKS } from './rows.ts';
import type { Disk } from './rows.ts';
import { FILES, Theatre } from './theatre.ts';

/** More room than any command here needs at once. */
const ENOUGH = 100;
const PLAIN = { under: [], env: {}, trace: () => '' };

let theatre: Theatre;
const plays = new Map<string, Play>();

beforeAll(async () => {
  theatre = await Theatre.open();
  const { world } = theatre;
  const stick = world.path('stick', 'L');
  mkdirSync(stick, { recursive: true });
  const ticket = world.path('operator', 'tickets', 'b1.ticket');
  const base = await world.place(FILES);
  const approve = (): Promise<Ran> =>
    world.runOn('operator', [
      'approve',
      '1.0',
      '--tickets',
      world.path('operator', 'tickets'),
      '--yes',
      '--json',
    ]);
  const attest = (...more: string[]): Promise<Ran> =>
    world.runOn('M', ['attest', '--ticket', ticket, ...more, '--base', base, base, '--json']);
  const sync = (from: string, to: string): Promise<Ran> => world.runOn('H', ['sync', from, to, '--json']);
  const done = async (...commands: (() => Promise<Ran>)[]): Promise<void> => {
    for (const command of commands) {
      const ran = await command();
      if (ran.error?.code !== 'ticket-missing') mustBe(0, ran);
    }
  };
  const sign = (): Promise<Ran> => world.sign();
  const signThere = (): Promise<Ran> => world.sign(['--depot', stick]);
  const attestThere = (): Promise<Ran> => attest('--depot', stick);
  const out = (): Promise<Ran> => sync(world.url, stick);
  const back = (): Promise<Ran> => sync(stick, world.url);

  const start = theatre.save();
  plays.set('init', await newProject(start));
  plays.set(
    'approve',
    await released(start, 'no build', '1.0', {
      act: approve,
      async again() {
        const attested = await attest();
        mustBe(0, attested);
        await done(sign);
        return String(attested.json[0]?.['build']);
      },
    }),
  );
  start.restore();
  const build = String((await approve()).json[0]?.['build']);
  const approved = theatre.save();
  // each play has been rehearsed when the next begins: the build is one step further
  plays.set(
    'attest',
    await released(approved, build, '1.0', { act: () => attest(), again: () => done(attest, sign) }),
  );
  plays.set('sign', await released(theatre.save(), build, '1.0', { act: sign, again: () => done(sign) }));
  const depots = [stick];
  const last = (): Promise<void> => done(out, attestThere, signThere, back);
  plays.set('sync', await released(approved, build, '1.0', { act: out, again: last, depots }));
  plays.set(
    'attest --depot DIR',
    await released(theatre.save(), build, '1.0', { act: attestThere, again: last, depots }),
  );
  plays.set(
    'sign --depot DIR',
    await released(theatre.save(), build, '1.0', { act: signThere, again: last, depots }),
  );
}, 120_000);
afterAll(() => theatre?.close());

describe.skipIf(!canMount())('full:', { timeout: 300_000 }, () => {
  for (const disk of DISKS) {
    for (const room of ['bytes', 'inodes'] as const)
      test.skipIf(room === 'inodes' && disk.sweptInodes === true && !everyCall)(
        `${disk.role}: ${disk.what}: no ${room} left`,
        () => fill(disk, room),
      );
  }
});

async function fill({ play: name, place }: Disk, room: Room): Promise<void> {
  const play = plays.get(name);
  if (play === undefined) throw new RangeError(name);
  await play.begin();
  const disk = SmallDisk.over(theatre.world.path(...place));
  try {
    let failed = 0;
    let ended = '';
    for (let left = 0; ended !== 'goes on'; left += everyCall ? 1 : 1 + (left >> 1)) {
      expect(left).toBeLessThan(ENOUGH);
      disk.leave(room, left);
      const ran = await play.act(PLAIN);
      play.seen();
      ended = endOf(ran);
      if (ended === 'goes on') continue;
      failed += 1;
      expect(`${ran.stderr}${ran.stdout}`, 'it says that room is what lacks').toMatch(/room|no space/);
    }
    expect(failed, 'it was full').toBeGreaterThan(0);
    disk.makeRoom();
    await play.finish('goes on', true);
  } finally {
    disk.close();
  }
}
