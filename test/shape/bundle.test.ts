/** What is inside the two programs, read from the bundler's own account (dist/*.meta.json). */
import { readFileSync, statSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

interface Metafile {
  readonly inputs: Readonly<Record<string, unknown>>;
}

const at = (path: string): URL => new URL(`../../${path}`, import.meta.url);
const inputsOf = (program: string): string[] => {
  const metafile = JSON.parse(readFileSync(at(`dist/${program}.meta.json`), 'utf8')) as Metafile;
  return Object.keys(metafile.inputs);
};
const packagesOf = (inputs: readonly string[]): string[] => {
  const names = inputs.flatMap((input) => /node_modules\/(@[^/]+\/[^/]+|[^/]+)\//.exec(input)?.[1] ?? []);
  return [...new Set(names)].sort();
};

describe('the signer’s program', () => {
  const inputs = inputsOf('countersign-h');

  test('holds nothing of another role', () => {
    const roles = inputs.filter((input) => /^src\/(operator|builder|depot|consumer|witness)\//.test(input));
    expect(roles).toEqual([]);
    // and the test looks where there is something to see
    expect(inputs).toContain('src/signer/round.ts');
    expect(inputsOf('countersign')).toContain('src/depot/server.ts');
  });

  test('holds no package but smol-toml', () => {
    expect(packagesOf(inputs)).toEqual(['smol-toml']);
  });

  test('cannot listen: nothing in it makes a server', () => {
    const source = readFileSync(at('dist/countersign-h.mjs'), 'utf8');
    expect(source).not.toMatch(/\bcreateServer\b|\bcreateSecureServer\b|\.listen\s*\(/);
  });

  test('is one file that a person can look through', () => {
    expect(statSync(at('dist/countersign-h.mjs')).size).toBeLessThan(900 * 1024);
  });
});

describe('the whole program', () => {
  test('holds the packages that docs/dependencies.md gives reasons for, with their licences beside it', () => {
    const packages = packagesOf(inputsOf('countersign'));
    expect(packages).toEqual(['@hono/node-server', 'hash-wasm', 'hono', 'smol-toml']);
    const licences = readFileSync(at('dist/THIRD-PARTY.txt'), 'utf8');
    for (const name of packages) expect(licences).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+`, 'm'));
  });

  test('is plain ASCII, both are: one other character makes all of it two bytes each, and every start half as slow again', () => {
    for (const program of ['countersign', 'countersign-h'])
      expect(readFileSync(at(`dist/${program}.mjs`), 'utf8')).not.toMatch(/[^\0-\x7F]/);
  });

  test('is executable, both are', () => {
    for (const program of ['countersign', 'countersign-h']) {
      expect(statSync(at(`dist/${program}.mjs`)).mode & 0o777).toBe(0o755);
      expect(readFileSync(at(`dist/${program}.mjs`), 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
    }
  });
});
