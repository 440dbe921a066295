/** How large a soak is. */
import type { SoakOptions } from './soak.ts';

type Size = Omit<SoakOptions, 'seed' | 'say'>;

export const FULL: Size = {
  builds: 3000,
  minutes: 60,
  kills: { L: 150, H: 150, M: 300 },
  calm: 0.25,
  atOnce: 16,
  times: { short: 75, enrolBy: 45, patience: 180_000 },
  sampleMs: 2000,
  verified: 50,
  drainMs: 300_000,
  restMs: 8000,
  judgeMemory: true,
};

/** Each way at least once; too short for memory. */
export const QUICK: Size = {
  ...FULL,
  builds: 40,
  minutes: 2,
  kills: { L: 2, H: 2, M: 6 },
  atOnce: 12,
  times: { short: 8, enrolBy: 8, patience: 40_000 },
  sampleMs: 250,
  verified: 2,
  drainMs: 40_000,
  restMs: 1000,
  judgeMemory: false,
};

/** The full one with another number of builds, and of kills as that is. */
export function sizeOf(builds: number, minutes: number): Size {
  const part = (count: number): number => Math.ceil((count * builds) / FULL.builds);
  const { L, H, M } = FULL.kills;
  return {
    ...FULL,
    builds,
    minutes,
    kills: { L: part(L), H: part(H), M: part(M) },
    judgeMemory: builds >= 400,
  };
}
