/** M needs Node and nothing else: no gpg, no shell, no configuration, an empty PATH. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { World, mustBe } from '../harness/world.ts';

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.close());

test('attest runs where there is only Node, and H signs what it sealed', async () => {
  const { ticket } = await world.approve('1.0');
  const base = await world.place({ 'hello.txt': 'hello' });
  const attest = ['attest', '--ticket', ticket, '--base', base, base];
  const ran = await world.runOn('M', attest, { env: { PATH: world.path('M', 'nothing-here') } });
  mustBe(0, ran);
  mustBe(0, await world.sign());
  expect(world.agent.signatures).toBe(2);
});
