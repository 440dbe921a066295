/**
 * Secrets: the ephemeral private half, the upload token, the signer's token and its log key, looked for in every form wherever
 * they do not belong. Not defended: the memory of a process, so a core dump too (set the limit, `LimitCORE=0`), and on M
 * whoever runs as the same user (`--run-as` is the wall).
 */
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HostileDepot } from '../harness/hostile-depot.ts';
import type { Ran } from '../harness/program.ts';
import { mustBe, World } from '../harness/world.ts';
import type { Approved, RunMore } from '../harness/world.ts';
import { Notes, Secrets, canTrace, trace } from './leaks.ts';
import { expectSigned } from './outcome.ts';

/** Where they belong, by the end of their path. */
const SIGNER = ['H/signer/log-key: log key', 'H/signer/signer-token: signer token'];
const contents = { app: 'app', 'sub/empty': '' };

let world: World;
let secrets: Secrets;
let notes: Notes;
/** Everything that any command has printed. */
const printed: Ran[] = [];

type Host = Parameters<World['runOn']>[0];
async function run(host: Host, args: readonly string[], more: RunMore = {}): Promise<Ran> {
  const ran = await world.runOn(host, args, { ...more, env: { PATH: notes.path, ...more.env } });
  printed.push(ran);
  return ran;
}

/** `approve -v`; from now on the ticket's secrets are looked for, too. */
async function approve(version: string): Promise<Approved & { line: string }> {
  const approved = await world.approve(version, ['-v'], { env: { PATH: notes.path } });
  mustBe(0, approved);
  printed.push(approved);
  return { ...approved, line: await secrets.addTicket(approved.ticket) };
}

async function attest(ticket: string, ...more: string[]): Promise<Ran> {
  const base = await world.place(contents);
  return run('M', ['attest', '--ticket', ticket, '--base', base, '-v', '--json', ...more, base]);
}

/** Nobody has printed one, no child was given one, and no file holds one but these. */
async function expectKept(...files: string[]): Promise<void> {
  for (const ran of printed) expect(secrets.in(ran.stdout + ran.stderr)).toEqual([]);
  expect(secrets.in(world.serverLog.join('\n')), 'the log of L').toEqual([]);
  expect(await notes.leaks(secrets), 'arguments, environment, descriptors of children').toEqual([]);
  expect(await secrets.below(world.directory)).toEqual([...SIGNER, ...files].sort());
}

let umask: number;
beforeAll(async () => {
  world = await World.make();
  // whatever the caller's is: files with a secret are their owner's alone
  umask = process.umask(0);
  secrets = await Secrets.ofSigner(world);
  notes = await Notes.take(await mkdtemp(join(tmpdir(), 'cs-notes-')));
});
afterAll(async () => {
  process.umask(umask);
  await world.close();
  await rm(dirname(notes.path.split(':')[0] ?? ''), { recursive: true });
});

const inTicket = (ticket: string): string[] =>
  ['ephemeral key', 'upload token'].map((what) => `${ticket.slice(world.directory.length + 1)}: ${what}`);
const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);

describe('the whole loop', () => {
  test('leaves each secret in its one place, at every step', async () => {
    const { ticket, build, line } = await approve('1.0');
    expect([await modeOf(ticket), await modeOf(dirname(ticket))]).toEqual(['600', '700']);
    await expectKept(...inTicket(ticket));
    mustBe(0, await attest(ticket));
    await expectKept();
    // a CI that runs everything with the ticket in its environment: it is for us, and not for gpg, gpgv or git
    const env = { COUNTERSIGN_TICKET: line };
    mustBe(0, await run('H', ['sign', build, '--yes', '-v', '--json'], { env }));
    mustBe(0, await run('operator', ['status', build, '-v', '--json'], { env }));
    mustBe(0, await run('operator', ['verify', world.tree('releases/widget/1.0'), '-v', '--json'], { env }));
    const other = await world.approve('1.0.1', ['-v'], { env: { ...env, PATH: notes.path } });
    mustBe(0, other);
    await rm(other.ticket);
    await expectKept();
    expect(await notes.called()).toEqual(['flock', 'git', 'gpg', 'gpgconf', 'gpgv']);
  });

  test('this search finds what it is for', async () => {
    const { ticket, line } = await approve('1.1');
    const json = Buffer.from(line.split('.')[1] ?? '', 'base64url').toString();
    for (const text of [json, line, `x${line}x`])
      expect(secrets.in(text).sort()).toEqual(['ephemeral key', 'upload token']);
    expect(secrets.in(await readFile(world.path('H', 'signer', 'log-key')))).toEqual(['log key']);
    expect(secrets.in(Buffer.from('nothing'))).toEqual([]);
    await rm(ticket);
  });
});

