/**
 * Inputs that were a finding once, or that somebody thought of: `test/cases/TARGET/NAME`, each read by its target
 * again. The fuzzer writes them there; a name that says what the input is is better than a digest.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { problemWith } from './fuzz.ts';
import { targets } from './targets.ts';

const directory = fileURLToPath(new URL('../cases/', import.meta.url));
const cases = readdirSync(directory).flatMap((target) =>
  readdirSync(join(directory, target)).map((name) => ({ target, name })),
);

test.each(cases)('$target: $name', async ({ target, name }) => {
  const reader = targets.find((each) => each.name === target);
  if (reader === undefined) throw new Error(`test/cases/${target} is of no target`);
  expect(await problemWith(reader, readFileSync(join(directory, target, name)))).toBeNull();
});

test('there are cases', () => {
  expect(existsSync(directory) && cases.length > 0).toBe(true);
});
