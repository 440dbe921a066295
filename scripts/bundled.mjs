// A long command of ours that is TypeScript: `npm run bench`, `npm run test:soak`. Bundled, and run in a process of its own, with
// nothing of ours in its memory and nothing in its environment that changes what it runs.
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Installs what `prepare` names, bundles `entry` and runs it with what was asked for, as JSON. `outfile` and `copies` (of files
 * in dist/, and where to) are in a directory that `prefix` names and that goes in the end; `env` is what it gets besides.
 */
export async function runBundled({
  prepare,
  entry,
  outfile,
  copies,
  prefix,
  asked,
  flags = [],
  env = {},
  banner,
}) {
  const prepared = spawnSync(process.execPath, [join(root, 'scripts/prepare.mjs'), prepare], {
    stdio: 'inherit',
  });
  if (prepared.status !== 0) process.exit(prepared.status ?? 3);
  // only now is esbuild surely there
  const { build } = await import('esbuild');
  // everything that is made lies here
  const directory = mkdtempSync(join(tmpdir(), prefix));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const bundle = join(directory, outfile);
  await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile: bundle,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    logLevel: 'warning',
    ...(banner && { banner: { js: banner } }),
  });
  // one and the same program from beginning to end, whatever is built meanwhile
  for (const [name, to] of Object.entries(copies)) {
    mkdirSync(dirname(join(directory, to)), { recursive: true });
    copyFileSync(join(root, 'dist', name), join(directory, to));
  }
  const child = spawn(process.execPath, [...flags, bundle, JSON.stringify(asked)], {
    cwd: root,
    stdio: 'inherit',
    env: { PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: directory, ...env },
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill('SIGTERM'));
  child.once('exit', (code) => (process.exitCode = code ?? 130));
}
