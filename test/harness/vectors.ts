/** Vectors made elsewhere: those that lie beside the checkout, and the small ones in test/vectors. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** A folder of `../shared/vectors`; `skipped` (for `describe.skipIf`) where it is not there, and it is said. */
export function sharedVectors(folder: string, tests: number): { directory: string; skipped: boolean } {
  const directory = join(root, '..', 'shared', 'vectors', folder);
  const skipped = !existsSync(directory);
  if (skipped) console.log(`skipped: ${tests} tests with ../shared/vectors/${folder}, which is not here`);
  return { directory, skipped };
}

/** The paths of all files below a directory, sorted; none where it is missing. */
export function filesBelow(directory: string): string[] {
  if (!existsSync(directory)) return [];
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** The text of a file of test/vectors. */
export const ownVector = (name: string): string => readFileSync(join(root, 'test', 'vectors', name), 'utf8');
