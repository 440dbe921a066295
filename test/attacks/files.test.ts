/**
 * What lies in place of an artifact or a ticket on M: links, FIFOs, devices, files that change while they are read.
 * `attest` seals regular files that stayed as they were, or nothing.
 */
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { appendFile, chmod, link, mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { stat, symlink, unlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatTicket, parseTicket } from '../../src/records/ticket.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { secretKeyOf, spent } from '../harness/keypair.ts';
import type { Snapshot } from '../harness/invariants.ts';
import type { Ran } from '../harness/program.ts';
import { mustBe, World } from '../harness/world.ts';
import type { Approved, Files, RunMore } from '../harness/world.ts';
import { sign, statementOf, steal } from './forge.ts';
import { expectSigned } from './outcome.ts';
import { stoppedAt } from './stopped.ts';

let world: World;
let hostile: HostileDepot;
beforeAll(async () => {
  world = await World.make();
  await world.release('0.1', { app: 'the release that must stay as it is' });
  hostile = await HostileDepot.start(world.url);
});
afterAll(async () => {
  await hostile.close();
  await world.close();
});

interface Site extends Approved {
  readonly version: string;
  readonly base: string;
  readonly before: Snapshot;
  /** `attest` of all that lies in the base. */
  attest(args?: readonly string[], more?: RunMore): Promise<Ran>;
  args(more?: readonly string[]): string[];
}

let versions = 0;

/** An approved build, and these files on M. */
async function site(contents: Files, approval: readonly string[] = []): Promise<Site> {
  const version = `1.${++versions}`;
  const approved = await world.approve(version, approval);
  const base = await world.place(contents);
  const args = (more: readonly string[] = [base]): string[] => [
    ...['attest', '--ticket', approved.ticket, '--base', base, '--json'],
    ...more,
  ];
  const attest = (some?: readonly string[], more?: RunMore): Promise<Ran> =>
    world.runOn('M', args(some), more);
  return { ...approved, version, base, before: await snapshot(world), attest, args };
}

/** Refused with this code and I1 to I7, and nothing was sealed. */
async function expectUnsealed(made: Site, ran: Ran, code: string): Promise<void> {
  expect(ran.error?.code, ran.stderr).toBe(code);
  await expectUntouched(world, made.before, { answers: [ran] });
  expect(await readdir(world.tree('builds', made.build))).not.toContain('statements');
}

describe('in place of an artifact', () => {
  let made: Site;
  beforeAll(async () => {
    made = await site({ app: 'app', 'dir/app': 'app' });
    await symlink('dir', join(made.base, '../link'));
    await writeFile(join(made.base, '../outside'), 'outside');
  });

  const odd: Readonly<Record<string, (path: string) => unknown>> = {
    'a symlink to a file beside it': (path) => symlink('app', path),
    'a symlink out of the tree': (path) => symlink('/etc/passwd', path),
    'a symlink to the ticket': (path) => symlink(made.ticket, path),
    'a dangling symlink': (path) => symlink('nothing', path),
    'a symlink to itself': (path) => symlink('odd', path),
    'a symlink to the directory above it': (path) => symlink('.', path),
    'a FIFO that nobody writes into': (path) => execFileSync('mkfifo', [path]),
    'directories, nine deep': (path) => mkdir(`${path}/1/2/3/4/5/6/7/8`, { recursive: true }),
  };

  test.each(Object.entries(odd))('%s', async (_, make) => {
    await make(join(made.base, 'odd'));
    const ran = await made.attest();
    await rm(join(made.base, 'odd'), { recursive: true });
    expect(ran.error?.message).toMatch(/^odd/);
    await expectUnsealed(made, ran, 'artifacts-refused');
  });

  test('a socket', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(made.base, 'odd'), resolve));
    const ran = await made.attest();
    await new Promise((resolve) => server.close(resolve));
    await expectUnsealed(made, ran, 'artifacts-refused');
  });

  test('a device', async () => {
    const args = ['attest', '--ticket', made.ticket, '--base', '/dev', '/dev/zero', '/dev/null', '--json'];
    const ran = await world.runOn('M', args);
    expect(ran.error?.message).toMatch(/^zero: a device/);
    await expectUnsealed(made, ran, 'artifacts-refused');
  });

  test.each([
    ['a symlink on the way to what is named', 'outside-base', '../link/app'],
    ['a way out through a directory of its own', 'outside-base', 'dir/../../outside'],
    ['a path of 5,000 characters', 'no-such-file', 'x'.repeat(5000)],
    ['a path of 2,500 directories', 'no-such-file', 'x/'.repeat(2500)],
    ['a path below a file', 'no-such-file', 'app/x'],
  ])('%s', async (_, code, path) => {
    await expectUnsealed(made, await made.attest([join(made.base, path)]), code);
  });

  test('once it is gone, the same ticket is good', async () => {
    mustBe(0, await made.attest());
    expect(await readdir(world.tree('builds', made.build))).toContain('statements');
  });

  test('odd, but regular files: hard links, any mode and date, holes, none of it matters', async () => {
    const contents = {
      app: 'app',
      'd/read-only': 'r',
      'run.sh': '#!',
      old: 'old',
      future: 'future',
      empty: '',
    };
    const made = await site(contents);
    await link(join(made.base, 'app'), join(made.base, 'app.copy'));
    await link(join(made.base, 'old'), world.path('tmp', 'a-name-elsewhere'));
    for (const [name, mode] of [
      ['d/read-only', 0o400],
      ['run.sh', 0o6755],
      ['app', 0o666],
    ] as const)
      await chmod(join(made.base, name), mode);
    await utimes(join(made.base, 'old'), 0, 0);
    await utimes(join(made.base, 'future'), 2 ** 33, 2 ** 33);
    const holes = await open(join(made.base, 'holes'), 'w');
    await holes.truncate(300_000);
    await holes.close();
    mustBe(0, await made.attest());
    const all = { ...contents, 'app.copy': 'app', holes: Buffer.alloc(300_000) };
    await expectSigned(world, made.build, made.version, all);
    expect((await stat(world.tree('releases/widget', made.version, 'run.sh'))).mode & 0o7777).toBe(0o644);
  });
});

