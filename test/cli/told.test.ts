/** The real programs: H waits to be told by L, signs what is sealed, and neither holds the other up when it ends. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PROGRAM_H } from '../harness/program.ts';
import { rawRequest } from '../harness/raw-http.ts';
import { until } from '../harness/until.ts';
import { mustBe, World } from '../harness/world.ts';

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.close());

test('a release is out before the next round would begin; L and H may end while H waits', async () => {
  const child = spawn(process.execPath, [PROGRAM_H, 'sign', '--watch', '--yes', '--json'], {
    cwd: world.path('cwd'),
    env: world.env('H'),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const published = new Set<unknown>();
  const said: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { build, state } = JSON.parse(line) as Record<string, unknown>;
    if (state === 'published') published.add(build);
  });
  createInterface({ input: child.stderr }).on('line', (line) => said.push(line));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const waits = (): Promise<void> =>
    until('H waits', async () => {
      const { body } = await rawRequest(world.url, { path: '/metrics' });
      return body.toString().includes('\ncountersign_depot_waiting_for_changes 1\n');
    });
  /** How long it took from the seal, in milliseconds. */
  const release = async (version: string): Promise<number> => {
    const approved = await world.approve(version);
    mustBe(0, approved);
    await waits();
    mustBe(0, await world.attest(approved.ticket, { 'app.tgz': version }));
    const sealed = performance.now();
    await until('published', () => published.has(approved.build));
    return performance.now() - sealed;
  };

  await waits();
  const took = [await release('1.0'), await release('1.1')];
  await waits();
  // L's end waits for no waiter
  const began = performance.now();
  expect(await world.stopServer()).toBe(0);
  expect(performance.now() - began, 'L ends').toBeLessThan(10_000);
  await world.startServer();
  await waits();
  took.push(await release('1.2'));
  // a round begins every five seconds, and signing takes a while
  expect(Math.min(...took), took.join(' ')).toBeLessThan(2500);

  await waits();
  const told = performance.now();
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  expect(performance.now() - told, 'H ends').toBeLessThan(5000);
  expect(said.filter((line) => line.includes('does not tell'))).toEqual([]);
});
