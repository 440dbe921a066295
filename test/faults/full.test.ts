/**
 * A disk, or its table of inodes, that is full: a page or an inode more for each run, so that every write of a command
 * meets it. What was done stays done, and with room the same command finishes.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Ran } from '../harness/program.ts';
import { mustBe } from '../harness/world.ts';
import { released } from './released.ts';
import { endOf } from './row.ts';
import type { Play } from './row.ts';
import { canMount, SmallDisk } from './room.ts';
import type { Room } from './room.ts';
import { FILES, Theatre } from './theatre.ts';

/** More room than any command here needs at once. */
const ENOUGH = 80;
const PLAIN = { under: [], env: {}, trace: () => '' };

let theatre: Theatre;
const plays = new Map<string, Play>();

beforeAll(async () => {
  theatre = await Theatre.open();
  const { world } = theatre;
  const approve = ['approve', '1.0', '--tickets', world.path('operator', 'tickets'), '--yes', '--json'];
  const ticket = world.path('operator', 'tickets', 'b1.ticket');
  const base = await world.place(FILES);
  const attest = (): Promise<Ran> =>
    world.runOn('M', ['attest', '--ticket', ticket, '--base', base, base, '--json']);
  const sign = async (): Promise<void> => mustBe(0, await world.sign());
  const attestAgain = async (): Promise<void> => {
    const ran = await attest();
    if (ran.error?.code !== 'ticket-missing') mustBe(0, ran);
  };

  const before = theatre.save();
  plays.set(
    'approve',
    await released(before, 'no build', '1.0', {
      act: () => world.runOn('operator', approve),
      async again() {
        const attested = await attest();
        mustBe(0, attested);
        await sign();
        return String(attested.json[0]?.['build']);
      },
    }),
  );
  before.restore();
  const approved = await world.runOn('operator', approve);
  const build = String(approved.json[0]?.['build']);
  const asked = theatre.save();
  plays.set(
    'attest',
    await released(asked, build, '1.0', { act: attest, again: async () => attestAgain().then(sign) }),
  );
  asked.restore();
  mustBe(0, await attest());
  plays.set('sign', await released(theatre.save(), build, '1.0', { act: () => world.sign(), again: sign }));
}, 120_000);
afterAll(() => theatre?.close());

describe.skipIf(!canMount())('full:', { timeout: 120_000 }, () => {
  test.each<[string, string, string[], Room]>([
    ['approve', 'the disk with the tickets', ['operator'], 'bytes'],
    ['approve', 'the disk with the tickets', ['operator'], 'inodes'],
    ['attest', 'the disk with the ticket', ['operator'], 'bytes'],
    ['attest', 'the disk with the ticket', ['operator'], 'inodes'],
    ['attest', 'the depot’s disk', ['L', 'data'], 'bytes'],
    ['attest', 'the depot’s disk', ['L', 'data'], 'inodes'],
    ['sign', 'the signer’s disk', ['H', 'signer'], 'bytes'],
    ['sign', 'the signer’s disk', ['H', 'signer'], 'inodes'],
    ['sign', 'the depot’s disk', ['L', 'data'], 'bytes'],
    ['sign', 'the depot’s disk', ['L', 'data'], 'inodes'],
    ['sign', 'where temporary files are made', ['tmp'], 'bytes'],
    ['sign', 'where temporary files are made', ['tmp'], 'inodes'],
  ])('%s: %s (%s) has no %s left', async (role, _, place, room) => {
    const play = plays.get(role);
    if (play === undefined) throw new RangeError(role);
    play.begin();
    const disk = SmallDisk.over(theatre.world.path(...place));
    try {
      let left = 0;
      let failed = 0;
      for (let ended = ''; ended !== 'goes on'; left++) {
        expect(left).toBeLessThan(ENOUGH);
        disk.leave(room, left);
        const ran = await play.act(PLAIN);
        play.seen();
        ended = endOf(ran);
        if (ended === 'exit 3') failed += 1;
        if (ended === 'exit 3') expect(ran.stderr + ran.stdout).toMatch(/room|no space/);
      }
      expect(failed, 'it was full').toBeGreaterThan(0);
      disk.makeRoom();
      await play.finish('goes on', true);
    } finally {
      disk.close();
    }
  });
});
