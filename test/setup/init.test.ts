/** `init` with real keys: what it makes, and what it refuses before it has made anything. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Fingerprint } from '../../src/records/names.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { PROGRAM_H, runProgram } from '../harness/program.ts';
import type { Ran } from '../harness/program.ts';
import { atTerminal } from '../harness/terminal.ts';

let home: GnupgHome;
let cwd: string;
let release: Fingerprint;
let ada: Fingerprint;
let grace: Fingerprint;
let projects = 0;

beforeAll(() => {
  home = new GnupgHome();
  cwd = mkdtempSync(join(tmpdir(), 'cs-init-'));
  release = home.generate({ userId: 'Release <release@example.org>', usage: 'cert' });
  home.addSubkey(release, 'ed25519', 'sign');
  ada = home.generate({ userId: 'Ada <ada@example.org>' });
  grace = home.generate({ userId: 'Grace <grace@example.org>', algorithm: 'rsa3072' });
});
afterAll(() => {
  home.close();
  rmSync(cwd, { recursive: true });
});

interface Initialised extends Ran {
  readonly directory: string;
}

async function init(args: readonly string[], env: Record<string, string> = home.env): Promise<Initialised> {
  const directory = join(cwd, `project-${++projects}`);
  const ran = await runProgram(['init', '--dir', directory, '--json', ...args], {
    cwd,
    env,
    program: PROGRAM_H,
  });
  return { ...ran, directory };
}

const named = (...args: string[]): string[] => ['--project', 'widget', ...args];

/** A key file in `cwd`. */
function file(name: string, bytes: Buffer): string {
  writeFileSync(join(cwd, name), bytes);
  return name;
}