describe('what goes wrong prints none', () => {
  test('init: a project is there already; what it has made is open to nobody', async () => {
    const directory = world.path('M', 'project');
    const approver = world.path('H', 'keys', `approver-${world.approvers[0]}.pgp`);
    const keys = ['--release-key', world.releaseKey, '--approver', approver];
    const args = ['init', '--dir', directory, '--project', 'other', ...keys, '-v', '--json'];
    mustBe(0, await run('H', args));
    expect((await run('H', args)).error?.code).toBe('project-exists');
    expect(await modeOf(join(directory, 'signer'))).toBe('700');
    for (const name of ['log-key', 'signer-token']) {
      expect(await modeOf(join(directory, 'signer', name))).toBe('600');
      const secret = (await readFile(join(directory, 'signer', name), 'utf8')).trim();
      for (const { stdout, stderr } of printed) expect(stdout + stderr).not.toContain(secret.slice(-40));
    }
    await expectKept();
  });

  test('approve: the depot is away, or says no', async () => {
    const tickets = world.path('operator', 'tickets-x');
    for (const depot of ['http://127.0.0.1:1', `${world.url}/nowhere`]) {
      const args = ['approve', '2.0', '--tickets', tickets, '--yes', '-v', '--json', '--depot', depot];
      const ran = await run('operator', args);
      expect(ran.code).toBeOneOf([1, 3]);
      // the ticket was there by then, and was never seen by us: nothing of it may be left
      await expect(stat(join(tickets, 'b1.ticket'))).rejects.toThrow('ENOENT');
    }
    await expectKept();
  });

  test('attest: the depot is away when the statement is signed; it is sent later', async () => {
    const { ticket, build } = await approve('2.1');
    const blank = `${ticket.slice(world.directory.length + 1)}: upload token`;
    await world.stopServer();
    try {
      expect((await attest(ticket, '--patience', '0s')).error?.code).toBe('network');
      // the private half has signed, and is gone; the token is still needed
      expect((await secrets.below(world.directory)).filter((found) => !SIGNER.includes(found))).toEqual([
        blank,
      ]);
      expect([await modeOf(ticket), await modeOf(`${ticket}.pending`)]).toEqual(['600', '700']);
    } finally {
      await world.startServer();
    }
    mustBe(0, await attest(ticket));
    await expectKept();
    await expectSigned(world, build, '2.1', contents);
  });

  test('attest: a bad name, a bad command, a ticket that is expired, used, of another depot, or junk', async () => {
    const { ticket, line } = await approve('2.2');
    const base = await world.place({ '.env': 'x' });
    const failures = [
      await run('M', ['attest', '--ticket', ticket, '--base', base, base, '-v', '--json']),
      await attest(ticket, '--run', 'echo "$COUNTERSIGN_TICKET"; exit 7'),
      await attest(line),
      await attest(`${ticket}/${line}`),
      await run('M', ['attest', '--ticket', ticket, line, '-v', '--json']),
      await run('M', ['attest', '--ticket', ticket, `--${line}`, base, '-v', '--json']),
      await run('M', ['attest', line, '--json'], { env: { COUNTERSIGN_TICKET: `${line}x` } }),
      await run('M', [line, '--json']),
      await run('operator', ['status', line, '--json']),
      await run('operator', ['approve', line, '--tickets', 'x', '--yes', '--json']),
      await run('operator', ['verify', line, '--json']),
      await run('H', [
        'sign',
        await readFile(world.path('H', 'signer', 'log-key'), 'utf8'),
        '--yes',
        '--json',
      ]),
    ];
    for (const ran of failures) expect(ran.code, ran.stderr).not.toBe(0);
    // the ticket is as it was
    expect([(await readFile(ticket, 'utf8')).trim(), await modeOf(ticket)]).toEqual([line, '600']);
    await expectKept(...inTicket(ticket));
    mustBe(0, await attest(ticket));
    await expectKept();
  });

  test('sign: the depot is away, lies, or is another; the signer’s directory is open, or not its own', async () => {
    const hostile = await HostileDepot.start(world.url);
    hostile.give(/./, Buffer.from('nonsense'));
    const sign = (...more: string[]): Promise<Ran> => run('H', ['sign', '--yes', '-v', '--json', ...more]);
    const failures = [await sign('--depot', 'http://127.0.0.1:1'), await sign('--depot', hostile.url)];
    await hostile.close();
    for (const name of ['signer', 'signer/log-key', 'signer/signer-token']) {
      const path = world.path('H', name);
      const { mode } = await stat(path);
      await chmod(path, mode | 0o044);
      failures.push(await sign());
      await chmod(path, mode);
    }
    for (const name of ['log-key', 'signer-token']) {
      const path = world.path('H', 'signer', name);
      const kept = await readFile(path, 'utf8');
      for (const bad of [kept.slice(0, -5), `${kept.trim()}A\n`, ` ${kept}`]) {
        await writeFile(path, bad);
        failures.push(await sign());
      }
      await writeFile(path, kept);
    }
    for (const ran of failures) expect(ran.code, ran.stdout).not.toBe(0);
    await expectKept();
  });

  test('a token goes to no other host, and over plain HTTP to none but this one', async () => {
    const { ticket } = await approve('2.3');
    const ran = await attest(ticket, '--depot', 'http://192.0.2.1:8080');
    expect(ran.error?.code).toMatch(/insecure/);
    await rm(ticket);
    await expectKept();
  });
});

