/** A new project: whole or not there, and init can be repeated. */
import { mkdirSync } from 'node:fs';
import { afterAll, beforeAll } from 'vitest';
import { testDurable } from './durable.ts';
import { newProject } from './new-project.ts';
import { showSteps, testAllCalls, testRows } from './row.ts';
import type { Play } from './row.ts';
import { INIT } from './rows.ts';
import { Theatre } from './theatre.ts';

let theatre: Theatre;
let play: Play;

beforeAll(async () => {
  theatre = await Theatre.open();
  mkdirSync(theatre.world.path('stick'));
  play = await newProject(theatre.save());
  showSteps(play);
}, 120_000);
afterAll(() => theatre?.close());

testRows(INIT, () => play);
testAllCalls('init', INIT, () => play);
testDurable('init', () => play);
