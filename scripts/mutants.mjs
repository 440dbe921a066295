// `npm run test:mutants -- [NAME...]`: what rules 4 and 7 of the protocol rest on, broken on purpose, one mistake at a time
// (scripts/mutants/*.mjs). Each must make the tests fail that are named for it, which pass without it. Prints the table of
// docs/mutants.md. `--check` only looks whether each mistake still has its place.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MUTANTS } from './mutants/table.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const PARTS = [
  'src',
  'test',
  'scripts',
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
  'docs',
  'systemd',
];
const copy = mkdtempSync(join(tmpdir(), 'countersign-mutants-'));
process.once('exit', () => rmSync(copy, { recursive: true, force: true }));
for (const part of PARTS) cpSync(join(root, part), join(copy, part), { recursive: true });
symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));

const run = (command, args) =>
  spawnSync(command, args, { cwd: copy, encoding: 'utf8', env: { ...process.env, CI: 'true' } });

/** The names of the tests that fail; null if they could not be run at all. */
function failures(tests) {
  // a mutant that does not build would be killed by anything
  if (run(process.execPath, ['scripts/build.mjs']).status !== 0) return null;
  const vitest = join('node_modules', 'vitest', 'vitest.mjs');
  const { stdout } = run(process.execPath, [vitest, 'run', '--reporter', 'json', '--bail', '1', ...tests]);
  const start = stdout.indexOf('{"num');
  if (start === -1) return null;
  const { testResults } = JSON.parse(stdout.slice(start));
  return testResults.flatMap(({ name, message, assertionResults }) => {
    const failed = assertionResults.filter(({ status }) => status === 'failed');
    if (failed.length === 0 && message) return [`${basename(name)}: ${message}`];
    return failed.map(({ fullName }) => fullName);
  });
}

/** Puts a mistake in; what it returns takes it out. */
function mutate(edits) {
  const before = edits.map(({ file }) => [join(copy, file), readFileSync(join(root, file), 'utf8')]);
  for (const { file, find, put } of edits) {
    const path = join(copy, file);
    const parts = readFileSync(path, 'utf8').split(find);
    if (parts.length !== 2) throw new Error(`${file}: ${parts.length - 1} times, not once:\n${find}`);
    writeFileSync(path, parts.join(put));
  }
  return () => before.forEach(([path, text]) => writeFileSync(path, text));
}

const wanted = process.argv.slice(2);
if (wanted.includes('--check')) {
  // every mistake can still be made
  for (const { edits } of MUTANTS) mutate(edits)();
  process.exit(0);
}
const chosen = MUTANTS.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
const tests = [...new Set(chosen.flatMap((mutant) => mutant.tests))];
const honest = failures(tests);
if (honest === null || honest.length > 0) {
  console.error('without any mistake:', honest ?? 'the tests do not run');
  process.exit(1);
}

console.log('| mutant | what it does wrong | killed by |\n| --- | --- | --- |');
let alive = 0;
for (const { name, wrong, edits, tests: files } of chosen) {
  const restore = mutate(edits);
  const failed = failures(files);
  restore();
  if (failed === null || failed.length === 0) alive += 1;
  const by = failed === null ? '**does not run**' : (failed[0] ?? '**nothing**');
  console.log(`| \`${name}\` | ${wrong} | ${by.replaceAll('|', '\\|').split('\n')[0]} |`);
}
console.log(`\n${chosen.length - alive} of ${chosen.length} killed`);
process.exitCode = alive > 0 ? 1 : 0;
