/** Ctrl-C in `sign`: it says what is kept, the signal ends it, and the next run goes on and says from where. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { World, mustBe } from '../harness/world.ts';

const FILES = 40;

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.close());

test('in the middle of many signatures', async () => {
  const { ticket } = await world.approve('1.0.0');
  const files = Array.from({ length: FILES }, (_, i) => [`${i}.bin`, `number ${i}`] as const);
  mustBe(0, await world.attest(ticket, Object.fromEntries(files)));

  const interrupt = new AbortController();
  let asked = 0;
  world.agent.before = async (command) => {
    if (command !== 'PKSIGN' || ++asked !== FILES) return;
    // so few are asked for at a time that some are kept by now; the rest is never made
    interrupt.abort('SIGINT');
    await new Promise(() => {});
  };
  const ran = await world.sign([], { kill: interrupt.signal });
  world.agent.before = () => {};
  expect(ran.code, ran.stderr).toBeNull();
  expect(ran.stderr).toMatch(/^interrupted; run it again: the signatures made so far are kept$/m);

  const again = await world.sign();
  mustBe(0, again);
  expect(again.json).toMatchObject([{ state: 'published', artifacts: FILES }]);
  expect(again.stderr).toMatch(/\d+ of 41 signatures \(with SHA256SUMS\) are made already/);
});
