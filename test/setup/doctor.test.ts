/** `doctor` on healthy hosts of each role: it says so, changes nothing, and asks nobody. */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GnupgHome } from '../harness/gnupg.ts';
import { FakePinentry } from '../harness/pinentry.ts';
import { PROGRAM_H } from '../harness/program.ts';
import { mustBe, World } from '../harness/world.ts';
import { Patient } from './patient.ts';

let world: World;
let signer: GnupgHome;
let pinentry: FakePinentry;

beforeAll(async () => {
  world = await World.make();
  // as the manual says: on H a subkey alone, with a passphrase that nobody has given yet
  const given = ['--passphrase', 'correct horse'];
  const offline = new GnupgHome();
  // the passphrase is as quickly derived as it may be
  offline.configureAgent('s2k-count 65536');
  const primary = offline.generate({
    userId: 'Release <r@example.org>',
    usage: 'cert',
    passphrase: 'correct horse',
  });
  offline.gpg([...given, '--quick-add-key', primary, 'ed25519', 'sign', 'never']);
  signer = new GnupgHome();
  signer.configureAgent('s2k-count 65536');
  signer.gpg([...given, '--import'], offline.gpg([...given, '--export-secret-subkeys', primary]));
  offline.close();
  pinentry = new FakePinentry(signer.directory, 'correct horse');
  signer.configureAgent(
    [
      'no-allow-loopback-pinentry',
      'disable-scdaemon',
      'max-cache-ttl 34560000',
      'default-cache-ttl 34560000',
      `pinentry-program ${pinentry.program}`,
    ].join('\n'),
  );
  const approver = world.path('H', 'keys', `approver-${world.approvers[0]}.pgp`);
  const keys = ['--release-key', primary, '--approver', approver];
  const facts = ['--dir', world.path('healthy'), '--project', 'widget', '--depot', world.url];
  mustBe(0, await world.runOn('H', ['init', ...facts, ...keys], { env: { GNUPGHOME: signer.directory } }));
});
afterAll(async () => {
  signer.close();
  await world.close();
});

const levels = (patient: { readonly findings: readonly { check: string; level: string }[] }): string[] =>
  patient.findings.filter(({ level }) => level !== 'ok').map(({ check, level }) => `${level} ${check}`);

describe('healthy', () => {
  test('a signer as the manual sets it up: its key is locked, nothing else', async () => {
    const config = world.path('healthy', 'countersign.toml');
    const env = { ...world.env('H'), GNUPGHOME: signer.directory };
    const ran = await new Patient(['-c', config], { cwd: world.path('cwd'), env }).examine('ulimit -c 0');
    expect(ran.code, ran.stdout).toBe(0);
    expect(levels(ran).filter((each) => each !== 'note memory')).toEqual(['note release-key-locked']);
    expect(ran.findings[0]).toMatchObject({ check: 'role', text: expect.stringContaining('signer') });
    expect(pinentry.heard()).toEqual([]);
  });

  test.each([
    ['depot', 'L', ['--data', 'data']],
    ['operator', 'operator', []],
    ['builder', 'M', []],
  ] as const)('the %s', async (role, host, more) => {
    const args = more.map((each) => (each === 'data' ? world.path('L', 'data') : each));
    for (const told of [['--role', role], []]) {
      const env = world.env(host);
      const ran = await new Patient([...told, ...args], { cwd: world.path('cwd'), env }).examine(
        'ulimit -c 0',
      );
      expect(ran.code, ran.stdout).toBe(0);
      const unusual = levels(ran).filter((each) => !['note memory', 'note project-file'].includes(each));
      expect(unusual).toEqual([]);
      expect(ran.findings[0]).toMatchObject({ check: 'role', text: expect.stringContaining(role) });
    }
  });

  test('whoever says where the signer’s state is looks at a signer, also where it is gone', async () => {
    const ran = await world.runOn('L', ['doctor', '--json', '--state', world.path('L', 'gone')]);
    expect(ran.json).toContainEqual(expect.objectContaining({ check: 'role', text: 'looked at as signer' }));
    expect(ran.json).toContainEqual(expect.objectContaining({ check: 'state', level: 'problem' }));
    const other = await world.runOn('M', ['doctor', '--json', '--role', 'builder', '--state', '/']);
    expect(other.json).toContainEqual(expect.objectContaining({ text: 'looked at as builder' }));
  });

  test('the signer’s own program has it too', async () => {
    const ran = await world.runOn('H', ['doctor'], { program: PROGRAM_H });
    expect(ran.code, ran.stderr).toBe(0);
    expect(ran.stdout).toMatch(/^ok +node: Node \d+/m);
    expect(ran.stderr).toMatch(/0 problems, 1 warning$/m);
  });
});

