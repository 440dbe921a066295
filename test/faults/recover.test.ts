/** `sign --recover` with nothing left but the keys: whatever fails, the next one goes on, and nothing is signed again. */
import { rmSync } from 'node:fs';
import { afterAll, beforeAll } from 'vitest';
import type { Ran } from '../harness/program.ts';
import { mustBe } from '../harness/world.ts';
import { released } from './released.ts';
import { showSteps, testRows } from './row.ts';
import type { Play } from './row.ts';
import { RECOVER } from './rows.ts';
import { FILES, Theatre } from './theatre.ts';

let theatre: Theatre;
const plays = new Map<string, Play>();

beforeAll(async () => {
  theatre = await Theatre.open();
  const { world } = theatre;
  const { build, ticket } = await world.approve('1.0');
  mustBe(0, await world.attest(ticket, FILES));
  const sealed = theatre.save();
  const forget = (): void => {
    for (const name of ['journal', 'checkpoint', 'builds'])
      rmSync(world.path('H', 'signer', name), { recursive: true });
  };
  const recover = (more = {}): Promise<Ran> => world.sign(['--recover'], more);
  const plot = { act: recover, again: async () => mustBe(0, await recover()), signed: true, recovers: true };
  mustBe(0, await world.sign());
  forget();
  plays.set('release', await released(theatre.save(), build, '1.0', plot));

  // the log has the release, and L none of its signatures: they are lost with the state, and nothing is signed twice
  sealed.restore();
  await sealed.perform((traced) => world.sign([], traced), {
    ...{ syscall: 'writev', path: null, nth: 3, as: 'SIGKILL' },
  });
  forget();
  plays.set('closed', await released(theatre.save(), build, '1.0', plot));
  for (const play of plays.values()) showSteps(play);
}, 120_000);
afterAll(() => theatre?.close());

testRows(RECOVER, ({ step }) => {
  const play = plays.get(step.includes('closed') ? 'closed' : 'release');
  if (play === undefined) throw new RangeError(step);
  return play;
});
