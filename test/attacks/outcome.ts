/** How attacks end: H does not sign, and everything is as it was; or the input was odd but legal, and H signs. */
import { readFile } from 'node:fs/promises';
import { expect } from 'vitest';
import { expectUntouched } from '../harness/invariants.ts';
import type { Snapshot } from '../harness/invariants.ts';
import type { HttpAnswer } from '../harness/raw-http.ts';
import { mustBe } from '../harness/world.ts';
import type { Files, RunMore, World } from '../harness/world.ts';

/** What `sign` said of its builds, as `state code`. */
export const verdicts = ({
  json,
}: {
  readonly json: readonly Readonly<Record<string, unknown>>[];
}): string[] => json.map(({ state, code }) => `${String(state)} ${String(code)}`);

/**
 * `sign BUILD` must end in this state with this code, and I1 to I7 must hold. `refused` and `frozen` are for good, so
 * they must be written down; anything else must not be, because L could have done it (protocol §1 rule 7).
 */
export async function expectUnsigned(
  world: World,
  before: Snapshot,
  build: string,
  verdict: `${string} ${string}`,
  args: readonly string[] = [],
  more: RunMore = {},
): Promise<void> {
  const ran = await world.sign([build, ...args], more);
  expect(verdicts(ran), ran.stderr).toEqual([verdict]);
  const final = /^(refused|frozen) /.test(verdict);
  await expectUntouched(world, before, { answers: [ran], refused: final ? build : null });
  const refusals = (await entries(world, build)).filter((type) => type === 'refusal');
  expect(refusals, 'refusals in the log').toHaveLength(final ? 1 : 0);
}

/** The builder's or the approver's write is turned away by the gate, and I1 to I7 hold. */
export async function expectDenied(
  world: World,
  before: Snapshot,
  answer: HttpAnswer,
  verdict: `${number} ${string}`,
): Promise<void> {
  const { code } = JSON.parse(answer.body.toString()) as { readonly code?: string };
  expect(`${answer.status} ${code}`, answer.body.toString()).toBe(verdict);
  await expectUntouched(world, before, { answers: [answer] });
}

/** `sign BUILD` publishes exactly these artifacts as this version, each signed; gpgv is asked by `verify` and L. */
export async function expectSigned(
  world: World,
  build: string,
  version: string,
  contents: Files,
  args: readonly string[] = [],
  more: RunMore = {},
): Promise<void> {
  const ran = await world.sign([build, ...args], more);
  mustBe(0, ran);
  expect(verdicts(ran)).toEqual(['published undefined']);
  for (const [name, content] of Object.entries(contents))
    expect(await readFile(world.tree('releases', world.project, version, name)), name).toEqual(
      Buffer.from(content),
    );
  // the whole copy: it has these artifacts and nothing else
  const verified = await world.verify([world.tree('releases', world.project, version)]);
  mustBe(0, verified);
  expect(verified.json[0]).toMatchObject({
    release: { build, version, artifacts: Object.keys(contents).length },
  });
}

/** What the log has of a build: `approval`, `statement` and so on. */
export async function entries(world: World, build: string): Promise<string[]> {
  const lines = (await readFile(world.journal, 'utf8')).trimEnd().split('\n');
  return lines
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { readonly build: string; readonly type: string })
    .filter((entry) => entry.build === build)
    .map(({ type }) => type);
}
