/** Rules of the house that are about every source file. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name, text: withoutComments(readFileSync(join(root, 'src', name), 'utf8')) }));

/** Lines stay where they are. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|(?<![:'"`])\/\/.*$/gm, (comment) => comment.replace(/[^\n]/g, ''));
}

/** The source files, but for those named, in which a pattern stands. */
const filesWith = (pattern: RegExp, except: readonly string[] = []): string[] =>
  sources.filter(({ name, text }) => !except.includes(name) && pattern.test(text)).map(({ name }) => name);

describe('source files', () => {
  test('are there', () => {
    expect(sources.length).toBeGreaterThan(50);
  });

  test('never say any', () => {
    expect(filesWith(/(:|<|\bas|\|)\s*any\b/)).toEqual([]);
  });

  test('write to the terminal in one place', () => {
    expect(filesWith(/process\.(stdout|stderr)\b|\bconsole\./, ['cli/terminal.ts'])).toEqual([]);
  });

  test('set the exit status in one place', () => {
    expect(filesWith(/process\.exit\b|process\.exitCode\b/, ['main.ts', 'main-h.ts'])).toEqual([]);
  });

  test('read the clock in one place', () => {
    expect(filesWith(/\bDate\.now\(|new Date\(\)/, ['host/clock.ts'])).toEqual([]);
  });

  test('are a noun each: none is longer than 400 lines', () => {
    expect(sources.filter(({ text }) => text.split('\n').length > 400).map(({ name }) => name)).toEqual([]);
  });
});

describe('the dependency rules', () => {
  /** What dependency-cruiser says of a tree of these files, by the project's own configuration. */
  function violations(files: Readonly<Record<string, string>>): string[] {
    const directory = mkdtempSync(join(tmpdir(), 'cs-shape-'));
    try {
      for (const [name, text] of Object.entries(files)) {
        mkdirSync(dirname(join(directory, name)), { recursive: true });
        writeFileSync(join(directory, name), text);
      }
      writeFileSync(join(directory, 'tsconfig.json'), readFileSync(join(root, 'tsconfig.json')));
      const cruise = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
      const args = [
        cruise,
        '--config',
        join(root, '.dependency-cruiser.cjs'),
        '--output-type',
        'json',
        'src',
      ];
      const output = execFileSync(process.execPath, args, {
        cwd: directory,
        encoding: 'utf8',
        maxBuffer: 1e8,
      });
      const report = JSON.parse(output) as { summary: { violations: { rule: { name: string } }[] } };
      return [...new Set(report.summary.violations.map((violation) => violation.rule.name))].sort();
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  const b = { 'src/depot/b.ts': 'export const b = 1;\n', 'src/host/h.ts': 'export const h = 1;\n' };

  test('let an honest tree pass', () => {
    const a = "import { h } from '../host/h.ts';\nexport const a = h;\n";
    expect(violations({ ...b, 'src/signer/a.ts': a })).toEqual([]);
  });

  test('catch a role that knows another, also by a type alone', () => {
    const a = "import type { b } from '../depot/b.ts';\nexport type A = typeof b;\n";
    expect(violations({ ...b, 'src/signer/a.ts': a })).toEqual(['signer-alone']);
  });

  test('catch a record that reads a file or an edge', () => {
    const a = "import { readFileSync } from 'node:fs';\nexport const a = readFileSync;\n";
    expect(violations({ 'src/records/a.ts': a })).toEqual(['pure-stays-pure']);
    const edge = "import { h } from '../host/h.ts';\nexport const a = h;\n";
    expect(violations({ ...b, 'src/policy/a.ts': edge })).toEqual([
      'host-for-edges',
      'policy-below-the-tree',
    ]);
  });

  test('catch two files that need each other', () => {
    const one = "import { two } from './two.ts';\nexport const one = () => two;\n";
    const two = "import { one } from './one.ts';\nexport const two = () => one;\n";
    expect(violations({ 'src/tlog/one.ts': one, 'src/tlog/two.ts': two })).toEqual(['no-cycles']);
  });
});
