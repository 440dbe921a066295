/** What a person is asked before anything is allowed or signed, on a real terminal. */
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { atTerminal } from '../harness/terminal.ts';
import { mustBe, World } from '../harness/world.ts';

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.close());

const approve = (tickets: string, answer: string) =>
  atTerminal(['approve', '1.0.0', '--tickets', tickets], [['allow this build? [y/N]', answer]], {
    cwd: world.path('cwd'),
    env: world.env('operator'),
  });

test('approve shows what would be allowed; no is no', async () => {
  const tickets = world.path('operator', 'tickets-no');
  const { code, screen } = await approve(tickets, 'n');
  expect(code, screen).toBe(1);
  expect(screen).toMatch(/about to allow a build of .*widget 1\.0\.0/);
  expect(screen).toContain('source not stated');
  expect(screen).toContain('single-builder');
  expect(screen).toMatch(/terms +[0-9a-f]{64}/);
  expect(existsSync(tickets)).toBe(false);
  const status = await world.runOn('operator', ['status', '--json']);
  expect(status.json).toEqual([]);
});

test('sign shows who allowed what and what would be signed; no leaves the build as it was', async () => {
  const tickets = world.path('operator', 'tickets-yes');
  const approved = await approve(tickets, 'yes');
  expect(approved.code, approved.screen).toBe(0);
  const build = /^[0-7][0-9a-z]{25}(?=\r$)/m.exec(approved.screen)?.[0] ?? '';
  expect(approved.screen).not.toContain('countersign-ticket-v1.');
  expect(readFileSync(`${tickets}/b1.ticket`, 'utf8')).toMatch(/^countersign-ticket-v1\./);
  mustBe(0, await world.attest(`${tickets}/b1.ticket`, { 'app.tgz': 'app' }));

  const sign = (answer: string) =>
    atTerminal(['sign', build], [['sign it? [y/N]', answer]], {
      cwd: world.path('cwd'),
      env: world.env('H'),
    });
  const before = await snapshot(world);
  const declined = await sign('');
  expect(declined.code, declined.screen).toBe(1);
  expect(declined.screen).toMatch(/about to sign .*widget 1\.0\.0/);
  expect(declined.screen).toContain('app.tgz  3 B');
  await expectUntouched(world, before, { answers: [] });

  const signed = await sign('y');
  expect(signed.code, signed.screen).toBe(0);
  expect(signed.screen).toContain('published');
});
