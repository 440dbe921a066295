// `npm run test:soak [-- --builds N] [--seed N] [--minutes M] [--quick] [--write]`: thousands of builds through all states,
// with L, M and H killed; docs/soak.md says what came of it.
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const USAGE = `usage: npm run test:soak [-- --builds N] [--seed N] [--minutes M] [--quick] [--write]
--builds   how many, 3000; kills are as many as that is
--seed     of all that is decided by chance; another one each time
--minutes  no build begins after so many, 60
--quick    40 builds in half a minute: does everything work? Memory is not judged
--write    puts what came of it into docs/soak.md
`;

/** What was asked for; null if that cannot be. */
function parse() {
  try {
    const { values } = parseArgs({
      options: {
        builds: { type: 'string', default: '3000' },
        seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
        minutes: { type: 'string', default: '60' },
        quick: { type: 'boolean', default: false },
        write: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const [builds, seed, minutes] = [values.builds, values.seed, values.minutes].map(Number);
    const numbers = [builds, minutes].every((each) => each > 0) && Number.isSafeInteger(seed);
    // the document is no place for figures that mean nothing
    return numbers && !(values.quick && values.write) ? { ...values, builds, seed, minutes } : null;
  } catch {
    return null;
  }
}

const asked = parse();
if (asked === null || asked.help) {
  (asked === null ? process.stderr : process.stdout).write(USAGE);
  process.exit(asked === null ? 2 : 0);
}

const prepared = spawnSync(process.execPath, [join(root, 'scripts/prepare.mjs'), 'test'], {
  stdio: 'inherit',
});
if (prepared.status !== 0) process.exit(prepared.status ?? 3);

// only now is esbuild surely there
const { build } = await import('esbuild');
// everything that is made lies here; sockets have short names
const directory = mkdtempSync(join(tmpdir(), 'css-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
// where the harness looks for the program: one and the same from beginning to end, whatever is built meanwhile
const outfile = join(directory, 'test', 'soak', 'soak.mjs');
mkdirSync(join(directory, 'dist'));
for (const name of ['countersign.mjs', 'countersign-h.mjs'])
  copyFileSync(join(root, 'dist', name), join(directory, 'dist', name));
await build({
  absWorkingDir: root,
  entryPoints: ['test/soak/main.ts'],
  outfile,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
  logLevel: 'warning',
});
const soak = spawn(process.execPath, ['--trace-warnings', outfile, JSON.stringify(asked)], {
  cwd: root,
  stdio: 'inherit',
  env: {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    TMPDIR: directory,
    NO_COLOR: '1',
    GNUPGHOME: '/nonexistent',
  },
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => soak.kill('SIGTERM'));
soak.once('exit', (code) => (process.exitCode = code ?? 130));
