/** `doctor` and keys: what has expired, what is locked, what should not be on this host; and that its cures cure. */
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Fingerprint } from '../../src/records/names.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { runProgram } from '../harness/program.ts';
import { freePort, mustBe } from '../harness/world.ts';
import { Patient } from './patient.ts';

/** Keys and a project that each test gets a copy of. */
let template: { readonly home: GnupgHome; readonly directory: string };
let home: GnupgHome;
let directory: string;
let release: Fingerprint;
let subkey: Fingerprint;
let ada: Fingerprint;

beforeAll(async () => {
  [home, directory] = [new GnupgHome(), mkdtempSync(join(tmpdir(), 'cs-doctor-'))];
  home.configureAgent('s2k-count 65536');
  // old enough for things to have happened to them since
  release = home.generate({ userId: 'Release <r@example.org>', usage: 'cert', at: '20260101T000000' });
  at('20260101T000000', '--passphrase', '', '--quick-add-key', release, 'ed25519', 'sign', 'never');
  subkey = fingerprints(release)[1] ?? release;
  ada = home.generate({ userId: 'Ada <ada@example.org>', at: '20260101T000000' });
  await init(release);
  home.killAgent();
  template = { home, directory };
});
beforeEach(() => {
  [home, directory] = [new GnupgHome(), mkdtempSync(join(tmpdir(), 'cs-doctor-'))];
  cpSync(template.home.directory, home.directory, {
    recursive: true,
    filter: (path) => !/\/S\.[^/]*$/.test(path),
  });
  cpSync(template.directory, directory, { recursive: true });
});
const removed = (): void => {
  home.close();
  rmSync(directory, { recursive: true });
};
afterEach(removed);
afterAll(() => {
  ({ home, directory } = template);
  removed();
});

/** gpg as if at that time. */
const at = (time: string, ...args: readonly string[]): Buffer =>
  home.gpg(['--faked-system-time', `${time}!`, ...args]);

const fingerprints = (key: Fingerprint): Fingerprint[] => {
  const listing = home.gpg(['--with-colons', '--list-keys', key]).toString();
  return [...listing.matchAll(/^fpr:+([0-9A-F]{40}):/gm)].map(([, found]) => found as Fingerprint);
};

/** Revokes the newest subkey, which gpg does in a dialogue only. */
const revokeSubkey = (primary: Fingerprint): void => {
  const dialogue = 'key 1\nrevkey\ny\n0\n\ny\nsave\n';
  home.gpg(['--command-fd', '0', '--no-batch', '--edit-key', primary], dialogue);
};

/** A project with these keys instead, on the host that has them. */
async function init(key: Fingerprint, ...more: readonly string[]): Promise<void> {
  for (const name of ['countersign.toml', 'keys', 'signer'])
    rmSync(join(directory, name), { recursive: true, force: true });
  const facts = ['init', '--dir', directory, '--project', 'widget', '--release-key', key, '--approver', ada];
  mustBe(0, await runProgram([...facts, ...more], { cwd: directory, env: home.env }));
}

const patient = (role: string, { env } = home, ...more: readonly string[]): Patient =>
  new Patient(['--role', role, '-c', join(directory, 'countersign.toml'), ...more], { cwd: directory, env });

/** The certificate that the project file names, as gpg has it now. */
const copy = (key: Fingerprint, name = 'release.pgp'): void =>
  writeFileSync(join(directory, 'keys', name), home.export(key));

/** Changes one line of the project file. */
function edit(line: string, other: string): void {
  const toml = join(directory, 'countersign.toml');
  writeFileSync(toml, readFileSync(toml, 'utf8').replace(line, other));
}

const allowDigestMode = (): void => edit('digest-mode = false', 'digest-mode = true');

