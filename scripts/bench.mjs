// `npm run bench [-- SECTION...] [--quick] [--write]`: measures what docs/performance.md says. Benchmarks measure; tests do not time.
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const prepared = spawnSync(process.execPath, [join(root, 'scripts/prepare.mjs'), 'bench'], {
  stdio: 'inherit',
});
if (prepared.status !== 0) process.exit(prepared.status ?? 3);

// only now are esbuild and the rest surely there
const { build } = await import('esbuild');
// everything that is made lies here: keys, depots, 30 GiB of artifacts at most
const directory = mkdtempSync(join(tmpdir(), 'csb-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const outfile = join(directory, 'bench.mjs');
await build({
  absWorkingDir: root,
  entryPoints: ['bench/bench.ts'],
  outfile,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  logLevel: 'warning',
});
// one and the same program from beginning to end, whatever is built meanwhile
copyFileSync(join(root, 'dist/countersign.mjs'), join(directory, 'countersign.mjs'));
// in a process of its own, with nothing of ours in its memory
const bench = spawn(process.execPath, [outfile, ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, TMPDIR: directory },
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => bench.kill('SIGTERM'));
bench.once('exit', (code) => (process.exitCode = code ?? 130));
