/**
 * Several people and one build: Ada asks, Grace (who signs with a subkey) and Edsger endorse what they have seen on the
 * screen, by the program, as they would. What others try to slip in between is in test/attacks/people.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeApproval, parseApproval } from '../../src/records/approval.ts';
import { approvalFile, approvalSignatureFile } from '../../src/records/paths.ts';
import type { Fingerprint } from '../../src/records/names.ts';
import { plant } from '../attacks/forge.ts';
import type { Ran } from '../harness/program.ts';
import { atTerminal } from '../harness/terminal.ts';
import { mustBe, World } from '../harness/world.ts';

const contents = { app: 'app' };
let world: World;
let toml: string;

beforeAll(async () => {
  world = await World.make({ approvers: 3, threshold: 2 });
  const [, grace] = world.approverHomes;
  grace?.addSubkey(key(1), 'ed25519', 'sign');
  await writeFile(world.path('H', 'keys', `approver-${key(1)}.pgp`), grace?.export(key(1)) ?? '');
  toml = await readFile(world.path('H', 'countersign.toml'), 'utf8');
  await project(toml);
});
afterAll(() => world.close());

const key = (person: 0 | 1 | 2): Fingerprint => {
  const found = world.approvers[person];
  if (found === undefined) throw new Error(`no approver ${person}`);
  return found;
};

/** Puts this project file on every host. */
async function project(text: string): Promise<void> {
  await writeFile(world.path('H', 'countersign.toml'), text);
  await world.shareProject();
  await world.stopServer();
  await world.startServer();
}

const endorse = (build: string, approver: number, ...args: string[]): Promise<Ran> =>
  world.runOn('operator', ['endorse', build, '--yes', '--json', ...args], { approver });
const approvalOf = (build: string): Promise<Buffer> => readFile(world.tree('builds', build, approvalFile));

test('the one who asks is told whom the build waits for; a second one endorses what they see, and it is released', async () => {
  const asked = await world.approve('1.0', ['--artifact', 'app']);
  mustBe(0, asked);
  expect(asked.stderr).toContain(`countersign endorse ${asked.build}`);
  for (const fingerprint of [key(1), key(2)]) expect(asked.stderr.replaceAll(' ', '')).toContain(fingerprint);
  expect(asked.stderr).not.toMatch(/warning/);
  mustBe(0, await world.attest(asked.ticket, contents));
  const waits = await world.runOn('operator', ['status', asked.build, '--json']);
  expect(waits.json[0]).toMatchObject({
    why: expect.stringContaining('1 of 2 approvers'),
    hint: `one of ${key(1)}, ${key(2)}: countersign endorse ${asked.build}`,
  });

  const ran = await endorse(asked.build, 1);
  mustBe(0, ran);
  expect(ran.json).toEqual([
    { build: asked.build, approvers: [key(0), key(1)].sort(), threshold: 2, missing: 0 },
  ]);
  // the summary stands on the screen although nobody was asked; every field of it: test/cli/approval-rows
  const { terms } = asked.json[0] as { terms: string };
  for (const text of ['about to allow a build of widget 1.0', terms, 'Approver 0 <a0@example.org>'])
    expect(ran.stderr).toContain(text);
  expect(ran.stderr).toMatch(/^ +artifacts +app$/m);
  expect(ran.stderr).toMatch(/changes +first approval/);

  // once more, by either: nothing to do
  for (const person of [0, 1]) {
    const again = await endorse(asked.build, person);
    mustBe(0, again);
    expect(again.stderr).toContain('nothing to do');
    expect(again.json[0]).toMatchObject({ missing: 0 });
  }
  mustBe(0, await world.sign([asked.build]));
  const { json } = await world.verify([world.tree('releases/widget/1.0')]);
  expect(JSON.stringify(json)).toContain(key(1));
  const late = await endorse(asked.build, 2);
  expect(late).toMatchObject({ code: 1, error: { code: 'build-decided' } });
});

test('what differs from the last approval that had enough approvers, not from one that somebody asked for alone', async () => {
  const alone = await world.approve('2.0', ['--max-count', '5']);
  mustBe(0, alone);
  expect(alone.stderr).toMatch(/changes +since build/);
  expect(alone.stderr).toContain('artifacts: app → **');
  const again = await world.approve('2.1', ['--max-count', '5']);
  // the first of these two is no precedent
  expect(again.stderr).toContain('max-count: 100000 → 5');
  const ran = await endorse(again.build, 2);
  expect(ran.stderr).toContain('max-count: 100000 → 5');
  const next = await world.approve('2.2', ['--max-count', '5']);
  expect(next.stderr).toMatch(new RegExp(`nothing but version and commit since build\\s+${again.build}`));
});

