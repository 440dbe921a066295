// `npm run bench [-- SECTION...] [--quick] [--write]`: measures what docs/performance.md says. Benchmarks measure; tests do not time.
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const SECTIONS = ['log', 'start', 'large', 'parallel', 'many', 'digest', 'depot', 'curves'];
const USAGE = `usage: npm run bench [-- SECTION...] [--quick|--once] [--write]
sections: ${SECTIONS.join(' ')}; none given: all; report: nothing is measured, what was measured before is shown
--quick   small sizes, few runs: does everything work? No goal is judged
--once    full sizes, one run of each
--write   puts the results into docs/performance.md
`;

/** What was asked for; null if that cannot be. */
function parse() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: 'boolean', default: false },
        once: { type: 'boolean', default: false },
        write: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const known = positionals.every((name) => name === 'report' || SECTIONS.includes(name));
    // the document is no place for figures that mean nothing
    if (!known || (values.quick && (values.once || values.write))) return null;
    const sections = positionals.length === 0 ? SECTIONS : positionals.filter((name) => name !== 'report');
    return { ...values, sections };
  } catch {
    return null;
  }
}

const asked = parse();
if (asked === null || asked.help) {
  (asked === null ? process.stderr : process.stdout).write(USAGE);
  process.exit(asked === null ? 2 : 0);
}

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
// in a process of its own, with nothing of ours in its memory, and nothing in its environment that slows some of what it
// runs: with NODE_EXTRA_CA_CERTS bare node takes longer
const bench = spawn(process.execPath, [outfile, JSON.stringify(asked)], {
  cwd: root,
  stdio: 'inherit',
  env: { PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: directory },
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => bench.kill('SIGTERM'));
bench.once('exit', (code) => (process.exitCode = code ?? 130));
