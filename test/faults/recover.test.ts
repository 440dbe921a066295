/** `sign --recover` with nothing left but the keys: whatever fails, the next one goes on, and nothing is signed again. */
import { rmSync } from 'node:fs';
import { afterAll, beforeAll } from 'vitest';
import { mustBe } from '../harness/world.ts';
import { released } from './released.ts';
import { showSteps, testRows } from './row.ts';
import type { Play } from './row.ts';
import { RECOVER } from './rows.ts';
import { FILES, Theatre } from './theatre.ts';

let theatre: Theatre;
let play: Play;

beforeAll(async () => {
  theatre = await Theatre.open();
  const { world } = theatre;
  const { build, ticket } = await world.approve('1.0');
  mustBe(0, await world.attest(ticket, FILES));
  mustBe(0, await world.sign());
  for (const name of ['journal', 'checkpoint', 'builds'])
    rmSync(world.path('H', 'signer', name), { recursive: true });
  const scene = theatre.save();
  play = await released(scene, build, '1.0', {
    act: (traced) => world.sign(['--recover'], traced),
    again: async () => mustBe(0, await world.sign(['--recover'])),
    signed: true,
  });
  showSteps(play);
}, 120_000);
afterAll(() => theatre?.close());

testRows(RECOVER, () => play);
