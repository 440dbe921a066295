/** Standard output is data: when it is lost, that is said. */
import { spawnSync } from 'node:child_process';
import { openSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PROGRAM } from '../harness/program.ts';

const run = (stdout: number, command: string): { status: number | null; stderr: string } =>
  spawnSync('/bin/sh', ['-c', `"$0" "$1" ${command}`, process.execPath, PROGRAM], {
    stdio: ['ignore', stdout, 'pipe'],
    encoding: 'utf8',
  });

test('a disk too full for the result is exit 3, and a line', () => {
  const { status, stderr } = run(openSync('/dev/full', 'w'), '--help');
  expect({ status, stderr }).toEqual({
    status: 3,
    stderr: expect.stringMatching(/^countersign: the result could not be written .*ENOSPC.*\nhint: .+\n$/),
  });
});