describe('certificates', () => {
  test('a release subkey that has expired is a problem on every host, and is extended where its primary is', async () => {
    const signer = patient('signer');
    at('20260301T000000', '--quick-set-expire', release, '20260401T000000', subkey);
    copy(release);
    for (const role of ['signer', 'depot', 'operator'])
      expect(await patient(role).finding('certificates')).toMatchObject({
        level: 'problem',
        text: expect.stringMatching(/cannot sign: .*expired at 2026-04-01/),
      });
    await signer.isCuredBy(await signer.finding('certificates'));
  });

  test('one that expires soon is a warning, and so is a primary key', async () => {
    const signer = patient('signer');
    home.gpg(['--quick-set-expire', release, '10d', subkey]);
    copy(release);
    const soon = await signer.finding('certificates');
    expect(soon).toMatchObject({
      level: 'warning',
      text: expect.stringMatching(/release key .* expires at 20/),
    });
    await signer.isCuredBy(soon);
    home.gpg(['--quick-set-expire', release, '10d']);
    copy(release);
    await signer.isCuredBy(await signer.finding('certificates'));
  });

  test('a revoked key needs another; for a revoked subkey its primary makes one', async () => {
    const signer = patient('signer');
    home.revoke(release);
    copy(release);
    expect(await signer.finding('certificates')).toMatchObject({
      level: 'problem',
      text: expect.stringContaining('has been revoked'),
      hint: expect.stringContaining('make a new key'),
    });
    const other = home.generate({ userId: 'Other <o@example.org>', usage: 'cert' });
    home.addSubkey(other, 'ed25519', 'sign');
    await init(other);
    revokeSubkey(other);
    copy(other);
    const finding = await signer.finding('certificates', /has been revoked/);
    expect(finding.hint).toContain('--quick-add-key');
    await signer.isCuredBy({
      ...finding,
      hint: finding.hint.replace('gpg ', "gpg --batch --passphrase '' "),
    });
  });

  test('an approver’s that has expired: a warning while the others are enough', async () => {
    const grace = home.generate({ userId: 'Grace <g@example.org>', at: '20260101T000000' });
    await init(release, '--approver', grace);
    const signer = patient('signer');
    at('20260301T000000', '--quick-set-expire', ada, '20260401T000000');
    copy(ada, `approver-${ada}.pgp`);
    const finding = await signer.finding('certificates');
    expect(finding).toMatchObject({
      level: 'warning',
      text: expect.stringContaining('Ada <ada@example.org>'),
    });
    const toml = join(directory, 'countersign.toml');
    writeFileSync(toml, readFileSync(toml, 'utf8').replace('threshold = 1', 'threshold = 2'));
    expect(await signer.finding('certificates')).toMatchObject({ level: 'problem' });
    await signer.isCuredBy(await signer.finding('certificates'));
  });

  test('a curve that needs a longer digest', async () => {
    const long = home.generate({ userId: 'Long <long@example.org>', algorithm: 'nistp384', usage: 'sign' });
    await init(long);
    const signer = patient('signer');
    const toml = join(directory, 'countersign.toml');
    writeFileSync(toml, readFileSync(toml, 'utf8').replace('hash = "sha512"', 'hash = "sha256"'));
    await signer.isCuredBy(await signer.finding('certificates'));
  });

  test('digest mode that could never sign: with ECDSA alone, or over SHA-512', async () => {
    const curve = home.generate({
      userId: 'Curve <c@example.org>',
      algorithm: 'nistp256',
      usage: 'cert,sign',
    });
    await init(curve);
    allowDigestMode();
    expect(await patient('operator').finding('certificates')).toMatchObject({
      level: 'problem',
      text: expect.stringMatching(/digest mode signs nothing: .* ECDSA keys alone/),
    });
    const signer = patient('signer');
    const ecdsa = await signer.finding('certificates');
    await signer.isCuredBy({ ...ecdsa, hint: ecdsa.hint.replace('gpg ', "gpg --batch --passphrase '' ") });
    edit('hash = "sha256"', 'hash = "sha512"');
    await signer.isCuredBy(await signer.finding('certificates', /digest mode .* asks for sha512/));
  });
});

