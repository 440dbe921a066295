/** What a person is asked before anything is allowed or signed, on a real terminal. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
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
  atTerminal(
    ['approve', '1.0.0', '--tickets', tickets],
    [['allow this build of widget 1.0.0, 1 of 1 builder? [y/N]', answer]],
    {
      cwd: world.path('cwd'),
      env: world.env('operator'),
    },
  );

test('approve shows what would be allowed; no is no', async () => {
  const tickets = world.path('operator', 'tickets-no');
  const { code, screen } = await approve(tickets, 'n');
  expect(code, screen).toBe(1);
  expect(screen).toMatch(/about to allow a build of .*widget 1\.0\.0/);
  expect(screen).toContain('source not stated');
  expect(screen).toMatch(/until +\S+Z, for 4h/);
  for (const line of screen.split(/\r?\n/)) expect(line.length).toBeLessThanOrEqual(80);
  expect(screen).toContain('single-builder');
  expect(screen).toMatch(/terms +[0-9a-f]{64}/);
  expect(existsSync(tickets)).toBe(false);
  const status = await world.runOn('operator', ['status', '--json']);
  expect(status.json).toEqual([]);
});

test('approve says beforehand that a version is taken, and that its ticket could not be written', async () => {
  const quiet = ['-q', '--depot', world.url];
  const first = await world.approve('2.0.0', quiet);
  mustBe(0, first);
  expect(first.stderr).toContain(first.ticket);
  expect(first.stderr).not.toMatch(/about to allow|warning/);

  const second = await world.approve('2.0.0', quiet);
  mustBe(0, second);
  expect(second.stderr).toMatch(
    `warning: the signer will refuse this: widget 2.0.0 is that of build ${first.build}`,
  );

  const shown = await world.runOn('operator', ['status', '2.0.0']);
  mustBe(0, shown);
  expect(shown.stdout.match(/^widget 2\.0\.0 {2}approved$/gm)).toHaveLength(2);
  const none = await world.runOn('operator', ['status', '9.9', '--json']);
  expect(none).toMatchObject({ code: 1, error: { code: 'build-unknown' } });
  const table = (await world.runOn('operator', ['status'])).stdout.split('\n');
  expect(table[0]).toBe(`${first.build}  2.0.0  approved  single-builder`);
  expect(table[1]).toMatch(/^ {2}it waits for the statement of b1/);

  const args = ['approve', '2.0.1', '--tickets', dirname(first.ticket), '--json'];
  expect(await world.runOn('operator', args)).toMatchObject({ code: 2, error: { code: 'ticket-exists' } });
  const away = await world.approve('2.0.0', ['--depot', 'http://127.0.0.1:1']);
  expect(away).toMatchObject({ code: 3, error: { code: 'network' } });
  expect(away.stderr).not.toContain('warning');
});

test('without a terminal nothing is allowed or signed unasked, and with nothing to ask none is needed', async () => {
  const tickets = world.path('operator', 'tickets-none');
  const args = ['approve', '3.0.0', '--tickets', tickets, '--json'];
  expect(await world.runOn('operator', args)).toMatchObject({ code: 2, error: { code: 'no-terminal' } });

  const approved = await world.approve('3.0.0');
  const sign = () => world.runOn('H', ['sign', '--json']);
  mustBe(1, await sign());
  mustBe(0, await sign());
  const many = Object.fromEntries(Array.from({ length: 26 }, (_, i) => [`app-${i}.tgz`, `${i}`]));
  mustBe(0, await world.attest(approved.ticket, many));
  expect(await sign()).toMatchObject({ code: 2, error: { code: 'no-terminal' } });
  const signed = await world.sign();
  mustBe(0, signed);
  expect(signed.stderr.match(/app-\d+\.tgz/g)).toHaveLength(10);
  expect(signed.stderr).toContain('… and 16 more');
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
    atTerminal(['sign', build], [['sign widget 1.0.0, 1 of 1 builder? [y/N]', answer]], {
      cwd: world.path('cwd'),
      env: world.env('H'),
    });
  const before = await snapshot(world);
  const declined = await sign('');
  expect(declined.code, declined.screen).toBe(1);
  expect(declined.screen).toMatch(/about to sign .*widget 1\.0\.0/);
  expect(declined.screen).toContain('app.tgz  3 B');
  expect(declined.screen).toMatch(/statement +[0-9a-f]{64}/);
  await expectUntouched(world, before, { answers: [] });

  const signed = await sign('y');
  expect(signed.code, signed.screen).toBe(0);
  expect(signed.screen).toContain('published');
});
