/** `doctor` and files: what others may write or read, what is missing or another's, what lies where it should not. */
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { toTimestamp } from '../../src/records/timestamp.ts';
import { formatTicket, parseTicket } from '../../src/records/ticket.ts';
import { PROGRAM } from '../harness/program.ts';
import { World } from '../harness/world.ts';
import { Patient } from './patient.ts';

let world: World;
let turn = 0;
/** A host of its own for each test. */
let host: string;
let signer: Patient;

beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.close());
beforeEach(() => {
  host = world.path(`host-${++turn}`);
  cpSync(world.path('H'), host, { recursive: true });
  signer = at('signer');
});

const at = (role: string, ...more: readonly string[]): Patient =>
  new Patient(['--role', role, '-c', join(host, 'countersign.toml'), ...more], {
    cwd: world.path('cwd'),
    env: world.env('H'),
  });
const asRoot = process.geteuid?.() === 0;

describe('the project file', () => {
  test.each(['countersign.toml', 'keys/release.pgp', 'keys', '.'])(
    'everybody may write %s: a problem for every role',
    async (name) => {
      chmodSync(join(host, name), name.endsWith('s') || name === '.' ? 0o777 : 0o666);
      rmSync(join(host, 'signer'), { recursive: true });
      const patient = at('operator');
      const finding = await patient.finding('permissions');
      expect(finding).toMatchObject({ level: 'problem', text: expect.stringContaining('everybody') });
      await patient.isCuredBy(finding);
    },
  );

  test('a link to it is followed to where it lies', async () => {
    const elsewhere = join(host, 'elsewhere');
    mkdirSync(elsewhere);
    renameSync(join(host, 'countersign.toml'), join(elsewhere, 'countersign.toml'));
    symlinkSync(join(elsewhere, 'countersign.toml'), join(host, 'countersign.toml'));
    chmodSync(elsewhere, 0o777);
    const finding = await signer.finding('permissions');
    expect(finding.text).toContain(elsewhere);
    await signer.isCuredBy(finding);
  });

  test.runIf(asRoot)('another user’s is one who decides what is signed', async () => {
    chownSync(join(host, 'countersign.toml'), 4711, 4711);
    const finding = await signer.finding('permissions');
    expect(finding).toMatchObject({ level: 'problem', text: expect.stringContaining('4711') });
    await signer.isCuredBy(finding);
  });

  test('a key file that is missing is named', async () => {
    rmSync(join(host, 'keys', 'release.pgp'));
    expect(await signer.finding('project-file')).toMatchObject({
      level: 'problem',
      text: expect.stringContaining('keys/release.pgp'),
    });
  });
});

