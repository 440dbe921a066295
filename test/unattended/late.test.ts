/** A gpg-agent that takes its time, or for ever, as the program meets it. */
import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectRefusal } from '../harness/invariants.ts';
import { mustBe, World } from '../harness/world.ts';

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.close());

/** A program's minute is a second: it waits for its own deadlines, and we do not. Its clock, which it watches, is right. */
const HURRY = `const wait = globalThis.setTimeout;
globalThis.setTimeout = (work, ms, ...more) => wait(work, ms / 60, ...more);`;
const hurried = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(HURRY)}` };

async function sealed(version: string): Promise<string> {
  const approved = await world.approve(version);
  mustBe(0, approved);
  mustBe(0, await world.attest(approved.ticket, { 'app.tgz': version }));
  return approved.build;
}

test('each answer late: signed all the same', async () => {
  const build = await sealed('1.0');
  world.agent.before = () => sleep(100);
  const ran = await world.sign();
  mustBe(0, ran);
  expect(ran.json).toMatchObject([{ build, state: 'published' }]);
});

test.each([
  ['at the signature', /^PKSIGN/],
  ['from the first word', /^/],
])('no answer, %s: it gives up, says so, and the next run signs', async (_, silent) => {
  const build = await sealed(`2.${silent.source.length}`);
  const over = new EventEmitter();
  world.agent.before = async (command) => {
    if (silent.test(command)) await once(over, 'over');
  };
  const ran = await world.sign([], { env: hurried });
  expectRefusal(ran);
  expect(ran).toMatchObject({ code: 3, json: [{ build, code: 'agent-timeout' }] });
  expect(ran.stderr).toMatch(/did not answer in time\n.*hint: see whether a passphrase prompt waits/);
  over.emit('over');
  world.agent.before = () => {};
  const again = await world.sign();
  mustBe(0, again);
  expect(again.json).toMatchObject([{ build, state: 'published' }]);
});
