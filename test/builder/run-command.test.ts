import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findUser, runCommand } from '../../src/builder/run-command.ts';

let directory = '';
let out = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cs-run-'));
  execFileSync('chmod', ['777', directory]);
  out = join(directory, 'out');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const never = new AbortController().signal;
const environment = { PATH: process.env['PATH'], OUT: '' };

describe('the build runs', () => {
  test('in the working directory, in a shell', async () => {
    await runCommand(`pwd > ${out} && echo "$0" >> ${out}`, null, environment, never);
    expect(readFileSync(out, 'utf8')).toBe(`${process.cwd()}\n/bin/sh\n`);
  });

  test('and a failure is said with its exit status', async () => {
    await expect(runCommand('exit 7', null, environment, never)).rejects.toMatchObject({
      kind: 'unable',
      code: 'command-failed',
      message: expect.stringContaining('exit status 7'),
    });
  });

  test('until it is told to stop; only then does the caller go on', async () => {
    const controller = new AbortController();
    const reason = new Error('stopped by SIGTERM');
    setTimeout(() => controller.abort(reason), 100);
    const script = `trap 'echo cleaned > ${out}; exit 0' TERM; while :; do sleep 0.01; done`;
    await expect(runCommand(script, null, environment, controller.signal)).rejects.toBe(reason);
    expect(readFileSync(out, 'utf8')).toBe('cleaned\n');
  });
});

test.each([['true'], ['exit 3']])('what the build left running ends with it: %s', async (end) => {
  await runCommand(`sleep 60 & echo $! > ${out}; ${end}`, null, environment, never).catch(() => {});
  const left = readFileSync(out, 'utf8').trim();
  // somebody has still to hear that it ended
  const isRunning = () =>
    existsSync(`/proc/${left}`) && !/\) Z /.test(readFileSync(`/proc/${left}/stat`, 'utf8'));
  await expect.poll(isRunning).toBe(false);
});

describe('the build does not see the ticket', () => {
  test('in its environment, whatever the variable is called', async () => {
    const secret = 'countersign-ticket-v1.c2VjcmV0';
    const tainted = {
      ...environment,
      COUNTERSIGN_TICKET: 'x',
      CREDENTIALS_DIRECTORY: '/run/c',
      CI_SECRET: secret,
      KEPT: 'y',
    };
    await runCommand(`env > ${out}`, null, tainted, never);
    const seen = readFileSync(out, 'utf8');
    expect(seen).toContain('KEPT=y');
    expect(seen).not.toMatch(/COUNTERSIGN_TICKET|CREDENTIALS_DIRECTORY|countersign-ticket/);
  });

  test('on a descriptor: it has the three that everybody has, and nothing to read', async () => {
    const ticket = openSync('/etc/hostname', 'r');
    await runCommand(
      `for fd in /proc/$$/fd/*; do readlink $fd; done > ${out}; cat >> ${out}`,
      null,
      environment,
      never,
    );
    closeSync(ticket);
    const open = readFileSync(out, 'utf8').trim().split('\n');
    expect(open[0]).toBe('/dev/null');
    expect(open).not.toContain('/etc/hostname');
    expect(open.length).toBeLessThanOrEqual(5);
  });
});

describe('--run-as', () => {
  const root = process.getuid?.() === 0;

  test('finds a user as the system does', async () => {
    const { username, uid, gid, homedir } = userInfo();
    expect(await findUser(username)).toEqual({ name: username, uid, gid, home: homedir });
  });

  test.each(['no-such-user-here', 'root; id', '', '-u', '$(id)'])('%j is nobody', async (name) => {
    await expect(findUser(name)).rejects.toMatchObject({ kind: 'usage', code: 'no-such-user' });
  });

  test.skipIf(!root)('runs as that user, without our groups, with their home', async () => {
    const nobody = await findUser('nobody');
    await runCommand(
      `id -u > ${out}; id -G >> ${out}; echo $HOME $USER >> ${out}`,
      nobody,
      environment,
      never,
    );
    expect(readFileSync(out, 'utf8')).toBe(`${nobody.uid}\n${nobody.gid}\n${nobody.home} nobody\n`);
  });

  test.skipIf(root)('needs root', async () => {
    await expect(runCommand('true', await findUser('nobody'), environment, never)).rejects.toMatchObject({
      code: 'run-as',
    });
  });
});