describe('a new project', () => {
  test('is public facts to commit, and a directory for the signer alone', async () => {
    const { code, json, stderr, directory } = await init(
      named('--release-key', release, '--approver', ada, '--depot', 'https://depot.example.org'),
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(readdirSync(directory).sort()).toEqual(['countersign.toml', 'keys', 'signer']);
    expect(readdirSync(join(directory, 'keys')).sort()).toEqual([`approver-${ada}.pgp`, 'release.pgp']);
    expect(statSync(join(directory, 'signer')).mode & 0o777).toBe(0o700);
    expect(readFileSync(join(directory, 'signer', '.gitignore'), 'utf8')).toBe('*\n');
    for (const name of readdirSync(join(directory, 'signer'))) {
      const status = statSync(join(directory, 'signer', name));
      expect(status.mode & 0o077, name).toBe(0);
    }
    const toml = readFileSync(join(directory, 'countersign.toml'), 'utf8');
    expect(toml).toMatch(/^threshold = 1$/m);
    expect(toml).not.toContain('PRIVATE');
    expect(json[0]).toMatchObject({ project: 'widget', releaseKey: release, approvers: [ada] });
  });

  test('takes keys by fingerprint as people copy them, and as files', async () => {
    const spaced = ada.replace(/(.{4})/g, '$1 ').toLowerCase();
    const armored = file('grace.asc', home.gpg(['--armor', '--export', grace]));
    const { code, json } = await init(
      named('--release-key', `0x${release}`, '--approver', spaced, '--approver', armored, '--threshold', '2'),
    );
    expect(code).toBe(0);
    expect(json[0]).toMatchObject({ approvers: [ada, grace], threshold: 2 });
  });

  test('a release key on a long curve gets the digest that it needs', async () => {
    const long = home.generate({ userId: 'Long <long@example.org>', algorithm: 'nistp384' });
    const { code, directory } = await init(named('--release-key', long, '--approver', ada));
    expect(code).toBe(0);
    expect(readFileSync(join(directory, 'countersign.toml'), 'utf8')).toContain('hash = "sha512"');
  });

  test('warns if the release key on this host can certify, and if it is not here at all', async () => {
    const here = await init(named('--release-key', release, '--approver', ada));
    expect(here.stderr).toMatch(/warning: release key \w+ can certify/);

    const publicOnly = new GnupgHome();
    try {
      publicOnly.gpg(['--import'], home.export(release));
      const adaFile = file('ada.pgp', home.export(ada));
      const without = await init(named('--release-key', release, '--approver', adaFile), publicOnly.env);
      expect(without.code).toBe(0);
      expect(without.stderr).toMatch(/warning: no secret half of release key/);

      publicOnly.gpg(['--import'], home.gpg(['--export-secret-subkeys', release]));
      const subkeyOnly = await init(named('--release-key', release, '--approver', adaFile), publicOnly.env);
      expect(subkeyOnly.stderr).not.toContain('warning: release key');
      expect(subkeyOnly.stderr).not.toContain('secret half');
    } finally {
      publicOnly.close();
    }
  });
});

describe('init refuses, and writes nothing,', () => {
  async function refusal(args: readonly string[]): Promise<string> {
    const { code, error, directory, stderr } = await init(args);
    expect(code, stderr).toBe(2);
    expect(existsSync(directory)).toBe(false);
    return `${error?.code}: ${error?.message}`;
  }

  test('one signing key in two roles', async () => {
    expect(await refusal(named('--release-key', ada, '--approver', ada))).toMatch(/^key-in-two-roles/);
    expect(await refusal(named('--release-key', release, '--approver', ada, '--approver', ada))).toMatch(
      /^key-in-two-roles/,
    );
  });

  test('keys that cannot sign, saying why', async () => {
    const expired = home.generate({ userId: 'expired', at: '20200101T000000', expires: 'seconds=60' });
    expect(await refusal(named('--release-key', expired, '--approver', ada))).toMatch(
      /^key-unusable: .*expired/,
    );
    const certifies = home.generate({ userId: 'certifies', usage: 'cert' });
    expect(await refusal(named('--release-key', certifies, '--approver', ada))).toMatch(/^key-unusable/);
    const revoked = home.generate({ userId: 'revoked' });
    const revocation = readFileSync(join(home.directory, 'openpgp-revocs.d', `${revoked}.rev`), 'utf8');
    home.gpg(['--import'], revocation.replace(':-----BEGIN', '-----BEGIN'));
    expect(await refusal(named('--release-key', release, '--approver', revoked))).toMatch(
      /^key-unusable: .*revoked/,
    );
  });

  test('what is no key, or more than one, or a secret one', async () => {
    expect(await refusal(named('--release-key', 'nobody@example.org', '--approver', ada))).toMatch(
      /^key-not-found/,
    );
    expect(await refusal(named('--release-key', 'F'.repeat(40), '--approver', ada))).toMatch(
      /^key-not-found/,
    );
    const junk = file('junk.pgp', Buffer.from('junk'));
    expect(await refusal(named('--release-key', release, '--approver', junk))).toMatch(/^key-malformed/);
    const both = file('both.pgp', home.gpg(['--export', ada, grace]));
    expect(await refusal(named('--release-key', release, '--approver', both))).toMatch(/^key-malformed/);
    const secret = file('secret.asc', home.gpg(['--armor', '--export-secret-keys', ada]));
    expect(await refusal(named('--release-key', release, '--approver', secret))).toMatch(/^key-malformed/);
  });

  test('facts that no build could meet', async () => {
    const keys = ['--release-key', release, '--approver', ada];
    expect(await refusal(['--project', 'No Such Name', ...keys])).toMatch(/^name-malformed/);
    expect(await refusal(named(...keys, '--threshold', '2'))).toMatch(/^threshold: threshold 2 with 1/);
    expect(await refusal(named(...keys, '--threshold', '0'))).toMatch(/^wrong-usage/);
    expect(await refusal(named(...keys, '--depot', 'depot.example.org'))).toMatch(/^depot-url: .*depot/);
    expect(await refusal(named(...keys, '--artifact', 'a\nb'))).toMatch(/^wrong-usage/);
  });

  test('to overwrite a project, or the signer’s directory', async () => {
    const made = await init(named('--release-key', release, '--approver', ada));
    const before = readFileSync(join(made.directory, 'countersign.toml'));
    const again = await runProgram(
      ['init', '--dir', made.directory, '--json', ...named('--release-key', release, '--approver', ada)],
      { cwd, env: home.env, program: PROGRAM_H },
    );
    expect(again).toMatchObject({ code: 2, error: { code: 'project-exists' } });
    rmSync(join(made.directory, 'countersign.toml'));
    const half = await runProgram(
      ['init', '--dir', made.directory, '--json', ...named('--release-key', release, '--approver', ada)],
      { cwd, env: home.env, program: PROGRAM_H },
    );
    expect(half).toMatchObject({ code: 2, error: { code: 'project-exists' } });
    expect(before.length).toBeGreaterThan(0);
  });
});

describe('--signer-key', () => {
  const keys = (...more: string[]): string[] => named('--release-key', release, '--approver', ada, ...more);

  test('its certificate is written, and named where sealed nonces go to', async () => {
    const sealed = home.generate({ userId: 'H <h@example.org>', usage: 'cert' });
    home.addSubkey(sealed, 'cv25519', 'encr');
    const made = await init(keys('--signer-key', sealed));
    expect(made.code, made.stderr).toBe(0);
    expect(readFileSync(join(made.directory, 'keys', 'signer.pgp')).equals(home.export(sealed))).toBe(true);
    const toml = readFileSync(join(made.directory, 'countersign.toml'), 'utf8');
    expect(toml).toMatch(/^encryption-certificate = "keys\/signer.pgp"$/m);
    expect(made.stderr).not.toContain('decrypts');

    // a file, and its secret half is elsewhere
    const elsewhere = new GnupgHome();
    try {
      const away = elsewhere.generate({ userId: 'Away <w@example.org>', usage: 'cert' });
      elsewhere.addSubkey(away, 'rsa3072', 'encr');
      const { json } = await init(keys('--signer-key', file('away.pgp', elsewhere.export(away))));
      expect(json[0]?.['warnings']).toContainEqual(
        expect.stringContaining(`no secret half of signer key ${away} that decrypts is here`),
      );
    } finally {
      elsewhere.close();
    }
  });

  test('may be the release certificate, which then has a subkey for it', async () => {
    const other = home.generate({ userId: 'Both <b@example.org>', usage: 'cert' });
    home.addSubkey(other, 'ed25519', 'sign');
    home.addSubkey(other, 'cv25519', 'encr');
    const made = await init(named('--release-key', other, '--approver', ada, '--signer-key', other));
    expect(made.code, made.stderr).toBe(0);
  });

  test('without a key that encrypts: what to do about it', async () => {
    const ran = await init(keys('--signer-key', release));
    expect(ran).toMatchObject({
      code: 2,
      error: {
        code: 'key-unusable',
        message: expect.stringContaining('no subkey for encryption'),
        hint: expect.stringContaining(`gpg --quick-add-key ${release} cv25519 encr`),
      },
    });
    expect(existsSync(ran.directory)).toBe(false);
  });
});

test('on a terminal init asks for what is missing', async () => {
  const directory = join(cwd, 'asked');
  const { code, screen } = await atTerminal(
    ['init'],
    [
      ['directory [.]:', directory],
      ['name of the project [asked]:', ''],
      ['URL or directory of the depot', 'https://depot.example.org'],
      ['release key, fingerprint or file:', release],
      ['approvers’ keys, fingerprints or files:', `${ada}, ${grace}`],
    ],
    { cwd, env: home.env, program: PROGRAM_H },
  );
  expect(code, screen).toBe(0);
  expect(screen).toContain('made project \u001b[1masked');
  expect(readdirSync(join(directory, 'keys'))).toHaveLength(3);
});

test('on a terminal a key that is not there is said at once', async () => {
  const { code, screen } = await atTerminal(
    ['init', '--dir', join(cwd, 'nowhere'), '--project', 'widget', '--depot', 'https://depot.example.org'],
    [['release key, fingerprint or file:', 'release@example.org']],
    { cwd, env: home.env, program: PROGRAM_H },
  );
  expect(code, screen).toBe(2);
  expect(screen).toContain('neither a fingerprint');
});

test('what will not work is said: no depot, a threshold that nobody can reach', async () => {
  const keys = ['--release-key', release, '--approver', ada, '--approver', grace];
  const { json, stderr, code } = await init(named(...keys, '--threshold', '2'));
  expect(code, stderr).toBe(0);
  expect(json[0]?.['warnings']).toEqual([expect.any(String), expect.stringContaining('no depot')]);
  const three = await init(named(...keys, '--threshold', '3'));
  expect(three).toMatchObject({ code: 2, error: { code: 'threshold' } });
  const url = await init(named(...keys, '--depot', 'https://ada:secret@depot.example.org'));
  expect(url).toMatchObject({
    code: 2,
    error: { code: 'wrong-usage', hint: 'see countersign init --help' },
  });
});

test('a depot that is a directory is written down by its absolute path', async () => {
  const made = await init(named('--release-key', release, '--approver', ada, '--depot', './spool'));
  expect(made.code, made.stderr).toBe(0);
  expect(readFileSync(join(made.directory, 'countersign.toml'), 'utf8')).toMatch(/^depot = "\/.+\/spool"$/m);
});

test('on a terminal colour is left out when NO_COLOR says so', async () => {
  const env = { ...home.env, NO_COLOR: '1' };
  const { code, screen } = await atTerminal(['init', '--wrong'], [], { cwd, env, program: PROGRAM_H });
  expect(code).toBe(2);
  expect(screen).toBe('countersign: init: unknown flag --wrong\r\nhint: see countersign init --help\r\n');
});
