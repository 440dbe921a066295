/** `sign --no-wait`: it ends when the depot has what was signed, and whichever run comes next has it published. */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CuttingProxy } from '../harness/cutting-proxy.ts';
import { mustBe, World } from '../harness/world.ts';

let world: World;
let link: CuttingProxy;
beforeAll(async () => {
  world = await World.make();
  link = await CuttingProxy.start(world.url);
});
afterAll(async () => {
  await link?.close();
  await world.close();
});

const asksToPublish = (): boolean => link.requests.some((head) => /^POST \S+\/publish /.test(head));

test('the depot has it all when the run ends; the next run has it published, and signs nothing', async () => {
  const { build, ticket } = await world.approve('1.0.0');
  // a round has seen its approval: what the log has of a build is not yet that it was signed
  mustBe(0, await world.sign());
  mustBe(0, await world.attest(ticket, { 'app.tgz': 'an application' }));

  const sent = await world.sign(['--no-wait', '--depot', link.url]);
  expect(sent.code, sent.stderr).toBe(0);
  expect(sent.json).toEqual([
    {
      ...{ build, state: 'signed', artifacts: 1, bytes: 14 },
      ...{ signSeconds: expect.any(Number), publishSeconds: expect.any(Number) },
    },
  ]);
  expect(sent.stderr).toMatch(/1 artifact, 14 B, signed in \d+\.\d s/);
  expect(sent.stderr).toMatch(/the depot has it; the next run has it published/);
  expect(existsSync(world.tree('builds', build, 'signatures', 'app.tgz.asc'))).toBe(true);
  expect(asksToPublish()).toBe(false);
  expect(existsSync(world.tree('releases'))).toBe(false);
  const { signatures } = world.agent;

  // whoever always says so has everything published, one run later
  const next = await world.sign(['--no-wait', '--depot', link.url]);
  expect(next.code, next.stderr).toBe(0);
  expect(next.json).toMatchObject([{ build, state: 'published', artifacts: 1 }]);
  expect(next.stderr).toContain('1 artifact, 14 B, signed by an earlier run');
  expect(asksToPublish()).toBe(true);
  expect(world.agent.signatures).toBe(signatures);
  expect((await world.sign()).json).toEqual([]);
  expect(existsSync(world.tree('releases', 'widget', '1.0.0', 'app.tgz'))).toBe(true);
});
