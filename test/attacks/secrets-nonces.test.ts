/**
 * The secrets of the schemes `mac` and `enrol`: nonces, and the key that M makes for itself, looked for in every form wherever
 * they do not belong. Not defended: the memory of H while it has a nonce open, and that of M; whoever has H's decryption key.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Ran } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import { mustBe } from '../harness/world.ts';
import type { Approved, RunMore, World } from '../harness/world.ts';
import { Notes, Secrets, canTrace, trace } from './leaks.ts';
import { sealingWorld } from './nonced.ts';
import { verdicts } from './outcome.ts';

const SIGNER = ['H/signer/log-key: log key', 'H/signer/signer-token: signer token'];
const contents = { app: 'app' };

let world: World;
let secrets: Secrets;
let notes: Notes;
const printed: Ran[] = [];
let umask: number;
beforeAll(async () => {
  world = await sealingWorld();
  umask = process.umask(0);
  secrets = await Secrets.ofSigner(world);
  notes = await Notes.take(await mkdtemp(join(tmpdir(), 'cs-notes-')));
});
afterAll(async () => {
  process.umask(umask);
  await world.close();
  await rm(dirname(notes.path.split(':')[0] ?? ''), { recursive: true });
});

type Host = Parameters<World['runOn']>[0];
async function run(host: Host, args: readonly string[], more: RunMore = {}): Promise<Ran> {
  const ran = await world.runOn(host, args, { ...more, env: { PATH: notes.path, ...more.env } });
  printed.push(ran);
  return ran;
}

async function approve(version: string, scheme: 'mac' | 'enrol'): Promise<Approved & { line: string }> {
  const how = ['--scheme', scheme, ...(scheme === 'enrol' ? ['--enrol-by', '1m'] : []), '-v'];
  const approved = await world.approve(version, how, { env: { PATH: notes.path } });
  mustBe(0, approved);
  printed.push(approved);
  return { ...approved, line: await secrets.addTicket(approved.ticket) };
}

const attest = async (ticket: string, ...more: string[]): Promise<Ran> => {
  const base = await world.place(contents);
  return run('M', ['attest', '--ticket', ticket, '--base', base, '-v', '--json', ...more, base]);
};
const sign = (more: RunMore = {}): Promise<Ran> =>
  run('H', ['sign', '--once', '--yes', '-v', '--json'], more);

/** Nobody has printed one, no child was given one, and no file holds one but these. */
async function expectKept(...files: string[]): Promise<void> {
  for (const ran of printed) expect(secrets.in(ran.stdout + ran.stderr)).toEqual([]);
  expect(secrets.in(world.serverLog.join('\n')), 'the log of L').toEqual([]);
  expect(await notes.leaks(secrets), 'arguments, environment, descriptors of children').toEqual([]);
  expect(await secrets.below(world.directory)).toEqual([...SIGNER, ...files].sort());
  for (const home of [world.releaseHome, ...world.approverHomes, world.agent])
    expect(await secrets.below(home.directory), 'gpg’s own files').toEqual([]);
}
const held = (path: string, ...what: string[]): string[] =>
  what.map((each) => `${path.slice(world.directory.length + 1)}: ${each}`);
const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);

