/** `approve --wait`: the ticket comes when H has logged the approval, and not at all if it won't. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PROGRAM } from '../harness/program.ts';
import { World, mustBe } from '../harness/world.ts';

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.close());

let started = 0;

/** Starts it; returns once it waits. */
async function waiting(version: string) {
  const tickets = world.path('operator', `held-${++started}`);
  const args = ['approve', version, '--wait', '--tickets', tickets, '--yes', '--json'];
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    cwd: world.path('cwd'),
    env: { ...world.env('operator') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  child.stdout.on('data', (chunk) => (stdout += String(chunk)));
  const ended = new Promise<{ code: number | null; last: Record<string, unknown> }>((resolve) =>
    child.once('close', (code) =>
      resolve({
        code,
        last: JSON.parse(stdout.trim().split('\n').at(-1) || '{}') as Record<string, unknown>,
      }),
    ),
  );
  const build = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      const [, id] = /^build (\S+) is sent; waiting until /.exec(line) ?? [];
      if (id !== undefined) resolve(id);
    });
    void ended.then(({ last }) => reject(new Error(`it did not wait: ${JSON.stringify(last)}`)));
  });
  return { child, tickets, build, ended };
}

test('H logs it, the ticket is there, and the build goes its way', async () => {
  const { tickets, build, ended } = await waiting('1.0.0');
  expect(existsSync(tickets)).toBe(false);
  const before = await world.runOn('operator', ['status', build]);
  expect(before.stdout).toMatch(/log +not read: the depot has no log/);
  await world.sign();
  const { code, last } = await ended;
  expect({ code, last }).toMatchObject({ code: 0, last: { build, tickets: { b1: `${tickets}/b1.ticket` } } });

  mustBe(0, await world.attest(`${tickets}/b1.ticket`, { 'app.tgz': 'app' }));
  mustBe(0, await world.sign());
  const after = await world.runOn('operator', ['status', build]);
  expect(after.stdout).toMatch(
    /log +entry 0, at \S+: approval\n +entry 1, .*statement\n(?:.*\n)+ +entry 3, .*release/,
  );
});

test('Ctrl-C: no ticket, and what becomes of the build', async () => {
  const { child, tickets, build, ended } = await waiting('2.0.0');
  child.kill('SIGINT');
  expect(await ended).toMatchObject({
    code: 3,
    last: {
      code: 'approval-not-logged',
      message: expect.stringMatching(`^build ${build}: stopped .*its tickets are gone`),
      hint: expect.stringMatching(
        /no ticket was written, and the build expires at .*another version, or wait/,
      ),
    },
  });
  expect(existsSync(tickets)).toBe(false);
  // once more: it may, but is not told to hand on a ticket that is good for nothing
  const again = await world.runOn('operator', ['approve', '2.0.0', '--yes', '--tickets', `${tickets}-again`]);
  mustBe(0, again);
  expect(again.stderr).toMatch(
    /the signer will refuse this: .*: go on with it if you have its ticket.*\n(?:.*\n)*hint: mind the warning above/,
  );
  const next = await world.runOn('operator', ['status', build]);
  expect(next.stdout).toMatch(/log +nothing of it in 4 entries: not logged yet/);
});

test('H refuses the build: why, and no ticket', async () => {
  // the version is taken, which H alone decides
  const { tickets, ended } = await waiting('1.0.0');
  await world.sign();
  expect(await ended).toMatchObject({
    code: 1,
    last: { code: 'build-refused', message: expect.stringContaining('version-taken') },
  });
  expect(existsSync(tickets)).toBe(false);
});
