/** User-data for cloud-init: parsed as YAML by another program, and its script run by sh on a made-up machine. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { World } from '../harness/world.ts';
import { PROGRAM, runProgram } from '../harness/program.ts';
import type { Ran } from '../harness/program.ts';
import { SUDO, describeAsRoot } from '../harness/root.ts';
import { Site } from '../builder/site.ts';
import { formatTicket } from '../../src/records/ticket.ts';
import type { Ticket } from '../../src/records/ticket.ts';
import { timestamp } from '../../src/records/names.ts';

let site: Site;
/** The scene's, good for an hour from now. */
let ticket: Ticket;
beforeEach(async () => {
  site = await Site.make({}, 'mac');
  ticket = { ...site.ticket, expires: timestamp(new Date(Date.now() + 3_600_000)) };
  site.putTicket(ticket);
});
afterEach(() => site.close());

const make = (...args: string[]): Promise<Ran> =>
  runProgram(['user-data', '--ticket', site.ticketFile, ...args], {
    env: { PATH: process.env['PATH'] ?? '' },
    cwd: site.directory,
  });

interface CloudConfig {
  readonly write_files: readonly {
    readonly path: string;
    readonly owner: string;
    readonly permissions: string;
    readonly content: string;
  }[];
  readonly runcmd: readonly (readonly string[])[];
}

/** As PyYAML reads it, which cloud-init uses. */
function parseYaml(text: string): CloudConfig {
  const python = 'import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin.buffer.read())))';
  const { status, stdout, stderr } = spawnSync('/usr/bin/python3', ['-c', python], {
    input: text,
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout) as CloudConfig;
}

/** What cloud-init does with it, on a machine whose /run, /var/lib/cloud and /var/log lie below `root`. */
function boot(
  text: string,
  root: string,
  env = process.env,
  around: readonly string[] = [],
): { status: number | null; output: string } {
  const { write_files: files, runcmd } = parseYaml(text);
  const inside = (content: string): string =>
    content.replaceAll(/(?<![\w/])\/(run|var)\//g, (_, top: string) => `${root}/${top}/`);
  const instance = join(root, 'var/lib/cloud/instances/i-1');
  mkdirSync(join(instance, 'scripts'), { recursive: true });
  mkdirSync(join(root, 'run/cloud-init'), { recursive: true });
  for (const name of ['user-data.txt', 'user-data.txt.i', 'cloud-config.txt', 'obj.pkl'])
    writeFileSync(join(instance, name), text);
  writeFileSync(join(root, 'run/cloud-init/combined-cloud-config.json'), text);
  writeFileSync(join(instance, 'boot-finished'), 'kept');
  for (const { path, content, permissions } of files) {
    mkdirSync(dirname(root + path), { recursive: true });
    writeFileSync(root + path, path.endsWith('.sh') ? inside(content) : content);
    chmodSync(root + path, Number.parseInt(permissions, 8));
  }
  const [command = '', ...args] = [...around, ...(runcmd[0] ?? []).map(inside)];
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', env });
  return { status, output: stdout + stderr };
}

/** Stands in for countersign on that machine: says what it was given, and what is left there then. */
const standIn = (root: string): string => {
  const path = join(root, 'stand-in');
  const look = `grep -rls countersign-ticket- '${root}/var' '${root}/run'`;
  writeFileSync(path, `#!/bin/sh\nprintf '<%s>' "$@"; echo; ulimit -c; pwd; ${look}\n`);
  chmodSync(path, 0o755);
  return path;
};

const ODD = `echo 'it''s' "$HOME" \\ # \`x\`: {a} é 😀\t%s\n  next: - line\n`;

describe('the machine that is started with it', () => {
  test.each([['make dist'], [ODD]])('runs attest with just these arguments: %j', async (run) => {
    const program = standIn(site.directory);
    const made = await make('--program', program, '--run', run, '--base', '/a b', '--exclude=*.o', '/a b/-x');
    expect(made.code, made.stderr).toBe(0);
    expect(made.stdout.startsWith('#cloud-config\n')).toBe(true);
    const { status, output } = boot(made.stdout, site.directory);
    const path = join(site.directory, 'run/countersign/b1.ticket');
    const given = [
      'attest',
      '--ticket',
      path,
      '--base',
      '/a b',
      '--exclude=*.o',
      `--run=${run}`,
      '--',
      '/a b/-x',
    ];
    // what is still there then is the ticket that attest is given, in memory
    const told = `${given.map((each) => `<${each}>`).join('')}\n0\n/\n${path}\n`;
    expect(output.replace(`${site.directory}/run/countersign/attest.sh\n`, '')).toBe(told);
    expect(status).toBe(0);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, 'utf8')).toBe(`${formatTicket(ticket)}\n`);
    const instance = join(site.directory, 'var/lib/cloud/instances/i-1');
    expect(readdirSync(instance)).toEqual(['boot-finished', 'scripts']);
  });

  test('does not go on where cloud-init has put the ticket somewhere else too', async () => {
    const made = await make('--program', standIn(site.directory), '--run', 'make', '/out');
    mkdirSync(join(site.directory, 'var/lib/cloud/data'), { recursive: true });
    const other = join(site.directory, 'var/lib/cloud/data/copy');
    writeFileSync(other, made.stdout);
    const { status, output } = boot(made.stdout, site.directory);
    expect(status).toBe(1);
    expect(output).toBe(`countersign: the ticket is also in ${other}\n`);
  });

  test('fetches the very program that made it, and no other', async () => {
    const made = await make('--program', 'https://example.org/countersign.mjs', '/out');
    const script = parseYaml(made.stdout).write_files[1]?.content ?? '';
    const digest = createHash('sha256').update(readFileSync(PROGRAM)).digest('hex');
    expect(script).toContain(`echo '${digest}  /run/countersign/countersign.mjs' | sha256sum --check`);
    // a server that gives something else, in the place of curl
    const curl = join(site.directory, 'curl');
    writeFileSync(curl, '#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done; echo evil > "$2"\n');
    chmodSync(curl, 0o755);
    const { PATH } = process.env;
    process.env['PATH'] = `${site.directory}:${PATH}`;
    try {
      const { status, output } = boot(made.stdout, site.directory);
      expect(status).not.toBe(0);
      expect(output).toContain('FAILED');
    } finally {
      process.env['PATH'] = PATH;
    }
  });
});

