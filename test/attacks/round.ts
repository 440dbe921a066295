/** Many hostile builds that H meets in one round, each with its verdict; and what a denied write must not leave on L. */
import { readdir } from 'node:fs/promises';
import { expect } from 'vitest';
import { expectUntouched } from '../harness/invariants.ts';
import type { Snapshot } from '../harness/invariants.ts';
import type { RunMore, World } from '../harness/world.ts';
import { entries } from './outcome.ts';

/** How `sign` ends with a build: its state and its code. */
export type Verdict = `${string} ${string}`;

/**
 * One round of `sign` over these builds, by what is wrong with them: each ends in its verdict, none is signed, I1 to
 * I7 hold for every one, and one that is refused for good is written down, once.
 */
export async function expectRound(
  world: World,
  before: Snapshot,
  builds: ReadonlyMap<string, string>,
  verdictOf: (what: string) => Verdict,
  more: RunMore = {},
): Promise<void> {
  const ran = await world.sign([...builds.values()], more);
  const found = new Map(
    ran.json.map(({ build, state, code }) => [build, `${String(state)} ${String(code)}`]),
  );
  const named = [...builds].map(([what, build]) => [what, found.get(build)]);
  expect(Object.fromEntries(named), ran.stderr).toEqual(
    Object.fromEntries([...builds.keys()].map((what) => [what, verdictOf(what)])),
  );
  await expectUntouched(world, before, { answers: [ran] });
  for (const [what, build] of builds) {
    const final = /^(refused|frozen) /.test(verdictOf(what));
    if (final) await expectUntouched(world, before, { answers: [], refused: build });
    const refusals = (await entries(world, build)).filter((type) => type === 'refusal');
    expect(refusals, `refusals of ${what}`).toHaveLength(final ? 1 : 0);
  }
}

/** Every file that L has, and every directory. A write that the gate turns away changes none of it. */
export async function shelf(world: World): Promise<string[]> {
  return (await readdir(world.tree(), { recursive: true })).sort();
}
