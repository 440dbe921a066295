/** The quick soak, so that the harness does not rot; the whole one is `npm run test:soak`, and docs/soak.md its report. */
import { expect, test } from 'vitest';
import { QUICK } from './sizes.ts';
import { soak } from './soak.ts';

test('builds of all ways, with L, M and H killed: each ends as it may, and everything verifies', async () => {
  const { checks, ended } = await soak({ ...QUICK, seed: 7, say: () => {} });
  expect(checks.filter(({ problems }) => problems.length > 0)).toEqual([]);
  expect(ended.length).toBeGreaterThanOrEqual(QUICK.builds);
}, 600_000);
