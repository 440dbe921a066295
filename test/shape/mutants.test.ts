/** The mistakes of `npm run test:mutants` can still be made: each has its one place in the source. */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

test('each has its place', () => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/mutants.mjs', '--check']);
  expect(status, stderr.toString()).toBe(0);
});