describe('--run CMD does not see the ticket', () => {
  /** What a curious build looks at: its environment, its descriptors, and every file that it finds. */
  const curious = (out: string): string =>
    [
      `exec 3>&1 >${out}`,
      'env; cat /proc/self/environ /proc/$$/cmdline /proc/$PPID/cmdline',
      'for fd in /proc/$$/fd/*; do readlink $fd; done; ls -l /proc/$$/fd',
      `find ${world.path('operator')} ${world.path('M')} ${world.path('tmp')} ${world.path('cwd')} -type f ! -path ${out} -exec cat {} +`,
      'cat',
    ].join('; ');

  test.each([
    ['4.1', 'a file'],
    ['4.2', 'the environment'],
    ['4.3', 'standard input'],
    ['4.4', 'standard input, and it is in a variable of the CI’s own too'],
  ])('of version %s, given in %s', async (version, how) => {
    const { ticket, line, build } = await approve(version);
    const out = world.path('M', `seen-${build}`);
    const base = await world.place(contents);
    const env: Record<string, string> = { XDG_STATE_HOME: world.path('M', `state-${build}`) };
    if (how !== 'a file') await rm(ticket);
    if (how === 'the environment') env['COUNTERSIGN_TICKET'] = line;
    if (how.endsWith('own too')) env['DEPLOY_SECRET'] = line;
    const piped = how.startsWith('standard input');
    const source = how === 'a file' ? ['--ticket', ticket] : piped ? ['--ticket', '-'] : [];
    const args = ['attest', ...source, '--run', curious(out), '--base', base, '-v', '--json', base];
    mustBe(0, await run('M', args, { env, input: piped ? line : '' }));
    const seen = await readFile(out, 'utf8');
    expect(seen).toContain('PATH=');
    expect(secrets.in(seen)).toEqual([]);
    await expectKept();
    await expectSigned(world, build, version, contents);
  });

  test.skipIf(process.getuid?.() !== 0)('nor in the memory of attest, as another user', async () => {
    const { ticket, line } = await approve('4.5');
    await rm(ticket);
    const open = await mkdtemp(join(tmpdir(), 'cs-open-'));
    await chmod(open, 0o777);
    const look = `{ cat /proc/$PPID/environ /proc/$PPID/maps /proc/$PPID/fd/*; echo done; } >${open}/seen 2>&1`;
    const base = await world.place(contents);
    const args = ['attest', '--run', look, '--run-as', 'nobody', '--base', base, '-v', '--json', base];
    const env = { COUNTERSIGN_TICKET: line, XDG_STATE_HOME: world.path('M', 'state') };
    mustBe(0, await run('M', args, { env }));
    const seen = await readFile(join(open, 'seen'), 'utf8');
    expect(seen).toContain('Permission denied');
    expect(secrets.in(seen)).toEqual([]);
    await rm(open, { recursive: true });
  });
});

