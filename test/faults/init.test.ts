/** A new project: whole or not there, and init can be repeated. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import { mustBe } from '../harness/world.ts';
import { everyCall, showSteps, testAllCalls, testRows } from './row.ts';
import type { Play } from './row.ts';
import { INIT } from './rows.ts';
import { Theatre } from './theatre.ts';
import { litter } from './whole.ts';

let theatre: Theatre;
let play: Play;

beforeAll(async () => {
  theatre = await Theatre.open();
  const { world } = theatre;
  mkdirSync(world.path('stick'));
  const scene = theatre.save();
  const home = world.path('stick', 'H');
  const approver = world.path('H', 'keys', `approver-${world.approvers[0]}.pgp`);
  const keys = ['--release-key', world.path('H', 'keys', 'release.pgp'), '--approver', approver];
  const init = ['init', '--dir', home, '--project', 'new', ...keys, '--json'];
  const act: Play['act'] = (traced) => world.runOn('H', init, traced);
  play = {
    scene,
    begin: () => scene.restore(),
    act,
    build: 'no build',
    steps: await scene.rehearse(act),
    seen() {},
    async finish(outcome) {
      let ran = await world.runOn('H', init);
      const stopped = ran.error?.hint.includes('remove it') === true;
      if (!everyCall) expect(stopped, ran.stderr).toBe(outcome === 'refuses');
      if (stopped) {
        rmSync(`${home}/signer`, { recursive: true });
        ran = await world.runOn('H', init);
      }
      if (ran.error?.code !== 'project-exists') mustBe(0, ran);
      // project file and state are each other's
      mkdirSync(world.path('stick', 'L'));
      const config = ['-c', `${home}/countersign.toml`, '--depot', world.path('stick', 'L')];
      mustBe(0, await world.runOn('H', ['sign', '--yes', ...config]));
      expect(readFileSync(`${home}/countersign.toml`, 'utf8')).toContain('countersign/new/');
      expect(litter(world)).toEqual([]);
    },
  };
  showSteps(play);
}, 120_000);
afterAll(() => theatre?.close());

testRows(INIT, () => play);
testAllCalls('init', INIT, () => play);
