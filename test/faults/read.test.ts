/** Who only reads: a fault is no verdict, and the next run says what is. */
import { afterAll, beforeAll, expect } from 'vitest';
import { mustBe } from '../harness/world.ts';
import { showSteps, testAllCalls, testRows } from './row.ts';
import type { Play } from './row.ts';
import { STATUS, VERIFY } from './rows.ts';
import { Theatre } from './theatre.ts';
import { litter } from './whole.ts';

let theatre: Theatre;
const plays = new Map<string, Play>();

beforeAll(async () => {
  theatre = await Theatre.open();
  const { world } = theatre;
  const base = await world.place({ 'old.txt': 'old' });
  const what = ['--project', world.project, '--version', '0.9'];
  const commands = { verify: ['verify', `${base}/old.txt`, ...what, '--json'], status: ['status', '--json'] };
  const scene = theatre.save();
  for (const [role, command] of Object.entries(commands)) {
    const act: Play['act'] = (traced) => world.runOn('operator', command, traced);
    const play: Play = {
      scene,
      begin: () => scene.restore(),
      act,
      build: 'no build',
      steps: await scene.rehearse(act),
      seen: () => expect(litter(world)).toEqual([]),
      finish: async () => mustBe(0, await world.runOn('operator', command)),
    };
    showSteps(play);
    plays.set(role, play);
  }
}, 120_000);
afterAll(() => theatre?.close());

function playOf(role: string): Play {
  const play = plays.get(role);
  if (play === undefined) throw new RangeError(role);
  return play;
}

testRows([...VERIFY, ...STATUS], ({ role }) => playOf(role));
testAllCalls('verify', VERIFY, () => playOf('verify'));
testAllCalls('status', STATUS, () => playOf('status'));
