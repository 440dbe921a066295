/** What `npm pack` makes is what people get: it installs without any other package, and npx runs it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
let directory: string;
/** As a user would have it: without what `npm test` puts into the environment. */
let env: Record<string, string>;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'cs-package-'));
  env = { PATH: process.env['PATH'] ?? '', HOME: directory, npm_config_update_notifier: 'false' };
  const npm = (...args: string[]) => execFileSync('npm', args, { cwd: directory, env, stdio: 'pipe' });
  // prepack would build into dist/ while other tests run it
  npm('pack', root, '--ignore-scripts', '--silent');
  const [tarball = ''] = readdirSync(directory).filter((name) => name.endsWith('.tgz'));
  writeFileSync(join(directory, 'package.json'), '{"private":true}');
  npm('install', '--offline', '--no-audit', '--no-fund', join(directory, tarball));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test('it brings no other package', () => {
  expect(readdirSync(join(directory, 'node_modules')).filter((name) => !name.startsWith('.'))).toEqual([
    'countersign',
  ]);
});

test('npx runs it', () => {
  const run = (...args: string[]) =>
    execFileSync('npx', ['--no-install', 'countersign', ...args], { cwd: directory, env, encoding: 'utf8' });
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  expect(run('--version')).toBe(`${version}\n`);
  expect(run('--help')).toContain('countersign demo');
});

test('it holds programs, licences and papers, and nothing of how they were made', () => {
  const installed = join(directory, 'node_modules', 'countersign');
  const files = readdirSync(installed, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const names = files.map((entry) => join(entry.parentPath, entry.name).slice(installed.length + 1));
  expect(names).toEqual(
    expect.arrayContaining([
      'dist/countersign.mjs',
      'dist/countersign-h.mjs',
      'dist/THIRD-PARTY.txt',
      'LICENSE',
    ]),
  );
  expect(names.filter((name) => /^(src|test|scripts)\/|\.meta\.json$|\.tgz$/.test(name))).toEqual([]);
  for (const name of names) expect(readFileSync(join(installed, name), 'utf8'), name).not.toContain(root);
});
