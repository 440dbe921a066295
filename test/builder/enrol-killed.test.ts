/** Scheme `enrol`, killed at every step: given again it sends the same enrolment, for two keys freeze the build. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build as bundle } from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { enrolmentFile } from '../../src/records/paths.ts';
import { until } from '../harness/until.ts';
import { b1 } from '../policy/scene.ts';
import { keptKey, takeEnrolment } from './enrolling.ts';
import { Site } from './site.ts';

let programs: Site;
let site: Site;
beforeAll(async () => {
  programs = await Site.make();
  await bundle({
    entryPoints: ['test/builder/killed-child.ts'],
    outfile: child(),
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  });
});
afterAll(() => programs?.close());
beforeEach(async () => {
  site = await Site.make({}, 'enrol');
  site.put({ app: 'app' });
});
afterEach(() => site.close());

const child = (): string => join(programs.directory, 'child.mjs');

/** How `attest` ended in a process of its own, run by `under`: its exit status, null if it was killed. */
function attest(
  under: readonly string[],
  more: { run?: string; runAs?: string; started?: (child: ChildProcess) => void } = {},
): Promise<number | null> {
  const { ticketFile: ticket, base, depotDirectory: depot } = site;
  const given = JSON.stringify({ ticket, base, depot, run: more.run ?? null, runAs: more.runAs ?? null });
  const [command, ...args] = [...under, process.execPath, child(), given];
  // one thread for files: strace counts the calls of each
  const env = { PATH: process.env['PATH'], UV_THREADPOOL_SIZE: '1' };
  const running = spawn(command, args, { stdio: 'ignore', env });
  more.started?.(running);
  return new Promise((resolve, reject) => {
    running.once('error', reject);
    running.once('exit', (code) => resolve(code));
  });
}

/** What gives or takes a name: a power cut can fall before and after each. */
const CALLS = ['rename', 'mkdir', 'unlink', 'link'] as const;

const killedAt = (call: string, nth: number): readonly string[] => [
  ...['strace', '-f', '-o', '/dev/null', '-e', `trace=/^${call}`],
  ...['-e', `inject=/^${call}:signal=KILL:when=${nth}`],
];

test(
  'killed at each name it gives or takes: one key, and the same enrolment again',
  { timeout: 120_000 },
  async () => {
    const saved = join(programs.directory, 'saved');
    cpSync(site.depotDirectory, saved, { recursive: true });
    let kills = 0;
    for (let call = 0, nth = 1; call < CALLS.length; nth++) {
      rmSync(`${site.ticketFile}.enrolment`, { recursive: true, force: true });
      rmSync(site.depotDirectory, { recursive: true });
      cpSync(saved, site.depotDirectory, { recursive: true });
      site.putTicket(site.ticket);
      const name = CALLS[call] ?? '';
      if ((await attest(killedAt(name, nth))) !== null) {
        [call, nth] = [call + 1, 0];
        continue;
      }
      kills++;
      const kept = existsSync(`${site.ticketFile}.enrolment`) ? keptKey(site) : null;
      const sent = await site.read(enrolmentFile(b1));
      // nothing is sent before the key is kept
      if (sent !== null) expect(kept, `${name} ${nth}`).not.toBeNull();
      await expect(site.attest({ timeout: 0 })).rejects.toMatchObject({ code: 'receipt-missing' });
      const key = keptKey(site);
      if (kept !== null) expect(key, `${name} ${nth}`).toBe(kept);
      const bytes = readFileSync(`${site.ticketFile}.enrolment/enrolment.json`);
      expect(await site.read(enrolmentFile(b1)), `${name} ${nth}`).toEqual(bytes);
      expect(await site.read(enrolmentFile(b1, 2)), `${name} ${nth}`).toBeNull();
      expect(site.readTicket().secret, `${name} ${nth}`).toMatchObject({ nonce: null });
      if (kills === 6) {
        await takeEnrolment(site);
        expect(await site.attest()).toMatchObject({ resumed: false });
        expect(site.left()).toEqual([]);
      }
    }
    expect(kills).toBeGreaterThanOrEqual(14);
  },
);

describe('killed while the command runs', () => {
  const killedRunning = async (runAs?: string): Promise<string> => {
    await attest([]);
    const key = keptKey(site);
    await takeEnrolment(site);
    const open = join(site.directory, 'out.open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    chmodSync(site.directory, 0o755);
    const look = `cat ${site.ticketFile} ${site.ticketFile}.enrolment/ticket > ${open}/seen 2>&1`;
    const begun = join(open, 'begun');
    const run = `${look}; echo $$ > ${open}/pid; mv ${open}/pid ${begun}; sleep 60`;
    const ended = attest([], {
      ...{ run, ...(runAs === undefined ? {} : { runAs }) },
      started: (running) =>
        void until('the command', () => existsSync(begun)).then(() => running.kill('SIGKILL')),
    });
    expect(await ended).toBeNull();
    process.kill(-Number(readFileSync(begun, 'utf8')), 'SIGKILL');
    const seen = readFileSync(join(open, 'seen'), 'utf8');
    expect(seen).not.toContain('countersign-ticket');
    expect(seen).not.toContain(key);
    return seen;
  };

  test('the key is lost with the only process that had it; no second one is made, with a copy of the ticket either', async () => {
    expect(await killedRunning()).toContain('No such file');
    await expect(site.attest()).rejects.toMatchObject({ code: 'ticket-missing' });
    site.putTicket(site.ticket);
    await expect(site.attest()).rejects.toMatchObject({
      kind: 'refused',
      code: 'ticket-used',
      hint: expect.stringContaining('new approval'),
    });
    expect(await site.read(enrolmentFile(b1, 2))).toBeNull();
    expect(await site.statement()).toBeNull();
  });

  test.skipIf(process.getuid?.() !== 0)(
    'with --run-as it waits where the build cannot read it, and signs',
    async () => {
      expect(await killedRunning('nobody')).toContain('Permission denied');
      expect(await site.attest()).toMatchObject({ resumed: false });
      expect(site.left()).toEqual([]);
    },
  );
});
