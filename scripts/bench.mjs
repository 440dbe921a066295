// `npm run bench -- log`: measures what docs/performance.md says. Benchmarks measure; tests do not time.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const NAMES = ['log'];
const [name = ''] = process.argv.slice(2);
if (!NAMES.includes(name)) {
  console.error(`usage: npm run bench -- ${NAMES.join('|')}`);
  process.exit(2);
}
const directory = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const outfile = join(directory, `${name}.mjs`);
await build({
  absWorkingDir: root,
  entryPoints: [`bench/${name}.ts`],
  outfile,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  logLevel: 'warning',
});
await import(pathToFileURL(outfile).href);