test('a real machine: the build runs when no copy is left, the depot has its statement, nothing is left here', async () => {
  const world = await World.make();
  try {
    const approved = await world.approve('1.0');
    const out = await world.place({});
    const root = world.path('tmp');
    const run = `grep -rls "countersign-ticket-v1[.]" ${root} > ${out}/seen; echo built >> ${out}/seen`;
    const args = [
      'user-data',
      '--ticket',
      approved.ticket,
      '--program',
      PROGRAM,
      '--run',
      run,
      '--base',
      out,
      out,
    ];
    const made = await world.runOn('operator', args);
    const { status, output } = boot(made.stdout, root, { ...world.env('M') });
    expect(status, output).toBe(0);
    expect(output).toContain('sealed');
    expect(readFileSync(join(out, 'seen'), 'utf8')).toBe('built\n');
    expect(readdirSync(join(root, 'run/countersign'))).toEqual(['attest.sh']);
    expect(await world.sign()).toMatchObject({ code: 0 });
  } finally {
    await world.close();
  }
});

/** A machine with a metadata service, and the script on it. */
const MACHINE = `
ip link set lo up && ip addr add 169.254.169.254/32 dev lo
python3 -m http.server --bind 169.254.169.254 --directory "$0" 80 > /dev/null 2>&1 &
trap "kill $!" EXIT
until curl -sf -o /dev/null http://169.254.169.254/; do sleep 0.1; done
"$@"`;

describeAsRoot('the metadata service of a machine', ['unshare', '--net', 'nft', 'list', 'tables'], () => {
  test.each([
    [[], 'root reads it\nnobody reads it\n'],
    [['--block-metadata'], 'root reads it\n'],
  ])('is read by whom it should be: %j', async (flags, read) => {
    const service = join(site.directory, 'service');
    mkdirSync(service);
    const program = join(site.directory, 'reader');
    const asks = 'curl -sf -m 2 -o /dev/null http://169.254.169.254/';
    const nobody = 'setpriv --reuid 65534 --clear-groups';
    writeFileSync(
      program,
      `#!/bin/sh\n${asks} && echo root reads it\n${nobody} ${asks} && echo nobody reads it\nexit 0\n`,
    );
    chmodSync(program, 0o755);
    const made = await make('--program', program, '--run-as', 'nobody', ...flags, '/out');
    const around = [...SUDO, 'unshare', '--net', 'sh', '-c', MACHINE, service];
    const { status, output } = boot(made.stdout, site.directory, process.env, around);
    expect(output).toBe(read);
    expect(status).toBe(0);
  });
});

describe('what it says', () => {
  test('who else can read it, and what helps; the ticket itself nowhere but in it', async () => {
    const output = join(site.directory, 'out.user-data');
    const made = await make('--output', output, '/out');
    expect(made).toMatchObject({ code: 0, stdout: '' });
    expect(statSync(output).mode & 0o777).toBe(0o600);
    expect(readFileSync(output, 'utf8')).toContain(formatTicket(ticket));
    expect(made.stderr).toContain('169.254.169.254');
    expect(made.stderr).toMatch(/--scheme enrol.*--run-as USER --block-metadata/);
    expect(made.stderr).not.toContain('that machine itself');
    // it holds a ticket: nothing is written over it
    const again = await make('--json', '--output', output, '/out');
    expect([again.code, again.error?.code]).toEqual([2, 'output-exists']);
    expect(made.stderr).not.toContain('countersign-ticket-');
  });

  test.each(['http://127.0.0.1:8080', 'http://localhost:8080', 'https://[::1]'])(
    'that %s is no depot for a machine elsewhere',
    async (depot) => {
      site.putTicket({ ...ticket, depot });
      const made = await make('--run-as', 'nobody', '--block-metadata', '/out');
      expect(made.code, made.stderr).toBe(0);
      expect(made.stderr).toContain(`the ticket's depot is ${depot}, which is that machine itself there`);
      expect(made.stderr).not.toContain('169.254');
    },
  );

  test.each<[string, (ticket: Ticket) => Ticket, string[], number, string]>([
    [
      'an expired ticket',
      (t) => ({ ...t, expires: timestamp(new Date(Date.now() - 1000)) }),
      ['/out'],
      1,
      'ticket-expired',
    ],
    ['a used one', (t) => ({ ...t, secret: { scheme: 'mac', nonce: null } }), ['/out'], 1, 'ticket-used'],
    ['a wall that the build stands inside', (t) => t, ['--block-metadata', '/out'], 2, 'run-as'],
    ['relative paths', (t) => t, ['out'], 2, 'path-relative'],
    ['a relative base', (t) => t, ['--base', 'out', '/out'], 2, 'path-relative'],
  ])('%s is refused', async (_, change, args, code, error) => {
    site.putTicket(change(ticket));
    const made = await make('--json', ...args);
    expect(made).toMatchObject({ code, error: { code: error } });
    expect(made.stdout).not.toContain('countersign-ticket-');
    expect(existsSync(join(site.directory, 'run'))).toBe(false);
  });
});
