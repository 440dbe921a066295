// `npm run test:fuzz -- [--seconds N] [--seed N] [--target NAME]`: every reader of foreign bytes (test/fuzz/) against
// as many inputs as the time allows. What it finds lies in test/cases/TARGET/ afterwards, where `npm test` reads it.
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const INPUT_MAX = 64 * 1024;
const HEADER = 12;
/** An input that is read for longer hangs its reader. */
const HANG_SECONDS = 20;
/** No reader needs more for 64 KiB. */
const MEMORY_MIB = 256;

const { values } = parseArgs({
  options: { seconds: { type: 'string' }, seed: { type: 'string' }, target: { type: 'string' } },
});
const [seconds, seed] = [values.seconds ?? '60', values.seed ?? String(Date.now() % 1e9)].map(Number);
if (!(seconds > 0) || !Number.isInteger(seed)) {
  console.error('usage: npm run test:fuzz -- [--seconds N] [--seed N] [--target NAME]');
  process.exit(2);
}

/** Findings, each kept once: the same fault is found many times. */
const kept = new Set();

function keep({ target, input, problem }) {
  const what = `${target} ${problem
    .split('\n', 2)
    .join(' ')
    .replaceAll(/[0-9]+/g, '0')}`;
  if (kept.has(what)) return;
  kept.add(what);
  const directory = join(root, 'test/cases', target);
  mkdirSync(directory, { recursive: true });
  const name = createHash('sha256').update(input).digest('hex').slice(0, 12);
  writeFileSync(join(directory, name), input);
  console.error(`\n${target}: ${problem}\n  input: test/cases/${target}/${name}`);
}

const directory = mkdtempSync(join(tmpdir(), 'countersign-fuzz-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const file = join(directory, 'worker.mjs');
await build({
  absWorkingDir: root,
  entryPoints: ['test/fuzz/worker.ts'],
  outfile: file,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  // seeds are found beside the sources, wherever the bundle lies
  define: { 'import.meta.url': JSON.stringify(pathToFileURL(join(root, 'test/fuzz/worker.ts')).href) },
  logLevel: 'warning',
});

const shown = new SharedArrayBuffer(HEADER + INPUT_MAX);
const header = new Int32Array(shown, 0, 3);
let targets = [];
const current = (problem) => ({
  target: targets[header[1]],
  input: Buffer.from(new Uint8Array(shown, HEADER, header[2])),
  problem,
});

console.log(`seed ${seed}, ${seconds} s${values.target ? `, ${values.target} alone` : ''}`);
const worker = new Worker(file, {
  workerData: { seed, only: values.target ?? null, seconds, shown },
  resourceLimits: { maxOldGenerationSizeMb: MEMORY_MIB },
});
let [last, still] = [-1, 0];
const watchdog = setInterval(() => {
  still = header[0] === last ? still + 1 : 0;
  last = header[0];
  if (still < HANG_SECONDS) return;
  keep(current(`it hangs: ${HANG_SECONDS} s`));
  void worker.terminate();
}, 1000);
worker.on('message', ({ names, finding, done }) => {
  targets = names ?? targets;
  if (finding) keep({ ...finding, input: Buffer.from(finding.input) });
  for (const { name, inputs, answers } of done ?? [])
    console.log(
      `${name.padEnd(24)} ${String(inputs).padStart(9)} inputs  ${String(answers).padStart(4)} answers`,
    );
});
worker.on('error', (error) => {
  // out of memory comes as an error
  if (targets.length > 0) keep(current(error.stack ?? String(error)));
  else {
    console.error(error.message);
    process.exit(2);
  }
});
worker.on('exit', () => {
  clearInterval(watchdog);
  console.log(`${kept.size} findings`);
  process.exitCode = kept.size > 0 ? 1 : 0;
});
