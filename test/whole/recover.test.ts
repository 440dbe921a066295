/** docs/how-to/recover.md, typed on H: a state that is old, damaged or forked comes back to its log. */
import { execFile } from 'node:child_process';
import { appendFile, cp, rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { shellBlocks } from '../harness/document.ts';
import { PROGRAM } from '../harness/program.ts';
import { World, mustBe } from '../harness/world.ts';

const run = promisify(execFile);
const document = 'docs/how-to/recover.md';

let world: World;
beforeEach(async () => {
  world = await World.make();
  await world.release('1.0', { 'hello.txt': 'hello' });
});
afterEach(() => world.close());

/** What the section says, as a person on H types it. */
async function type(heading: string): Promise<string> {
  const script = (await shellBlocks(document, heading)).join('\n');
  const prompt = `countersign() { '${PROGRAM}' "$@"; }\n`;
  const options = { cwd: world.path('H'), env: { ...world.env('H') }, timeout: 60_000 };
  const { stderr } = await run('bash', ['-euo', 'pipefail', '-c', prompt + script], options);
  return stderr;
}

async function mustSayAndDoNothing(code: string): Promise<void> {
  const refused = await world.sign();
  expect(refused.json.at(-1)).toMatchObject({ code });
  expect(refused.code).not.toBe(0);
}

/** The log is whole, and a build that is approved now is released. */
async function mustGoOn(version: string): Promise<void> {
  await world.release(version, { 'hello.txt': version });
  mustBe(0, await world.runOn('operator', ['log', 'verify']));
}

test('a backup of yesterday', { timeout: 90_000 }, async () => {
  const backup = world.path('backup');
  await cp(world.path('H', 'signer'), backup, { recursive: true });
  await world.release('1.1', { 'hello.txt': 'hello again' });
  await rm(world.path('H', 'signer'), { recursive: true });
  await cp(backup, world.path('H', 'signer'), { recursive: true });
  await mustSayAndDoNothing('log-behind');
  expect(await type('Back to the newest state')).toContain('adopted 4');
  await mustGoOn('1.2');
});

test('a damaged journal', { timeout: 90_000 }, async () => {
  await appendFile(world.journal, 'not an entry\n');
  await mustSayAndDoNothing('journal-damaged');
  await type('A damaged journal, or none');
  await mustGoOn('1.1');
});

test('a fork', { timeout: 90_000 }, async () => {
  const [signer, copy] = [world.path('H', 'signer'), world.path('copy')];
  await cp(signer, copy, { recursive: true });
  await world.release('1.1', { 'hello.txt': 'hello again' });
  // the other host, whose depot is another one: it approves and signs something else under the same log key
  const depot = world.path('other-depot');
  await cp(world.tree(), depot, { recursive: true });
  await rm(`${depot}/log`, { recursive: true });
  const approved = await world.approve('2.0', ['--depot', depot]);
  mustBe(0, await world.attest(approved.ticket, { 'hello.txt': 'two' }));
  await rm(signer, { recursive: true });
  await cp(copy, signer, { recursive: true });
  mustBe(0, await world.sign([approved.build, '--depot', depot]));
  await mustSayAndDoNothing('log-fork');
  await type('A fork');
  await mustGoOn('1.2');
});
