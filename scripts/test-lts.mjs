// `npm run test:lts`: the tests again, on the newest long-term release of Node, which npm's registry carries as a package.
// The programs must run on Debian's Node 20 and on what people install today. No dependencies.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NEWEST_LTS = '24';
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const directory = mkdtempSync(join(tmpdir(), 'countersign-node-'));

function run(command, args, options = {}) {
  return spawnSync(command, args, { stdio: 'inherit', ...options }).status === 0;
}

try {
  const name = `node-${process.platform}-${process.arch}`;
  if (
    !run('npm', ['install', '--prefix', directory, '--no-save', '--ignore-scripts', `${name}@${NEWEST_LTS}`])
  ) {
    process.stderr.write(`test-lts: npm has no ${name}@${NEWEST_LTS}\n`);
    process.exitCode = 3;
  } else {
    const bin = join(directory, 'node_modules', name, 'bin');
    const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` };
    const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
    run('node', ['--version'], { env });
    const passed = run('node', [vitest, 'run', ...process.argv.slice(2)], { cwd: root, env });
    process.exitCode = passed ? 0 : 1;
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
