/** A connection that breaks at one build, and one that is gone. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { sync } from '../../src/tree/sync.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { approval, approvalFiles, build, now, otherBuild, project } from '../policy/scene.ts';
import { kept } from './carry.ts';
import { Directories } from './copies.ts';
import { makeDepot } from './depot.ts';
import type { DepotOnDisk } from './depot.ts';

const directories = new Directories();
let source: DepotOnDisk;
beforeEach(async () => {
  source = await makeDepot();
  await source.depot.submit(build, approvalFiles());
  await source.depot.submit(otherBuild, approvalFiles({ ...approval, build: otherBuild }));
});
afterEach(async () => {
  await source.remove();
  await directories.remove();
});

/** The depot behind a network that breaks whenever `build` is asked for; then perhaps for good. */
async function breaking(forGood: boolean): Promise<Depot> {
  const depot = await kept(source.directory);
  let broken = false;
  return new Proxy<Depot>(depot, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return async (...args: unknown[]): Promise<unknown> => {
        const hit = args.some((each) => typeof each === 'string' && each.includes(build));
        if (hit || (broken && forGood)) {
          broken = true;
          throw unable('network', 'the connection broke');
        }
        return Reflect.apply(member, target, args);
      };
    },
  });
}

test.each([
  ['at one build: the others are carried', false, ['unfinished network', 'carried null']],
  ['for good: nothing more is asked', true, ['unfinished network']],
])('the network breaks %s', async (_, forGood, outcomes) => {
  const results = await sync({
    project,
    from: { depot: await breaking(forGood), quarantine: true },
    to: await kept(await directories.make()),
    now: () => now,
    report: () => {},
    progress: () => {},
  });
  expect(results.map(({ state, code }) => `${state} ${code}`)).toEqual(outcomes);
});