describe.skipIf(!canTrace())('of all that the programs write and start, as strace sees it,', () => {
  test('each secret goes to its one file, the tokens to the depot, and nothing to anything else', async () => {
    const [tickets, base] = [world.path('operator', 'tickets-traced'), await world.place(contents)];
    const ticket = join(tickets, 'b1.ticket');
    const common = ['-v', '--json'];
    const approving = await trace(world, 'operator', [
      'approve',
      '6.0',
      '--tickets',
      tickets,
      '--yes',
      ...common,
    ]);
    await secrets.addTicket(ticket);
    const attesting = ['attest', '--ticket', ticket, '--base', base, base, ...common];
    const traced = {
      approve: approving,
      'attest, and the build fails': await trace(world, 'M', [...attesting, '--run', 'false']),
      attest: await trace(world, 'M', attesting),
      sign: await trace(world, 'H', ['sign', '--yes', ...common]),
    };
    const leaks = Object.fromEntries(
      Object.entries(traced).map(([what, calls]) => {
        const found = calls.flatMap(({ call, path, data }) =>
          secrets
            .in(data)
            .map((secret) => `${secret} in ${call} ${path.replace(/\/\.[0-9a-f]{24}\.tmp$/, '/TEMPORARY')}`),
        );
        return [what, [...new Set(found)].sort()];
      }),
    );
    const temporary = join(tickets, 'TEMPORARY');
    const ticketFile = [`ephemeral key in write ${temporary}`, `upload token in write ${temporary}`];
    expect(leaks).toEqual({
      approve: ticketFile,
      // the ticket goes while the build runs, and is put back; and the depot is asked for the approval
      'attest, and the build fails': [...ticketFile, 'upload token in write SOCKET'],
      // the ticket stays without its private half, until the depot has the statement; it is made beside that
      attest: [`upload token in write ${ticket}.pending/TEMPORARY`, 'upload token in write SOCKET'],
      sign: ['signer token in write SOCKET'],
    });
    await expectKept();
    expect((await readdir(world.tree('releases/widget'))).includes('6.0')).toBe(true);
  });
});

test('what a checkout’s origin carries of names, passwords and tokens is not published', async () => {
  const checkout = world.path('cwd');
  const git = (...args: string[]) => execFileSync('git', ['-C', checkout, ...args], { stdio: 'pipe' });
  const identity = ['-c', 'user.name=x', '-c', 'user.email=x@example.org'];
  git('init', '--quiet');
  git(...identity, 'commit', '--quiet', '--allow-empty', '-m', 'x');
  git('remote', 'add', 'origin', 'https://ci:hunter2@example.org/app.git?private_token=hunter3#hunter4');
  const { build, ticket, stdout, stderr } = await approve('5.0');
  const approval = await readFile(world.tree('builds', build, 'approval.json'), 'utf8');
  expect(stdout + stderr + approval).not.toMatch(/hunter/);
  for (const uri of ['https://ci:hunter2@example.org/x', 'https://example.org/x?t=hunter3']) {
    const args = ['approve', '5.1', '--tickets', world.path('operator', 'none'), '--yes', '--json', '-v'];
    const ran = await run('operator', [...args, '--source', `${uri}@${'0a'.repeat(20)}`]);
    expect([ran.code, ran.error?.code]).toEqual([2, 'source-secret']);
    expect(ran.stdout + ran.stderr).not.toMatch(/hunter/);
  }
  await rm(ticket);
  await rm(join(checkout, '.git'), { recursive: true });
});
