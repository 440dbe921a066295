/**
 * A command whose disk, or its table of inodes, is full: a page or an inode more for each run, so that every write of it
 * meets it. What was done stays done, and with room the same command finishes.
 */
import { describe, expect, test } from 'vitest';
import { canMount, SmallDisk } from './room.ts';
import type { Room } from './room.ts';
import { endOf, everyCall } from './row.ts';
import type { Play } from './row.ts';
import type { Disk } from './rows.ts';

/** More room than any command here needs at once. */
const ENOUGH = 100;
const PLAIN = { under: [], env: {}, started: () => {}, trace: () => '' };

/** Two tests a disk; `play` is called in the test. */
export function testDisks(disks: readonly Disk[], play: (name: string) => Play): void {
  describe.skipIf(!canMount())('full:', { timeout: 300_000 }, () => {
    for (const disk of disks) {
      for (const room of ['bytes', 'inodes'] as const)
        test.skipIf(!everyCall && (disk.swept ?? (room === 'inodes' && disk.sweptInodes)) === true)(
          `${disk.role}: ${disk.what}: no ${room} left`,
          () => fill(disk, play(disk.play), room),
        );
    }
  });
}

async function fill({ place }: Disk, play: Play, room: Room): Promise<void> {
  await play.begin();
  const disk = SmallDisk.over(play.scene.world.path(...place));
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
