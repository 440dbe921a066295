import { spawnSync } from 'node:child_process';

/**
 * Builds `dist/` once before the tests, so that those that run the program run this source. A build
 * that fails is said and goes on: unit tests can still run, those that need the program will fail.
 */
export default function build(): void {
  const result = spawnSync(process.execPath, ['scripts/build.mjs'], { encoding: 'utf8' });
  if (result.status !== 0) console.error(`the build failed, dist/ is old or missing:\n${result.stderr}`);
}