describe('while attest reads', () => {
  let made: Site;
  beforeAll(async () => {
    made = await site({ app: 'app' });
  });
  const path = (of: Site = made): string => join(of.base, 'app');
  const READING = 'read,pread64';
  const FINDING = 'lstat,newfstatat,statx';

  test.each<[string, string, (app: string) => Promise<unknown>]>([
    [
      'another file is renamed over it',
      READING,
      async (app) => {
        await writeFile(`${app}.new`, 'APP');
        await rename(`${app}.new`, app);
      },
    ],
    ['it is written in place, with the same size', READING, (app) => writeFile(app, 'APP')],
    ['it grows', READING, (app) => appendFile(app, '!')],
    ['it is cut', READING, (app) => writeFile(app, '')],
    ['it is removed', READING, unlink],
    [
      'a symlink to the same bytes comes in its place',
      READING,
      async (app) => {
        await rename(app, world.path('tmp', 'app'));
        await symlink(world.path('tmp', 'app'), app);
      },
    ],
    [
      'a symlink comes in its place before it is opened',
      FINDING,
      async (app) => {
        await rm(app);
        await symlink('/etc/passwd', app);
      },
    ],
  ])('%s', async (_, call, change) => {
    const ran = await stoppedAt(world, 'M', made.args(), { call, path: path() }, () => change(path()));
    await rm(path(), { force: true });
    await rm(world.path('tmp', 'app'), { force: true });
    await writeFile(path(), 'app');
    await expectUnsealed(made, ran, 'artifact-changed');
  });

  test('between the walk and the reading, another file: what was read is what is sealed', async () => {
    const moment = { call: FINDING, path: path() };
    mustBe(0, await stoppedAt(world, 'M', made.args(), moment, () => writeFile(path(), 'another file')));
    await expectSigned(world, made.build, made.version, { app: 'another file' });
  });

  test.each([
    ['small', 'app'],
    ['large', Buffer.alloc(300_000, 'a')],
  ])(
    'a %s one is another between signing and sending: it is not sent, put back it is',
    async (_, content) => {
      // with no room for a second run nothing leaves before the seal
      const made = await site({ app: content }, ['--max-count', '1']);
      hostile.lie(`/builds/${made.build}/statements/b1.json`, async (honest) => {
        await writeFile(path(made), 'B'.repeat(content.length));
        return honest();
      });
      const ran = await made.attest([made.base, '--depot', hostile.url]);
      hostile.repent();
      expect(ran.error?.code, ran.stderr).toBe('artifact-changed');
      await expectUntouched(world, made.before, { answers: [ran] });
      // it has signed, and signs nothing else
      const again = await made.attest();
      expect(again.error?.code).toBe('artifacts-differ');
      await writeFile(path(made), content);
      mustBe(0, await made.attest());
      await expectSigned(world, made.build, made.version, { app: content });
    },
  );
});