describe('the release key', () => {
  test('digest mode signs nothing while a primary is here: that is a problem', async () => {
    allowDigestMode();
    expect(await patient('signer').finding('release-key-certifies')).toMatchObject({
      level: 'problem',
      text: expect.stringContaining('. Digest mode signs nothing until the primary key is off this host'),
    });
  });

  test('a primary that can certify is on this host: the cure leaves the subkey alone', async () => {
    const signer = patient('signer');
    const finding = await signer.finding('release-key-certifies');
    expect(finding).toMatchObject({ level: 'warning', text: expect.stringContaining(release) });
    const unasked = ['gpg --delete', 'gpg --batch --yes --delete'] as const;
    await signer.isCuredBy({ ...finding, hint: finding.hint.replace(...unasked) });
    expect((await signer.examine()).findings).toContainEqual(
      expect.objectContaining({ check: 'release-key', level: 'ok', text: expect.stringContaining(subkey) }),
    );
    // the command tells what it leaves: copied again, it does not write over the one copy of the primary key
    const primary = readFileSync(join(directory, 'primary.pgp'));
    for (const name of ['primary.pgp', 'subkeys.pgp']) {
      expect(statSync(join(directory, name)).mode & 0o077).toBe(0);
      expect(finding.hint.split('#')[1]).toContain(name);
    }
    await signer.examine(finding.hint.replaceAll('gpg ', 'gpg --batch '));
    expect(readFileSync(join(directory, 'primary.pgp'))).toEqual(primary);
  });

  test('is its own primary: the cure makes a subkey first, and the project file knows it', async () => {
    const alone = home.generate({ userId: 'Alone <a@example.org>', usage: 'cert,sign' });
    await init(alone);
    const signer = patient('signer');
    const finding = await signer.finding('release-key-certifies');
    const batch = "gpg --batch --yes --pinentry-mode loopback --passphrase '' ";
    await signer.isCuredBy({ ...finding, hint: finding.hint.replaceAll('gpg ', batch) });
    expect((await signer.examine()).findings).toContainEqual(
      expect.objectContaining({
        check: 'release-key',
        level: 'ok',
        text: expect.not.stringContaining(alone),
      }),
    );
  });

  test('is not here', async () => {
    const empty = new GnupgHome();
    try {
      const signer = patient('signer', empty);
      expect((await signer.finding('release-key')).level).toBe('problem');
      empty.gpg(['--import'], home.export(ada));
      expect(await signer.finding('release-key')).toMatchObject({
        level: 'problem',
        text: expect.stringContaining(empty.directory),
      });
      empty.gpg(['--import'], home.export(release));
      expect(await signer.finding('release-key')).toMatchObject({
        level: 'problem',
        text: expect.stringContaining('gpg has no secret half of it here'),
      });
    } finally {
      empty.close();
    }
  });

  test('is locked, until it is unlocked as the hint says; and is kept so by the agent’s options', async () => {
    await init(home.generate({ userId: 'Locked <l@example.org>', passphrase: 'open sesame' }));
    const signer = patient('signer');
    home.killAgent();
    // nobody has started an agent, and doctor does not
    const stopped = await signer.finding('agent');
    expect(stopped).toMatchObject({ level: 'note', hint: 'gpgconf --launch gpg-agent' });
    expect(existsSync(join(home.directory, 'S.gpg-agent'))).toBe(false);
    await signer.isCuredBy(stopped);

    // what can be asked of an agent that runs is not asked of one that does not
    const options = await signer.finding('agent-options');
    expect(options.level).toBe('note');
    for (const each of ['no-allow-loopback-pinentry', 'disable-scdaemon', 'max-cache-ttl 34560000'])
      expect(options.text).toContain(each);
    expect(options.text).not.toMatch(/auto-expand-secmem|allow-preset-passphrase/);
    await signer.isCuredBy(options);
    await signer.isCuredBy(await signer.finding('agent'));

    const locked = await signer.finding('release-key-locked');
    expect(locked).toMatchObject({
      level: 'note',
      hint: expect.stringContaining('gpg-preset-passphrase --preset'),
    });
    await signer.isCuredBy(locked, {}, 'open sesame\n');
  });

  test('without a passphrase is a note; an agent without auto-expand-secmem too', async () => {
    const signer = patient('signer');
    home.gpg(['--list-secret-keys']); // an agent runs
    expect(await signer.finding('release-key-passphrase')).toMatchObject({ level: 'note' });
    writeFileSync(join(home.directory, 'gpg-agent.conf'), '# auto-expand-secmem\n');
    await signer.isCuredBy(await signer.finding('agent-options', /auto-expand-secmem/));
  });

  test('an encryption certificate whose secret is elsewhere', async () => {
    const sealed = home.generate({ userId: 'Sealed <s@example.org>', usage: 'cert' });
    home.addSubkey(sealed, 'cv25519', 'encr');
    await init(release, '--signer-key', sealed);
    const signer = patient('signer');
    expect((await signer.examine()).findings).toContainEqual(
      expect.objectContaining({
        check: 'encryption-key',
        level: 'ok',
        text: expect.stringContaining('tried with one'),
      }),
    );
    home.gpg(['--yes', '--delete-secret-keys', sealed]);
    expect(await signer.finding('encryption-key')).toMatchObject({ level: 'warning' });
  });

  test('an encryption key that is locked: nobody could open a nonce while the signer is alone', async () => {
    const locked = home.generate({ userId: 'Locked <l@example.org>', usage: 'cert', passphrase: 'open' });
    home.gpg(['--passphrase', 'open', '--quick-add-key', locked, 'cv25519', 'encr', 'never']);
    await init(release, '--signer-key', locked);
    home.killAgent();
    const signer = patient('signer');
    // nobody has started an agent, and doctor does not
    expect(await signer.finding('encryption-key')).toMatchObject({ level: 'note' });
    home.gpg(['--list-secret-keys']);
    expect(await signer.finding('encryption-key')).toMatchObject({
      level: 'warning',
      text: expect.stringContaining('does not open a sealed nonce without a person'),
      hint: expect.stringContaining('gpg-preset-passphrase'),
    });
  });

  test('an encryption key that has expired is a problem wherever nonces are sealed or opened', async () => {
    const sealed = home.generate({ userId: 'Sealed <s@example.org>', usage: 'cert', at: '20260101T000000' });
    at('20260101T000000', '--passphrase', '', '--quick-add-key', sealed, 'cv25519', 'encr', 'never');
    await init(release, '--signer-key', sealed);
    at('20260301T000000', '--quick-set-expire', sealed, '20260401T000000', fingerprints(sealed)[1] ?? '');
    copy(sealed, 'signer.pgp');
    for (const role of ['signer', 'operator'])
      expect(await patient(role).finding('certificates')).toMatchObject({
        level: 'problem',
        text: expect.stringMatching(/mac and enrol cannot be approved: .*expired at 2026-04-01/),
      });
    const finding = await patient('signer').finding('certificates');
    await patient('signer').isCuredBy({
      ...finding,
      hint: finding.hint.replace('gpg ', "gpg --batch --passphrase '' "),
    });
  });

  test('a release key without a subkey for encryption, as the encryption certificate: which file is renewed', async () => {
    const bare = home.export(release);
    home.gpg(['--passphrase', '', '--quick-add-key', release, 'cv25519', 'encr', 'never']);
    await init(release, '--signer-key', release);
    for (const name of ['release.pgp', 'signer.pgp']) writeFileSync(join(directory, 'keys', name), bare);
    expect((await patient('operator').finding('certificates')).hint).toMatch(
      new RegExp(
        `^gpg --quick-add-key ${release} cv25519 encr 2y && gpg --export ${release} > \\S*/keys/signer\\.pgp `,
      ),
    );
  });

  test('an operator without an approver’s secret key', async () => {
    const operator = patient('operator');
    expect((await operator.examine()).findings).toContainEqual(
      expect.objectContaining({ check: 'approver-key', level: 'ok', text: expect.stringContaining(ada) }),
    );
    home.gpg(['--yes', '--delete-secret-keys', ada]);
    expect(await operator.finding('approver-key')).toMatchObject({ level: 'problem' });
  });

  test('others may look into its home', async () => {
    chmodSync(home.directory, 0o755);
    await patient('signer').isCuredBy(await patient('signer').finding('gnupg-home'));
  });
});

