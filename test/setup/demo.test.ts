/** `demo`: the loop on this machine, as a newcomer sees it first. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runProgram } from '../harness/program.ts';

test('demo signs a real package and a large file, and leaves a release that stock tools accept', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cs-'));
  try {
    const env = { PATH: process.env['PATH'] ?? '', HOME: directory, TMPDIR: directory };
    const ran = await runProgram(['demo'], { cwd: directory, env });
    expect(ran.code, ran.stderr).toBe(0);
    const [gpgv, sha256sum] = ran.stdout.split('\n').filter((line) => /^ {2}(gpgv|cd) /.test(line));
    execFileSync('bash', ['-c', gpgv ?? 'false'], { stdio: 'pipe' });
    const checked = execFileSync('bash', ['-c', sha256sum ?? 'false'], { encoding: 'utf8', stdio: 'pipe' });
    expect(checked).toMatch(/^countersign-[0-9.]+\.tgz: OK$/m);
    expect(checked).toMatch(/^disk\.img: OK$/m);
    // nothing but the directory that it names
    expect(readdirSync(directory)).toEqual([expect.stringMatching(/^countersign-demo-/)]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
