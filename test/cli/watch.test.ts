/** `sign --watch`, as a service: builds are signed as they are sealed, and it ends when it is told to. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PROGRAM_H } from '../harness/program.ts';
import { mustBe, World } from '../harness/world.ts';

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.close());

test('watch signs what comes and ends with status 0 on SIGTERM; one signer at a time', async () => {
  const child = spawn(process.execPath, [PROGRAM_H, 'sign', '--watch', '--yes', '--json'], {
    cwd: world.path('cwd'),
    env: world.env('H'),
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (build: string, state: string): Promise<void> => {
    for (;;) {
      const { value, done } = (await lines.next()) as { value?: string; done?: boolean };
      if (done === true || value === undefined) throw new Error('watch ended');
      const line = JSON.parse(value) as Record<string, unknown>;
      if (line['build'] === build && line['state'] === state) return;
    }
  };

  for (const version of ['1.0.0', '1.0.1']) {
    const approved = await world.approve(version);
    mustBe(0, approved);
    mustBe(0, await world.attest(approved.ticket, { 'app.tgz': version }));
    await next(approved.build, 'published');
  }
  const second = await world.sign();
  expect(second).toMatchObject({ code: 3, error: { code: 'locked' } });
  expect(second.error?.message).toContain(`process (${child.pid})`);

  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
});
