/** Everything that reads foreign bytes. */
import type { Target } from './fuzz.ts';
import { logTargets } from './log.ts';
import { nonceTargets } from './nonces.ts';
import { openpgpTargets } from './openpgp.ts';
import { recordTargets } from './records.ts';
import { tileTargets } from './tiles.ts';
import { wireTargets } from './wire.ts';
import { witnessTargets } from './witness.ts';

export const targets: readonly Target[] = [
  ...recordTargets,
  ...openpgpTargets,
  ...logTargets,
  ...tileTargets,
  ...witnessTargets,
  ...nonceTargets,
  ...wireTargets,
];
