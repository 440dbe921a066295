/** What a verb loads of Node before it does its work: what it does not use, a person does not wait for. */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { projectFile } from '../consumer/project-file.ts';
import { madeRelease, write } from '../consumer/made-release.ts';
import { PROGRAM, PROGRAM_H } from '../harness/program.ts';

const release = write(madeRelease());
const project = projectFile(release, 1);
afterAll(() => rmSync(release, { recursive: true }));

/** Node's own modules that a run of the program loaded, of those that take longest. */
function heavy(program: string, ...args: readonly string[]): string[] {
  const said = 'process.on("exit", () => fs.writeSync(3, process.moduleLoadList.join("\\n")))';
  const hook = `import fs from 'node:fs'; ${said}`;
  const { status, output } = spawnSync(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(hook)}`, program, ...args],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe', 'pipe'] },
  );
  expect(status, output[2] ?? '').toBe(0);
  const loaded = (output[3] ?? '').split('\n').map((line) => line.replace('NativeModule ', ''));
  expect(loaded).toContain('fs');
  return HEAVY.filter((name) => loaded.includes(name));
}

const HEAVY = ['child_process', 'crypto', 'http', 'http2', 'https', 'readline', 'tls', 'zlib'];

test.each([
  ['countersign --help', PROGRAM, ['--help']],
  ['countersign verify --help', PROGRAM, ['verify', '--help']],
  ['countersign-h --help', PROGRAM_H, ['--help']],
  ['countersign-h sign --help', PROGRAM_H, ['sign', '--help']],
])('%s: nothing', (_, program, args) => {
  expect(heavy(program, ...args)).toEqual([]);
});

test('verify of a file beside its release: no network, no children', () => {
  const file = join(release, 'hello.tar.gz');
  expect(heavy(PROGRAM, 'verify', file, '-c', project, '--offline')).toEqual(['crypto']);
});