test('an agent, a depot and a file system that hang are said to, in bounded time', async () => {
  home.killAgent();
  const hanging = [createServer(() => {}), createServer(() => {})] as const;
  await once(hanging[0].listen(join(home.directory, 'S.gpg-agent')), 'listening');
  const port = await freePort();
  await once(hanging[1].listen(port, '127.0.0.1'), 'listening');
  // stat(1) is what waits where a network file system is gone
  writeFileSync(join(directory, 'stat'), '#!/bin/sh\nexec sleep 60\n', { mode: 0o755 });
  const env = { PATH: `${directory}:${home.env['PATH']}` };
  try {
    const [url, mount] = await Promise.all([
      patient('signer', home, '--depot', `http://127.0.0.1:${port}`).examine(),
      patient('operator', template.home, '--depot', directory).examine('', env),
    ]);
    const problems = url.findings.filter(({ level }) => level === 'problem');
    expect(problems).toMatchObject([
      { check: 'agent', hint: expect.stringMatching(/^gpgconf --kill gpg-agent/) },
      { check: 'depot', hint: expect.stringMatching(/^curl /) },
    ]);
    expect(mount.findings.find(({ check }) => check === 'depot')).toMatchObject({
      level: 'problem',
      text: `${directory} does not answer: is its file system gone?`,
    });
    expect([url.code, mount.code]).toEqual([1, 1]);
  } finally {
    for (const server of hanging) server.close();
  }
});