describe('doctor', () => {
  /** Everything below these directories: names, kinds, modes, times and contents. */
  function snapshot(directories: readonly string[]): Record<string, string> {
    const seen: Record<string, string> = {};
    for (const directory of directories)
      for (const name of ['.', ...readdirSync(directory, { recursive: true, encoding: 'utf8' })]) {
        const path = join(directory, name);
        const { mode, mtimeMs, size, uid } = lstatSync(path);
        const content = lstatSync(path).isFile()
          ? createHash('sha256').update(readFileSync(path)).digest('hex')
          : '';
        seen[path] = [mode, mtimeMs, size, uid, content].join(' ');
      }
    return seen;
  }

  test('changes nothing, signs nothing, shows no secret', async () => {
    const approved = await world.approve('1.0.0');
    expect(approved.code, approved.stderr).toBe(0);
    const ticket = readFileSync(approved.ticket, 'utf8').trim();
    const homes = [
      world.agent.directory,
      world.releaseHome.directory,
      world.approverHomes[0]?.directory ?? '',
    ];
    const before = snapshot([world.directory, ...homes]);
    let printed = '';
    for (const [host, role] of [
      ['H', 'signer'],
      ['L', 'depot'],
      ['operator', 'operator'],
      ['M', 'builder'],
    ] as const) {
      const env = { COUNTERSIGN_TICKET: ticket, HTTPS_PROXY: 'http://me:hunter2@proxy.example' };
      const ran = await world.runOn(host, ['doctor', '--role', role, '-v'], { env });
      expect(ran.code, ran.stdout).toBe(0);
      printed += ran.stdout + ran.stderr;
    }
    expect(snapshot([world.directory, ...homes])).toEqual(before);
    expect(world.agent.signatures).toBe(0);
    const secrets = ['log-key', 'signer-token'].map((name) =>
      readFileSync(world.path('H', 'signer', name), 'utf8'),
    );
    for (const secret of [ticket, 'hunter2', ...secrets.map((each) => each.trim())])
      expect(printed).not.toContain(secret);
    expect(printed).toContain(approved.build);
  });

  test('needs no project file: it says how to come by one', async () => {
    const empty = world.path('empty');
    mkdirSync(empty);
    const at = (role: string) =>
      new Patient(['--role', role], { cwd: empty, env: { PATH: world.env('M')['PATH'] ?? '', HOME: empty } });
    expect(await at('builder').finding('project-file')).toMatchObject({
      level: 'note',
      hint: expect.stringContaining('countersign init'),
    });
    const init = { level: 'problem', hint: expect.stringMatching(/^countersign init --dir /) };
    expect(await at('signer').finding('project-file')).toMatchObject(init);
    for (const role of ['depot', 'operator'])
      expect(await at(role).finding('project-file')).toMatchObject({
        level: 'problem',
        hint: expect.stringMatching(/^copy countersign.toml and keys\/ from the signer/),
      });
    expect(readdirSync(empty)).toEqual([]);
  });

  test('a role that there is not, and a project file that is none', async () => {
    const wrong = await world.runOn('H', ['doctor', '--role', 'consumer', '--json']);
    expect(wrong).toMatchObject({
      code: 2,
      error: { code: 'wrong-usage', hint: expect.stringContaining('depot') },
    });
    const typo = new Patient(['-c', 'typo.toml'], { cwd: world.path('cwd'), env: world.env('M') });
    expect(await typo.finding('project-file')).toMatchObject({
      level: 'problem',
      text: expect.stringMatching(/^no file .*typo\.toml$/),
    });
    const broken = world.path('broken.toml');
    writeFileSync(broken, 'project = 1\n');
    const patient = new Patient(['-c', broken, '--role', 'signer'], {
      cwd: world.path('cwd'),
      env: world.env('H'),
    });
    expect(await patient.finding('project-file')).toMatchObject({
      level: 'problem',
      text: expect.stringContaining('countersign.toml: '),
    });
  });

  test('has each of its checks in the manual', () => {
    const source = readFileSync(new URL('../../src/setup/doctor/finding.ts', import.meta.url), 'utf8');
    const codes = [...source.matchAll(/^ {2}\| '([a-z-]+)'/gm)].map(([, code]) => code ?? '');
    expect(codes.length).toBeGreaterThan(20);
    const manual = readFileSync(new URL('../../docs/how-to/doctor.md', import.meta.url), 'utf8');
    const rows = manual.split('\n').filter((line) => line.startsWith('| `'));
    const described = rows.flatMap((row) => row.split('|')[1]?.match(/[a-z-]+/g) ?? []);
    expect(described.sort()).toEqual(codes.sort());
  });
});
