/** The program as it is called: help, mistakes, and what a script can rely on. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROGRAM, PROGRAM_H, runProgram } from '../harness/program.ts';
import type { Ran } from '../harness/program.ts';

let cwd: string;
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'cs-cli-'));
});
afterAll(() => rmSync(cwd, { recursive: true }));

const run = (args: string[], env: Record<string, string> = {}, program = PROGRAM): Promise<Ran> =>
  runProgram(args, { cwd, env: { PATH: process.env['PATH'] ?? '', ...env }, program });

const VERBS = ['demo', 'approve', 'status', 'attest', 'serve', 'init', 'sign', 'sync', 'verify'];

describe('help', () => {
  test('names every verb', async () => {
    const { code, stdout } = await run(['--help']);
    expect(code).toBe(0);
    for (const verb of VERBS) expect(stdout).toMatch(new RegExp(`^  ${verb} `, 'm'));
    expect((await run(['help'])).stdout).toBe(stdout);
    expect((await run(['-h'])).stdout).toBe(stdout);
  });

  test.each(VERBS)('of %s shows how to call it, with an example', async (verb) => {
    const { code, stdout } = await run([verb, '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^usage: countersign ${verb}\\b`));
    expect(stdout).toMatch(new RegExp(`^example:\\n  countersign ${verb}\\b`, 'm'));
    expect((await run(['help', verb])).stdout).toBe(stdout);
  });

  test('of no verb has a line that a terminal would break', async () => {
    const listed = async (...group: string[]): Promise<string[][]> => {
      const { stdout } = await run([...group, '--help']);
      return [...stdout.matchAll(/^ {2}([a-z][a-z-]*) /gm)].map(([, verb = '']) => [...group, verb]);
    };
    const verbs = [[], ...(await listed()), ...(await listed('log'))];
    expect(verbs.length).toBeGreaterThan(15);
    expect(verbs).toContainEqual(['log', 'monitor']);
    for (const verb of verbs) {
      const { stdout } = await run([...verb, '--help']);
      expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
    }
  });

  test('--version is that of the package, alone', async () => {
    const { version } = JSON.parse(
      await readFile(new URL('../../package.json', import.meta.url), 'utf8'),
    ) as {
      version: string;
    };
    expect((await run(['--version'])).stdout).toBe(`${version}\n`);
  });

  test('H’s program knows its own verbs only', async () => {
    const { stdout } = await run(['--help'], {}, PROGRAM_H);
    expect(stdout).toMatch(/^  init .*\n  sign /m);
    expect(stdout).not.toMatch(/demo|approve/);
    expect(stdout).toContain('countersign sign --help');
    expect(await run(['serve'], {}, PROGRAM_H)).toMatchObject({ code: 2 });
  });
});

describe('a mistake', () => {
  test.each([
    [[], 'no-command', /see countersign --help/],
    [['aprove', '1.0'], 'unknown-command', /did you mean countersign approve\?/],
    [['publish'], 'unknown-command', /one of: demo, doctor, approve/],
    [['sign', '--wach'], 'unknown-flag', /did you mean --watch\?/],
    [['status', 'a', 'b'], 'wrong-usage', /countersign status --help/],
    [['status', '../../etc'], 'wrong-usage', /status shows it/],
    [['approve', '1.0'], 'wrong-usage', /approve --help/],
    [['approve', '1.0', '--tickets', 't'], 'config-missing', /-c FILE/],
    [['sign'], 'config-missing', /-c FILE/],
    [['sign', '--once', '--watch', '--yes'], 'wrong-usage', /./],
    [['sign', '--no-wait', '--watch', '--yes'], 'wrong-usage', /./],
    [['serve'], 'wrong-usage', /serve --help/],
    [['serve', '--data', 'd', '--listen', 'nowhere'], 'wrong-usage', /127\.0\.0\.1:8080/],
    [['verify'], 'wrong-usage', /./],
    [['verify', 'x'], 'no-trust', /-c countersign\.toml .* --key release\.asc/],
    [['verify', 'x', '-c', 'nowhere.toml'], 'config-missing', /check the path/],
    [['status'], 'config-missing', /-c FILE/],
    [['init', '--dir', 'p'], 'wrong-usage', /countersign init --help/],
  ])('%j exits 2, says what was wrong and what to do', async (args, code, hint) => {
    const spoken = await run(args);
    expect(spoken.code).toBe(2);
    expect(spoken.stdout).toBe('');
    expect(spoken.stderr).toMatch(/^countersign: [^\n]+\nhint: [^\n]+\n$/);

    const json = await run([...args, '--json']);
    expect(json.code).toBe(2);
    expect(json.json).toHaveLength(1);
    expect(json.error).toMatchObject({ code, hint: expect.stringMatching(hint) });
  });

  test('in the project file names the field', async () => {
    writeFileSync(join(cwd, 'bad.toml'), 'project = "widget"\nthresold = 1\n');
    const { code, stderr } = await run(['status', '-c', 'bad.toml']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/countersign\.toml: .*threshold is missing/);
  });

  test('with foreign text in it stays one line', async () => {
    const { code, stderr } = await run(['status', '--co\nlour\u001b[31m']);
    expect(code).toBe(2);
    expect(stderr).toContain('--co\\x0alour\\x1b[31m');
    expect(stderr.split('\n')).toHaveLength(3);
  });
});

test('a reader that goes away is no error', async () => {
  const script = `set -o pipefail; ${process.execPath} ${PROGRAM} --help | head -1`;
  const { spawnSync } = await import('node:child_process');
  const { status, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});