describe('the ticket', () => {
  let made: Site;
  beforeAll(async () => {
    made = await site({ app: 'app' });
  });

  test.each<[string, string, (ticket: string) => unknown]>([
    ['is a FIFO', 'not-a-file', (ticket) => execFileSync('mkfifo', [ticket])],
    ['is a directory', 'not-a-file', (ticket) => mkdir(ticket)],
    ['is a dangling symlink', 'ticket-missing', (ticket) => symlink('nothing', ticket)],
    ['is a symlink to itself', 'ticket-missing', (ticket) => symlink(ticket, ticket)],
    ['is a device', 'not-a-file', (ticket) => symlink('/dev/zero', ticket)],
    ['is too long', 'too-large', (ticket) => writeFile(ticket, 'countersign-ticket-v1.'.repeat(10_000))],
  ])('%s', async (_, code, put) => {
    const odd = world.path('M', 'odd.ticket');
    await put(odd);
    const ran = await world.runOn('M', ['attest', '--ticket', odd, '--base', made.base, made.base, '--json']);
    await rm(odd, { recursive: true });
    await expectUnsealed(made, ran, code);
  });

  test('has a name of 5,000 characters', async () => {
    const ran = await world.runOn('M', ['attest', '--ticket', `/${'t'.repeat(5000)}`, made.base, '--json']);
    await expectUnsealed(made, ran, 'ticket-missing');
  });

  test('that others may read, behind a symlink and with a second name: said, and taken away all the same', async () => {
    await chmod(made.ticket, 0o644);
    const [linked, second] = [world.path('M', 'linked.ticket'), world.path('M', 'second.ticket')];
    await symlink(made.ticket, linked);
    await link(made.ticket, second);
    const ran = await world.runOn('M', [
      'attest',
      '--ticket',
      linked,
      '--base',
      made.base,
      made.base,
      '--json',
    ]);
    mustBe(0, ran);
    expect(ran.stderr).toMatch(/others on this host may read the ticket/);
    expect(ran.stderr).toMatch(/has another name that will stay/);
    await expect(stat(made.ticket)).rejects.toMatchObject({ code: 'ENOENT' });
    await expectSigned(world, made.build, made.version, { app: 'app' });
  });

  test('is already there, or a link is, where approve wants to write one', async () => {
    const before = await snapshot(world);
    for (const [name, put] of [
      ['there', (path: string) => writeFile(path, 'mine')],
      ['link', (path: string) => symlink(world.path('tmp', 'planted'), path)],
    ] as const) {
      const tickets = world.path('operator', `tickets-${name}`);
      await mkdir(tickets);
      await put(join(tickets, 'b1.ticket'));
      const ran = await world.runOn('operator', ['approve', '9.0', '--tickets', tickets, '--yes', '--json']);
      expect(ran.error?.code).toBe('ticket-exists');
      await expectUntouched(world, before, { answers: [ran] });
    }
    await expect(stat(world.path('tmp', 'planted'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('is for its owner alone, in a directory that others may list and behind a symlink', async () => {
    const real = world.path('operator', 'tickets-real');
    await mkdir(real);
    await chmod(real, 0o1777);
    await symlink(real, world.path('operator', 'tickets-symlink'));
    const args = [
      'approve',
      '9.1',
      '--tickets',
      world.path('operator', 'tickets-symlink'),
      '--yes',
      '--json',
    ];
    const old = process.umask(0);
    const ran = await world.runOn('operator', args);
    process.umask(old);
    mustBe(0, ran);
    expect(await readdir(real)).toEqual(['b1.ticket']);
    expect((await stat(join(real, 'b1.ticket'))).mode & 0o777).toBe(0o600);
  });
});

describe('the signed statement that waits to be sent', () => {
  /** A build whose statement is signed and could not be sent. */
  async function waiting(contents: Files): Promise<Site & { readonly pending: string }> {
    const made = await site(contents);
    hostile.lie(/statements/, () => ({ status: 500, headers: {}, body: Buffer.alloc(0) }));
    const ran = await made.attest([made.base, '--depot', hostile.url]);
    hostile.repent();
    mustBe(3, ran);
    return { ...made, pending: `${made.ticket}.pending` };
  }

  test('has parts of another build: the depot takes none of it, and what was there is sent once it is back', async () => {
    const [one, other] = [await waiting({ app: 'one' }), await waiting({ app: 'other' })];
    for (const name of await readdir(one.pending)) {
      const right = await readFile(join(one.pending, name));
      await writeFile(join(one.pending, name), await readFile(join(other.pending, name)));
      const ran = await one.attest();
      expect(ran.code, name).toBe(1);
      await expectUnsealed(one, ran, ran.error?.code ?? '');
      await writeFile(join(one.pending, name), right);
    }
    mustBe(0, await one.attest());
    await expectSigned(world, one.build, one.version, { app: 'one' });
  });

  test('is one that somebody laid there before the ticket was used: the key is not lost for it', async () => {
    const made = await site({ app: 'app' });
    const held = await steal(world, made);
    const stranger = await steal(world, await site({}));
    await mkdir(`${made.ticket}.pending`);
    const forged = statementOf(held, { app: 'app' });
    for (const [name, bytes] of sign({ ...held, secret: stranger.secret }, forged))
      await writeFile(join(`${made.ticket}.pending`, name.replace('statements/b1', 'statement')), bytes);
    const ran = await made.attest();
    expect(ran.error?.code, ran.stderr).toBe('pending-foreign');
    await expectUntouched(world, made.before, { answers: [ran] });
    expect(secretKeyOf(parseTicket(await readFile(made.ticket, 'utf8')))).not.toBeNull();
    await rm(`${made.ticket}.pending`, { recursive: true });
    mustBe(0, await made.attest());
    await expectSigned(world, made.build, made.version, { app: 'app' });
  });

  test('cannot lie where it should: no key is used that could not be kept count of', async () => {
    const made = await site({ app: 'app' });
    const pending = `${made.ticket}.pending`;
    for (const put of [
      () => execFileSync('mkfifo', [pending]),
      () => writeFile(pending, ''),
      () => symlink('nothing', pending),
      async () => {
        await mkdir(pending);
        execFileSync('mkfifo', [join(pending, 'statement.json')]);
      },
    ]) {
      await put();
      const ran = await made.attest();
      expect(ran.code, ran.stdout).toBe(3);
      await expectUnsealed(made, ran, ran.error?.code ?? '');
      await rm(pending, { recursive: true });
    }
    mustBe(0, await made.attest());
  });
});

test('a ticket without its key, with nothing that waits, signs nothing', async () => {
  const made = await site({ app: 'app' });
  const ticket = parseTicket(await readFile(made.ticket, 'utf8'));
  await writeFile(made.ticket, formatTicket(spent(ticket)));
  const ran = await made.attest();
  expect(ran.error?.code).toBe('ticket-used');
  await expectUntouched(world, made.before, { answers: [ran] });
});
