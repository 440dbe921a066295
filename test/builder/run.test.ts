import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { formatTicket } from '../../src/records/ticket.ts';
import { Site } from './site.ts';

let site: Site;
beforeEach(async () => {
  site = await Site.make();
});
afterEach(() => site.close());

const seen = (): string => readFileSync(join(site.directory, 'seen'), 'utf8');

describe('--run: the build first, then its artifacts', () => {
  test('what it made is attested, and the statement says how it was made', async () => {
    const run = `echo built > ${site.base}/app`;
    expect(await site.attest({ run })).toMatchObject({ artifacts: 1, bytes: 6 });
    expect(await site.statement()).toMatchObject({ command: run });
  });

  test('while it runs there is no ticket: neither file nor variable', async () => {
    const environment = {
      PATH: process.env['PATH'],
      COUNTERSIGN_TICKET: 'x',
      MINE: formatTicket(site.ticket),
    };
    const run = `ls ${site.ticketFile} > ${site.directory}/seen 2>&1; env >> ${site.directory}/seen; echo > ${site.base}/app`;
    await site.attest({ run, environment });
    expect(seen()).toContain('No such file');
    expect(seen()).not.toMatch(/COUNTERSIGN_TICKET|countersign-ticket/);
    expect(existsSync(site.ticketFile)).toBe(false);
  });

  test('a path that could never be attested is said before it runs', async () => {
    const run = `touch ${site.directory}/ran`;
    await expect(site.attest({ run, paths: [site.directory] })).rejects.toMatchObject({
      code: 'outside-base',
    });
    expect(existsSync(join(site.directory, 'ran'))).toBe(false);
    expect(existsSync(site.ticketFile)).toBe(true);
  });

  test('a ticket that the build could still reach is a warning', async () => {
    const stdin = Readable.from([Buffer.from(formatTicket(site.ticket))]);
    const environment = { PATH: process.env['PATH'], STATE_DIRECTORY: join(site.directory, 'state') };
    await site.attest({ run: `echo > ${site.base}/app`, ticket: '-', stdin, environment });
    expect(site.warnings).toEqual([expect.stringContaining('--run-as')]);
  });
});

describe('the build fails: the ticket is back as it was, only for us to read', () => {
  test.each([
    ['its exit status', 'exit 3', 'command-failed'],
    ['it made what has no good name', 'touch "$BASE/.hidden"', 'artifacts-refused'],
    ['it made nothing', 'true', 'no-artifacts'],
  ])('%s', async (_, run, code) => {
    const environment = { PATH: process.env['PATH'], BASE: site.base };
    await expect(site.attest({ run, environment })).rejects.toMatchObject({ code });
    expect(readFileSync(site.ticketFile, 'utf8')).toBe(`${formatTicket(site.ticket)}\n`);
    expect(statSync(site.ticketFile).mode & 0o777).toBe(0o600);
    writeFileSync(join(site.base, 'app'), 'x');
    if (code !== 'artifacts-refused') expect(await site.attest()).toMatchObject({ resumed: false });
  });

  test('it was stopped by a signal to us', async () => {
    setTimeout(() => process.emit('SIGTERM', 'SIGTERM'), 200);
    await expect(site.attest({ run: 'sleep 10' })).rejects.toMatchObject({
      kind: 'unable',
      code: 'interrupted',
    });
    expect(site.readTicket()).toEqual(site.ticket);
    expect(process.listenerCount('SIGTERM')).toBe(0);
  });
});

describe('once signed, it is not run again', () => {
  test('a further run sends the statement, whatever the command would make now', async () => {
    const run = `echo run >> ${site.directory}/runs; echo built > ${site.base}/app`;
    const environment = { PATH: process.env['PATH'], STATE_DIRECTORY: join(site.directory, 'state') };
    const twice = () =>
      site.attest({
        run,
        environment,
        ticket: '-',
        stdin: Readable.from([Buffer.from(formatTicket(site.ticket))]),
      });
    await twice();
    expect(site.warnings).toEqual([expect.stringContaining('--run-as')]);
    expect(await twice()).toMatchObject({ resumed: true });
    expect(site.warnings).toContainEqual(expect.stringContaining('the command is not run again'));
    expect(readFileSync(join(site.directory, 'runs'), 'utf8')).toBe('run\n');
  });

  test('--run-as without --run is a mistake', async () => {
    await expect(site.attest({ runAs: 'nobody' })).rejects.toMatchObject({ kind: 'usage', code: 'run-as' });
  });
});

describe('--run-as is refused, and nothing runs, where that user could swap what lies beside the ticket', () => {
  const root = process.getuid?.() === 0;
  const NOBODY = 65534;
  /** The ticket in `place`, a directory with a mode and perhaps an owner. */
  const within = (place: string, mode: number, uid = -1, gid = -1): string => {
    const directory = join(site.directory, place);
    mkdirSync(directory, { recursive: true });
    const ticket = join(directory, 'b1.ticket');
    renameSync(site.ticketFile, ticket);
    const open = join(site.directory, 'open');
    if (uid !== -1 || gid !== -1) chownSync(open, Math.max(uid, 0), Math.max(gid, 0));
    chmodSync(open, mode);
    return ticket;
  };
  const refuse = async (more: { ticket?: string; environment?: NodeJS.ProcessEnv; stdin?: Readable }) => {
    const asked = site.attest({ run: `touch ${site.directory}/ran`, runAs: 'nobody', ...more });
    await expect(asked).rejects.toMatchObject({
      kind: 'usage',
      code: 'run-as-ticket',
      message: expect.stringContaining(`nobody may change ${site.directory}/open`),
      hint: expect.stringContaining("root's alone"),
    });
    expect(existsSync(join(site.directory, 'ran'))).toBe(false);
  };

  test('everybody may write there', () => refuse({ ticket: within('open', 0o777) }));
  test('or above it', () => refuse({ ticket: within('open/own', 0o777) }));
  test.skipIf(!root)('it is that user’s', () => refuse({ ticket: within('open', 0o700, NOBODY) }));
  test.skipIf(!root)('or it is above', () => refuse({ ticket: within('open/own', 0o1755, NOBODY) }));
  test.skipIf(!root)('it is their group’s', () => refuse({ ticket: within('open', 0o770, 0, NOBODY) }));

  test('so would the state directory be, which is not there yet', async () => {
    within('open', 0o777);
    const environment = { PATH: process.env['PATH'], STATE_DIRECTORY: join(site.directory, 'open', 'state') };
    const stdin = Readable.from([Buffer.from(formatTicket(site.ticket))]);
    await refuse({ ticket: '-', environment, stdin });
  });

  test.skipIf(!root)('with the sticky bit each keeps their own: it is built, and signed', async () => {
    const ticket = within('open', 0o1777);
    chmodSync(site.directory, 0o755);
    chmodSync(site.base, 0o777);
    const run = `echo built > ${site.base}/app`;
    expect(await site.attest({ ticket, run, runAs: 'nobody' })).toMatchObject({ artifacts: 1 });
  });
});
