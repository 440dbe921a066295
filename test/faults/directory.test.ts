/** A depot that is a directory, a stick say: the same gate in the process that writes, and `sync` at both ends of the way. */
import { mkdirSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import type { Ran } from '../harness/program.ts';
import { mustBe } from '../harness/world.ts';
import { testDurable } from './durable.ts';
import { released } from './released.ts';
import { showSteps, testRows } from './row.ts';
import type { Play } from './row.ts';
import { DIRECTORY } from './rows.ts';
import { FILES, Theatre } from './theatre.ts';

let theatre: Theatre;
const plays = new Map<string, Play>();

beforeAll(async () => {
  theatre = await Theatre.open();
  const { world } = theatre;
  const stick = world.path('stick', 'L');
  mkdirSync(stick, { recursive: true });
  const { build, ticket } = await world.approve('1.0');
  const base = await world.place(FILES);
  const depots = [stick];
  const out = (): Promise<Ran> => world.runOn('H', ['sync', world.url, stick, '--json']);
  const back = (): Promise<Ran> => world.runOn('H', ['sync', stick, world.url, '--json']);
  const attestArgs = ['attest', '--ticket', ticket, '--depot', stick, '--base', base, base, '--json'];
  const attest = (): Promise<Ran> => world.runOn('M', attestArgs);
  const sign = (): Promise<Ran> => world.sign(['--depot', stick]);
  const inTurn = async (...commands: (() => Promise<Ran>)[]): Promise<void> => {
    for (const command of commands) {
      const ran = await command();
      if (ran.error?.code !== 'ticket-missing') mustBe(0, ran);
    }
  };

  // each play has been rehearsed when the next begins: the build is one step further
  plays.set(
    'sync out',
    await released(theatre.save(), build, '1.0', {
      act: (traced) => world.runOn('H', ['sync', world.url, stick, '--json'], traced),
      again: () => inTurn(out, attest, sign, back),
      depots,
    }),
  );
  plays.set(
    'attest',
    await released(theatre.save(), build, '1.0', {
      act: (traced) => world.runOn('M', attestArgs, traced),
      again: () => inTurn(attest, sign, back),
      depots,
      mayLeave: /b1\.ticket\.pending\//,
    }),
  );
  plays.set(
    'sign',
    await released(theatre.save(), build, '1.0', {
      act: (traced) => world.sign(['--depot', stick], traced),
      again: () => inTurn(sign, back),
      depots,
    }),
  );
  plays.set(
    'sync back',
    await released(theatre.save(), build, '1.0', {
      act: (traced) => world.runOn('H', ['sync', stick, world.url, '--json'], traced),
      again: () => inTurn(back),
      signed: true,
      depots,
    }),
  );
  for (const play of plays.values()) showSteps(play);
}, 120_000);
afterAll(() => theatre?.close());

testRows(DIRECTORY, ({ role, step }) => {
  const play = plays.get(role === 'sync' ? `sync ${step.split(':')[0]}` : role.replace(' --depot DIR', ''));
  if (play === undefined) throw new RangeError(role);
  return play;
});
for (const name of ['sync out', 'attest', 'sign']) {
  testDurable(`${name}, a directory`, () => plays.get(name) ?? expect.fail(name));
}