describe('mac', () => {
  test('leaves the nonce in the ticket alone, and nowhere once it has made its MAC', async () => {
    const { ticket, line } = await approve('1.0', 'mac');
    expect(secrets.in(line).sort()).toEqual(['nonce', 'upload token']);
    expect([await modeOf(ticket), await modeOf(dirname(ticket))]).toEqual(['600', '700']);
    await expectKept(...held(ticket, 'nonce', 'upload token'));
    mustBe(0, await attest(ticket));
    await expectKept();
    const signed = await sign({ env: { COUNTERSIGN_TICKET: line } });
    expect(verdicts(signed), signed.stderr).toEqual(['published undefined']);
    await expectKept();
    expect(await notes.called()).toEqual(expect.arrayContaining(['gpg', 'gpgconf', 'gpgv']));
  });

  test('when the build is curious, or fails: it does not see it, and prints none', async () => {
    const { ticket } = await approve('1.2', 'mac');
    const out = world.path('M', 'seen');
    const look = `{ env; cat /proc/self/environ /proc/$PPID/cmdline; find ${world.path('operator')} ${world.path('M')} ${world.path('tmp')} -type f ! -path ${out} -exec cat {} +; } > ${out}; exit 7`;
    expect((await attest(ticket, '--run', look)).code).not.toBe(0);
    expect(secrets.in(await readFile(out, 'utf8'))).toEqual([]);
    await rm(out);
    await expectKept(...held(ticket, 'nonce', 'upload token'));
    await rm(ticket);
  });

  test('when H has no key to open it: the message has none of it, and it goes on when the key is back', async () => {
    const { ticket } = await approve('1.3', 'mac');
    mustBe(0, await attest(ticket));
    const keys = join(world.releaseHome.directory, 'private-keys-v1.d');
    await rename(keys, `${keys}.away`);
    const ran = await sign();
    await rename(`${keys}.away`, keys);
    expect([ran.code, ran.json.at(-1)?.['code']], ran.stderr).toEqual([3, 'nonce-locked']);
    await expectKept();
    mustBe(0, await sign());
    await expectKept();
  });
});

describe('enrol', () => {
  const later = {
    env: {
      LD_PRELOAD: execFileSync('faketime', ['-f', '+0', 'printenv', 'LD_PRELOAD']).toString().trim(),
      FAKETIME: '+65s',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
  };

  test('keeps the nonce until it has introduced a key, that key in one place, and neither afterwards', async () => {
    const { ticket, build } = await approve('2.0', 'enrol');
    await expectKept(...held(ticket, 'nonce', 'upload token'));
    const building = attest(ticket, '--run', 'true', '--timeout', '60s');
    await until('the key is introduced', () => existsSync(world.tree('builds', build, 'enrolments/b1.json')));
    const own = join(`${ticket}.enrolment`, 'ticket');
    await secrets.addTicket(own);
    expect([await modeOf(own), await modeOf(dirname(own))]).toEqual(['600', '700']);
    const there = (await secrets.below(world.directory)).filter((each) => !SIGNER.includes(each));
    expect(there.filter((each) => each.endsWith(': ephemeral key'))).toEqual(held(own, 'ephemeral key'));
    expect(there.filter((each) => each.endsWith(': nonce'))).toEqual([]);
    mustBe(0, await sign());
    mustBe(0, await building);
    await expectKept();
    const signed = await sign(later);
    expect(verdicts(signed), signed.stderr).toContain('published undefined');
    await expectKept();
    expect(await readdir(dirname(ticket))).toEqual(['.gitignore']);
  });
});

describe.skipIf(!canTrace())('of all that the programs write and start, as strace sees it,', () => {
  test('the nonce goes to the ticket and to gpg’s own descriptors, and to nothing that has a name', async () => {
    const [tickets, base] = [world.path('operator', 'tickets-traced'), await world.place(contents)];
    const ticket = join(tickets, 'b1.ticket');
    const args = ['approve', '3.0', '--scheme', 'mac', '--tickets', tickets, '--yes', '-v', '--json'];
    const approving = await trace(world, 'operator', args);
    await secrets.addTicket(ticket);
    const attesting = await trace(world, 'M', ['attest', '--ticket', ticket, '--base', base, base, '-v']);
    const opened = { approve: approving, attest: attesting };
    const leaks = Object.fromEntries(
      Object.entries(opened).map(([what, calls]) => {
        const found = calls.flatMap(({ call, path, data }) =>
          secrets.in(data).map((secret) => {
            const place = path.replace(/\/\.[0-9a-f]{24}\.tmp$/, '/TEMPORARY');
            return `${secret} in ${call} ${place}`;
          }),
        );
        return [what, [...new Set(found)].sort()];
      }),
    );
    expect(leaks).toEqual({
      approve: [
        'nonce in write PIPE',
        `nonce in write ${join(tickets, 'TEMPORARY')}`,
        `upload token in write ${join(tickets, 'TEMPORARY')}`,
      ].sort(),
      attest: [`upload token in write ${ticket}.pending/TEMPORARY`, 'upload token in write SOCKET'].sort(),
    });
    await expectKept();
  });
});
