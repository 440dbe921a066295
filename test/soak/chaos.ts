/** Kills L and H by the process ids that we started, so often and no more, spread over the builds. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Dice } from '../fuzz/mutate.ts';
import type { Daemon } from './daemon.ts';

const LOOK_MS = 100;
/** Of a hundred, those that are SIGKILL. */
const HARD = 80;
const PAUSE_MS = 2000;

export interface ChaosOptions {
  readonly daemon: Daemon;
  readonly count: number;
  readonly dice: Dice;
  /** 0 to 1: how much of the time of kills has passed. */
  readonly progress: () => number;
}

/** Returns once all are done and the progress is 1, with the service running. */
export async function harass({ daemon, count, dice, progress }: ChaosOptions): Promise<void> {
  let done = 0;
  for (let next = dice.roll(1000) / 1000; progress() < 1; await sleep(LOOK_MS)) {
    if (done >= count || progress() * count < done + next) continue;
    done += 1;
    next = dice.roll(1000) / 1000;
    await daemon.strike(dice.roll(100) < HARD ? 'SIGKILL' : 'SIGTERM', dice.roll(PAUSE_MS));
  }
}
