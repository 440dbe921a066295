/** The signer, at every step of protocol §5: the disk fails, the depot or the agent can't be reached, it is killed. */
import { afterAll, beforeAll } from 'vitest';
import { mustBe } from '../harness/world.ts';
import { testDurable } from './durable.ts';
import { released } from './released.ts';
import { showSteps, testAllCalls, testRows } from './row.ts';
import type { Play } from './row.ts';
import { FILES, Theatre } from './theatre.ts';
import { SIGN } from './rows.ts';

let theatre: Theatre;
let play: Play;

beforeAll(async () => {
  theatre = await Theatre.open();
  const { world } = theatre;
  const { build, ticket } = await world.approve('1.0');
  mustBe(0, await world.attest(ticket, FILES));
  const scene = theatre.save();
  play = await released(scene, build, '1.0', {
    act: (traced) => world.sign([], traced),
    again: async () => mustBe(0, await world.sign()),
  });
  showSteps(play);
}, 120_000);
afterAll(() => theatre?.close());

testRows(SIGN, () => play);
testAllCalls('sign', SIGN, () => play);
testDurable('sign', () => play);