describe('the signer’s state', () => {
  test.each(['signer', 'signer/log-key', 'signer/builds'])('%s open to others', async (name) => {
    chmodSync(join(host, name), 0o755);
    const finding = await signer.finding('state');
    expect(finding).toMatchObject({ level: 'problem', text: expect.stringContaining(join(host, name)) });
    await signer.isCuredBy(finding);
    // the cure is enough for sign, which refused
    const sign = await world.runOn('H', ['sign', '-c', join(host, 'countersign.toml'), '--yes', '--json']);
    expect(sign.code, sign.stderr).toBe(0);
  });

  test('missing, or with a secret missing, or of another project', async () => {
    renameSync(join(host, 'signer/log-key'), join(host, 'kept'));
    expect(await signer.finding('state')).toMatchObject({
      level: 'problem',
      text: `no ${host}/signer/log-key`,
    });
    const token = `${Buffer.alloc(32, 1).toString('base64url')}\n`;
    renameSync(join(host, 'kept'), join(host, 'signer/log-key'));
    writeFileSync(join(host, 'signer/signer-token'), token);
    expect(await signer.finding('state')).toMatchObject({
      text: expect.stringContaining('not the project file’s'),
    });
    rmSync(join(host, 'signer'), { recursive: true });
    expect(await signer.finding('state')).toMatchObject({ hint: expect.stringContaining('--state DIR') });
  });

  test('a journal that is a link is refused as sign does', async () => {
    symlinkSync('/dev/null', join(host, 'signer/journal'));
    expect(await signer.finding('state')).toMatchObject({
      text: `${host}/signer/journal is a symbolic link`,
    });
  });

  test.runIf(asRoot)('another user’s', async () => {
    execFileSync('chown', ['-R', '4711', join(host, 'signer')]);
    const finding = await signer.finding('state');
    expect(finding.text).toMatch(/belongs to user 4711, and this is user 0/);
    expect(finding.hint).toMatch(/^sudo -u '#4711' countersign doctor/);
    await signer.isCuredBy({ ...finding, hint: finding.hint.replace(/.*# or /, '') });
    chownSync(join(host, 'signer/log-key'), 4711, 4711);
    await signer.isCuredBy(await signer.finding('state', /log-key belongs to user 4711/));
  });
});

describe('signer/ where it does not belong', () => {
  test.each(['depot', 'operator', 'builder'])('on the %s’s host', async (role) => {
    const finding = await at(role).finding('misplaced');
    expect(finding).toMatchObject({ level: 'problem', text: expect.stringContaining(join(host, 'signer')) });
    await expectKept(finding.hint, role, join(host, 'signer'));
  });

  /** It may be the only one: the hint, copied, leaves all of it as it is, and knows the signer when it is that. */
  async function expectKept(hint: string, role: string, state: string): Promise<void> {
    const before = readdirSync(state, { recursive: true });
    const program = `countersign() { '${process.execPath}' '${PROGRAM}' "$@"; }`;
    const { stdout } = await at(role).examine(`${program}\n${hint}`);
    expect(stdout).toContain('looked at as signer');
    expect(stdout).toContain(`${state} is this user’s alone, and of this project`);
    expect(readdirSync(state, { recursive: true })).toEqual(before);
  }

  test('in a place whose name means something to a shell', async () => {
    const place = join(host, "it's $(touch kept) & gone");
    mkdirSync(place);
    for (const name of ['countersign.toml', 'keys', 'signer'])
      renameSync(join(host, name), join(place, name));
    host = place;
    await expectKept((await at('depot').finding('misplaced')).hint, 'depot', join(place, 'signer'));
    expect(existsSync(world.path('cwd', 'kept'))).toBe(false);
    chmodSync(join(place, 'keys'), 0o777);
    const signing = at('signer');
    await signing.isCuredBy(await signing.finding('permissions'));
  });

  test('below what the depot serves', async () => {
    const data = join(host, 'data');
    mkdirSync(data);
    renameSync(join(host, 'signer'), join(data, 'signer'));
    const { hint } = await at('depot', '--data', data).finding('misplaced');
    await expectKept(hint, 'depot', join(data, 'signer'));
  });

  test('inside a depot that is a directory', async () => {
    const finding = await at('signer', '--depot', host).finding('misplaced');
    expect(finding.text).toContain(`lies in the depot ${host}`);
    expect(finding.hint).not.toMatch(/\b(mv|rm)\b/);
  });

  test('in a git checkout, which ignores it as init made it', async () => {
    const git = (...args: string[]): void => {
      const as = ['-c', 'user.name=A', '-c', 'user.email=a@example.org'];
      execFileSync('git', ['-C', host, ...as, ...args], { stdio: 'pipe' });
    };
    git('init', '--quiet');
    expect((await signer.examine()).findings).toContainEqual(
      expect.objectContaining({ check: 'misplaced', level: 'ok' }),
    );
    rmSync(join(host, 'signer/.gitignore'));
    const open = await signer.finding('misplaced', /not ignored/);
    git('add', '-A');
    const taken = await signer.finding('misplaced', /git has taken up/);
    await signer.isCuredBy(taken);
    await signer.isCuredBy(open);
  });
});

describe('tickets', () => {
  test('that others may read', async () => {
    const approved = await world.approve(`1.0.${turn}`);
    const place = join(host, 'tickets');
    mkdirSync(place);
    const ticket = join(place, 'b1.ticket');
    writeFileSync(ticket, readFileSync(approved.ticket), { mode: 0o600 });
    expect((await at('operator').examine()).findings).toContainEqual(
      expect.objectContaining({ check: 'tickets', level: 'ok' }),
    );
    chmodSync(ticket, 0o644);
    const finding = await at('operator').finding('tickets');
    expect(finding).toMatchObject({ level: 'problem', hint: `chmod 600 ${ticket}` });
    await at('operator').isCuredBy(finding);
  });

  test('that a builder was given: expired, or none', async () => {
    const approved = await world.approve(`1.0.${turn}`);
    const given = readFileSync(approved.ticket, 'utf8').trim();
    const times = {
      notBefore: toTimestamp('2026-01-01T00:00:00Z', ''),
      expires: toTimestamp('2026-01-02T00:00:00Z', ''),
    };
    const ticket = formatTicket({ ...parseTicket(given), ...times });
    const secret = given.slice('countersign-ticket-v1.'.length);
    const builder = new Patient([], { cwd: world.path('cwd'), env: world.env('M') });
    const good = await builder.examine('', { COUNTERSIGN_TICKET: given });
    expect(good.findings).toContainEqual(expect.objectContaining({ check: 'ticket', level: 'ok' }));
    expect(good.findings).toContainEqual(expect.objectContaining({ check: 'depot', level: 'ok' }));
    expect(await builder.finding('ticket', /./, { COUNTERSIGN_TICKET: ticket })).toMatchObject({
      text: expect.stringMatching(new RegExp(`build ${approved.build}, slot b1 expired at`)),
    });
    const cut = await builder.finding('ticket', /./, { COUNTERSIGN_TICKET: given.slice(0, -40) });
    expect(cut.text).not.toContain(secret.slice(0, 40));
  });
});

describe('what the depot serves', () => {
  test('writable by everybody, or no directory', async () => {
    const data = join(host, 'data');
    mkdirSync(data);
    chmodSync(data, 0o777);
    const patient = at('depot', '--data', data);
    rmSync(join(host, 'signer'), { recursive: true });
    await patient.isCuredBy(await patient.finding('data'));
    mkdirSync(join(data, 'builds'));
    chmodSync(join(data, 'builds'), 0o777);
    await patient.isCuredBy(await patient.finding('data', /builds may be written by others/));
    writeFileSync(join(host, 'file'), '');
    expect(await at('depot', '--data', join(host, 'file')).finding('data')).toMatchObject({
      level: 'problem',
    });
    expect(await at('depot').finding('data')).toMatchObject({
      level: 'note',
      hint: expect.stringContaining('--data'),
    });
    expect(await at('depot', '--data', join(host, 'typo')).finding('data')).toMatchObject({
      level: 'note',
      text: expect.stringContaining('typo is not there yet'),
    });
  });

  test('is what the project file says, where that is a directory', async () => {
    const depot = join(host, 'depot');
    const open = () => at('depot', '--depot', depot);
    expect(await open().finding('depot')).toMatchObject({
      level: 'problem',
      hint: expect.stringMatching(/^findmnt .*mounted\?/),
    });
    mkdirSync(depot);
    expect((await open().examine()).findings).toContainEqual(
      expect.objectContaining({ check: 'data', level: 'ok', text: `${depot} can be written` }),
    );
    chmodSync(depot, 0o777);
    await open().isCuredBy(await open().finding('data'));
  });
});
