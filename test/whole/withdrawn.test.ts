/** A release of two builders, from the tickets to the reader; and the day on which it is taken back. */
import { cp } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { World } from '../harness/world.ts';

let world: World;
let build: string;
let copy: string;
beforeAll(async () => {
  world = await World.make();
  const approved = await world.approve('1.0', ['--builders', '2']);
  build = approved.build;
  const tickets = dirname(approved.ticket);
  const attested = [];
  for (const slot of ['b1', 'b2'])
    attested.push(await world.attest(join(tickets, `${slot}.ticket`), { 'app.tgz': 'app' }));
  const signed = await world.sign();
  expect([approved, ...attested, signed].map(({ code, stderr }) => [code, stderr])).toMatchObject(
    Array.from({ length: 4 }, () => [0, expect.anything()]),
  );
  copy = world.path('operator', 'copy');
  await cp(world.tree('releases/widget/1.0'), copy, { recursive: true });
});
afterAll(() => world?.close());

test('both builders agree: verify says so, of the whole copy', async () => {
  const { code, stdout, stderr } = await world.runOn('operator', ['verify', copy]);
  expect(code, stderr).toBe(0);
  expect(stdout).toMatch(/built by +2 of 2 builders agree: b1, b2 \(keypair\)/);
});

test('taken back: as soon as the signer has logged it, verify, the log and a monitor say so', async () => {
  const revoked = await world.runOn('operator', ['revoke', build, '--reason', 'not ours', '--yes']);
  expect(revoked.code, revoked.stderr).toBe(0);
  expect((await world.verify([copy])).json).toMatchObject([{ outcome: 'valid', revoked: null }]);
  const signed = await world.sign();
  expect(signed.code, signed.stderr).toBe(0);
  expect(await world.verify([copy])).toMatchObject({
    code: 1,
    json: [
      {
        ...{ outcome: 'not-valid', code: 'revoked' },
        revoked: { reasons: [{ approver: world.approvers[0], reason: 'not ours' }] },
      },
    ],
  });
  expect((await world.verify([copy], ['--offline'])).json).toMatchObject([{ outcome: 'valid' }]);
  const { stdout } = await world.runOn('operator', ['log', 'show', '--releases']);
  expect(stdout).toMatch(/widget 1\.0 +released .* withdrawn at /);
  const monitored = await world.runOn('operator', ['log', 'monitor']);
  expect(monitored.code, monitored.stderr).toBe(0);
  expect(monitored.stdout).toMatch(/^withdrawal widget 1\.0/m);
});
