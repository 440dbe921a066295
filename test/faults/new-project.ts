/** The play of `init`: it ends with a project whose file and state are each other's. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { expect } from 'vitest';
import { mustBe } from '../harness/world.ts';
import { everyCall } from './row.ts';
import type { Play } from './row.ts';
import type { Scene } from './theatre.ts';
import { litter } from './whole.ts';

export async function newProject(scene: Scene): Promise<Play> {
  const { world } = scene;
  const home = world.path('stick', 'H');
  const approver = world.path('H', 'keys', `approver-${world.approvers[0]}.pgp`);
  const keys = ['--release-key', world.path('H', 'keys', 'release.pgp'), '--approver', approver];
  const init = ['init', '--dir', home, '--project', 'new', ...keys, '--json'];
  const act: Play['act'] = (traced) => world.runOn('H', init, traced);
  return {
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
      const depot = world.path('stick', 'depot');
      mkdirSync(depot);
      mustBe(
        0,
        await world.runOn('H', ['sign', '--yes', '-c', `${home}/countersign.toml`, '--depot', depot]),
      );
      expect(readFileSync(`${home}/countersign.toml`, 'utf8')).toContain('countersign/new/');
      expect(litter(world)).toEqual([]);
    },
  };
}