describe('at a terminal', () => {
  const options = (approver: number) => ({
    env: { ...world.env('operator', approver) },
    cwd: world.path('cwd'),
  });

  test('it is shown, and asked; no is no', async () => {
    const { build } = await world.approve('3.0');
    const no = await atTerminal(
      ['endorse', build],
      [['allow this build of widget 3.0, 1 of 1 builder, too? [y/N]', 'n']],
      options(1),
    );
    expect(no.code, no.screen).toBe(1);
    expect(no.screen).toContain('the answer was no: nothing is signed');
    const yes = await atTerminal(
      ['endorse', build],
      [['allow this build of widget 3.0, 1 of 1 builder, too? [y/N]', 'y']],
      options(1),
    );
    expect(yes.code, yes.screen).toBe(0);
    expect(yes.screen).toContain('the threshold is reached');
  });

  test('without one, and without --yes, nothing happens', async () => {
    const { build } = await world.approve('3.1');
    const ran = await world.runOn('operator', ['endorse', build, '--json'], { approver: 1 });
    expect(ran).toMatchObject({ code: 2, error: { code: 'no-terminal' } });
  });
});

describe('is refused, and nothing signed:', () => {
  const signatureOf = (build: string, person: 0 | 1 | 2): string =>
    world.tree('builds', build, approvalSignatureFile(key(person)));
  async function expectRefused(build: string, code: string, ...args: string[]): Promise<void> {
    const ran = await endorse(build, 1, ...args);
    expect([ran.code, ran.error?.code], ran.stderr).toEqual([1, code]);
    await expect(readFile(signatureOf(build, 1))).rejects.toThrow('ENOENT');
  }

  test('a build that nobody knows', () => expectRefused('01jd9v7q3m4n5p6r7s8t9vwxyz', 'build-unknown'));

  test('other terms than were agreed on', async () => {
    const { build, json } = await world.approve('4.0');
    await expectRefused(build, 'terms-differ', '--expect', '0'.repeat(64));
    mustBe(0, await endorse(build, 1, '--expect', String(json[0]?.['terms'])));
  });

  test('an approval that was changed after the first signature', async () => {
    const { build } = await world.approve('4.1');
    const approval = parseApproval(await approvalOf(build));
    const artifacts = { ...approval.artifacts, maxCount: approval.artifacts.maxCount - 1 };
    const there = await plant(
      world,
      build,
      new Map([[approvalFile, encodeApproval({ ...approval, artifacts })]]),
    );
    await expectRefused(build, 'requester-unsigned');
    await plant(world, build, there);
    mustBe(0, await endorse(build, 1));
  });

  test('an approval that somebody else has signed, in the name of the one who is said to ask', async () => {
    const { build } = await world.approve('4.2');
    const bytes = await approvalOf(build);
    const by2 = world.approverHomes[2]?.sign(key(2), bytes) ?? Buffer.alloc(0);
    await plant(
      world,
      build,
      new Map<string, Buffer | null>([
        [approvalSignatureFile(key(0)), by2],
        [approvalSignatureFile(key(2)), by2],
      ]),
    );
    await expectRefused(build, 'requester-unsigned');
  });

  test('one that expired, or that the project has come to forbid', async () => {
    const { build } = await world.approve('4.3');
    await writeFile(
      world.path('operator', 'countersign.toml'),
      toml.replace(/max-lifetime = ".*"/, 'max-lifetime = "1h"'),
    );
    await expectRefused(build, 'policy-lifetime');
    await writeFile(world.path('operator', 'countersign.toml'), toml);
    const late = await endorse(build, 1, '--json');
    mustBe(0, late);
  });

  test('somebody who was removed', async () => {
    const { build } = await world.approve('4.4');
    const without = toml.replace(`[[approvers]]\ncertificate = "keys/approver-${key(1)}.pgp"\n`, '');
    await writeFile(world.path('operator', 'countersign.toml'), without);
    const ran = await endorse(build, 1);
    await writeFile(world.path('operator', 'countersign.toml'), toml);
    expect([ran.code, ran.error?.code]).toEqual([2, 'approver-missing']);
  });
});

test('under threshold 3 two are not enough, whoever they are', async () => {
  await project(toml.replace('threshold = 2', 'threshold = 3'));
  const asked = await world.approve('5.0');
  expect(asked.stderr).toContain('it waits for 2 of these');
  mustBe(0, await world.attest(asked.ticket, contents));
  const second = await endorse(asked.build, 1);
  expect(second.json[0]).toMatchObject({ threshold: 3, missing: 1 });
  expect(second.stderr).toContain('countersign endorse');
  const waiting = await world.sign([asked.build]);
  expect(waiting.json[0]).toMatchObject({ code: 'approval-waits' });
  expect((await endorse(asked.build, 2)).json[0]).toMatchObject({ missing: 0 });
  const ran = await world.sign([asked.build]);
  expect(ran.json[0]).toMatchObject({ state: 'published' });
  await project(toml);
});
