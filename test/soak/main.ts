/** `npm run test:soak`, once it is bundled: reads what was asked for, soaks, says and writes what came of it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reportText, verdictText, withReport } from './report.ts';
import { QUICK, sizeOf } from './sizes.ts';
import { soak } from './soak.ts';

interface Asked {
  readonly seed: number;
  readonly builds: number;
  readonly minutes: number;
  readonly quick: boolean;
  readonly write: boolean;
}

// what we started ends with us
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    throw new Error(`ended by ${signal}`);
  });
const asked = JSON.parse(process.argv[2] ?? '{}') as Asked;
console.log(`seed ${asked.seed}`);
const size = asked.quick ? QUICK : sizeOf(asked.builds, asked.minutes);
const soaked = await soak({ ...size, seed: asked.seed, say: (line) => console.log(line) });
console.log(`\n${reportText(soaked, new Date())}\n\n${verdictText(soaked)}`);
if (asked.write) {
  const document = join('docs', 'soak.md');
  writeFileSync(document, withReport(readFileSync(document, 'utf8'), soaked, new Date()));
}
process.exitCode = soaked.checks.some(({ problems }) => problems.length > 0) ? 1 : 0;
