/** Child processes are bounded, and get nothing that was not given to them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { run, withoutOurs } from '../../src/host/process.ts';

const LIMITS = { timeoutMs: 20_000, maxOutput: 1024 };
const sh = (script: string, more: Partial<Parameters<typeof run>[2]> = {}) =>
  run('sh', ['-c', script], { ...LIMITS, ...more });

test('what a child says on each descriptor stays apart', async () => {
  const result = await sh('echo out; echo err >&2; echo status >&3; exit 7');
  expect(result).toMatchObject({ code: 7, killed: null });
  expect([result.stdout, result.stderr, result.status].map(String)).toEqual(['out\n', 'err\n', 'status\n']);
});

test('it gets its inputs: bytes of any size, or an open file from where it stands', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cs-'));
  writeFileSync(join(directory, 'file'), 'from a file');
  const file = await open(join(directory, 'file'));
  const script = 'cat; wc -c <&4; cat <&5';
  const result = await sh(script, { input: Buffer.from('in '), fds: [Buffer.alloc(5_000_000), file.fd] });
  await file.close();
  rmSync(directory, { recursive: true });
  expect(result.stdout.toString()).toBe('in 5000000\nfrom a file');
});

test('a child that does not read what it is given does no harm', async () => {
  expect(await sh('exit 0', { input: Buffer.alloc(5_000_000) })).toMatchObject({ code: 0, killed: null });
});

test('without input it reads nothing', async () => {
  expect((await sh('cat')).stdout.toString()).toBe('');
});

test('its environment is PATH and LANG, or what is given', async () => {
  vi.stubEnv('COUNTERSIGN_SECRET', 'x');
  const names = async (env?: Record<string, string>) =>
    (await run('env', [], { ...LIMITS, ...(env && { env }) })).stdout
      .toString()
      .replace(/=.*/g, '')
      .trim()
      .split('\n')
      .toSorted();
  expect(await names()).toEqual(['LANG', 'PATH']);
  expect(await names({ PATH: process.env['PATH'] ?? '', A: 'b' })).toEqual(['A', 'PATH']);
  expect(withoutOurs({ COUNTERSIGN_TICKET: 'x', HOME: '/root' })).toEqual({ HOME: '/root' });
});

test.each(['yes', 'yes >&2', 'yes >&3'])('a flood by %s is stopped', async (script) => {
  expect(await sh(script)).toMatchObject({ code: null, killed: 'output' });
});

test.each(['exec sleep 60', 'sleep 60 & exit 0', 'trap "" TERM; sleep 60'])(
  'the deadline ends %j',
  async (script) => {
    const started = Date.now();
    expect(await sh(script, { timeoutMs: 200 })).toMatchObject({ killed: 'deadline' });
    expect(Date.now() - started).toBeLessThan(10_000);
  },
);

test('a program that is not there, or is none, is said', async () => {
  await expect(run('/nonexistent/gpgv', [], LIMITS)).rejects.toMatchObject({
    kind: 'unable',
    code: 'gpgv-missing',
  });
  await expect(run('/etc', [], LIMITS)).rejects.toMatchObject({ code: 'etc-missing' });
});
