/** What we ask gpg: keys and their problems, certificates, an approver's signature. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import { parseColons } from '../../src/openpgp/colons.ts';
import { detachSign, exportCertificate, secretKeys, secretKeysHere } from '../../src/openpgp/gpg.ts';
import { verifyDetached } from '../../src/openpgp/verify.ts';
import type { Fingerprint } from '../../src/records/names.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { FakePinentry } from '../harness/pinentry.ts';

const DATA = Buffer.from('{"an":"approval"}');
const home = new GnupgHome();
afterAll(() => home.close());

const problemsOf = async (primary: Fingerprint): Promise<(string | null)[]> =>
  (await secretKeys(primary, home.env)).map(({ problem }) => problem);

test('no gpg is said, with what to install', async () => {
  await expect(secretKeysHere([], { PATH: '/nonexistent' })).rejects.toMatchObject({
    code: 'gpg-missing',
    hint: expect.stringContaining('gnupg'),
  });
});

describe('exportCertificate', () => {
  const ada = home.generate({ userId: 'Ada Export <ada@export.example>' });
  home.generate({ userId: 'Ben Export <ben@export.example>' });

  test.each([ada, `0x${ada}`, 'ada@export.example'])('finds the one certificate of %s', async (name) => {
    const certificate = parseCertificate(await exportCertificate(name, home.env));
    expect(certificate.primary.fingerprint).toBe(ada);
  });

  test('says when there is none, or more than one', async () => {
    await expect(exportCertificate('0'.repeat(40), home.env)).rejects.toMatchObject({
      kind: 'usage',
      code: 'key-not-found',
    });
    await expect(exportCertificate('--version', home.env)).rejects.toMatchObject({ code: 'key-not-found' });
    await expect(exportCertificate('export.example', home.env)).rejects.toMatchObject({
      kind: 'usage',
      code: 'key-ambiguous',
    });
  });

  test('leaves out what others and old selves have signed', async () => {
    home.gpg(['--yes', '--local-user', 'ben@export.example', '--quick-sign-key', ada]);
    const before = home.export(ada).length;
    expect((await exportCertificate(ada, home.env)).length).toBeLessThan(before);
  });
});

describe('the keys of a release certificate', () => {
  const primary = home.generate({ userId: 'Release', usage: 'cert' });
  const signing = home.addSubkey(primary, 'ed25519', 'sign');
  home.addSubkey(primary, 'cv25519', 'encr');

  test('are listed with what they may do, and why they may not sign', async () => {
    const keys = await secretKeys(primary, home.env);
    expect(keys.map(({ capabilities, problem }) => [capabilities, problem])).toEqual([
      ['c', 'may not sign'],
      ['s', null],
      ['e', 'may not sign'],
    ]);
    expect(keys.filter(({ problem }) => problem === null)).toEqual([
      {
        fingerprint: signing,
        primary,
        keygrip: home.keygrip(signing),
        capabilities: 's',
        onCard: false,
        secretElsewhere: false,
        problem: null,
      },
    ]);
  });

  test('and a primary that is kept offline is not here', async () => {
    const signer = new GnupgHome();
    signer.gpg(['--import'], home.gpg(['--export-secret-subkeys', primary]));
    const keys = await secretKeys(primary, signer.env);
    expect(keys[0]).toMatchObject({ fingerprint: primary, capabilities: 'c', secretElsewhere: true });
    expect(await secretKeysHere([primary], signer.env)).toEqual([primary]);
    signer.close();
  });
});

describe('a key does not sign that', () => {
  test('has expired', async () => {
    const key = home.generate({ userId: 'expired', at: '20200101T000000', expires: 'seconds=86400' });
    expect(await problemsOf(key)).toEqual(['has expired']);
    await expect(detachSign({ localUser: key, data: DATA }, home.env)).rejects.toMatchObject({
      kind: 'unable',
    });
  });

  test('is a subkey of a key that has expired', async () => {
    const at = '20200101T000000';
    const key = home.generate({ userId: 'expired with subkey', usage: 'cert', at, expires: 'seconds=86400' });
    home.gpg([
      '--faked-system-time',
      `${at}!`,
      '--passphrase',
      '',
      '--quick-add-key',
      key,
      'ed25519',
      'sign',
    ]);
    expect(await problemsOf(key)).toEqual(['has expired', 'has expired']);
  });

  test('is revoked', async () => {
    const key = home.generate({ userId: 'revoked' });
    home.revoke(key);
    expect(await problemsOf(key)).toEqual(['is revoked']);
    expect(await secretKeysHere([key], home.env)).toEqual([]);
  });

  test('is disabled', async () => {
    const key = home.generate({ userId: 'disabled' });
    home.gpg(['--edit-key', key, 'disable', 'save']);
    expect(await problemsOf(key)).toEqual(['is disabled']);
  });
});

describe('detachSign', () => {
  const key = home.generate({ userId: 'approver' });

  test('makes a binary signature that our verifier accepts, whatever gpg.conf says', async () => {
    const odd = new GnupgHome();
    odd.gpg(['--import'], home.gpg(['--export-secret-keys', key]));
    const conf = [
      'armor',
      'textmode',
      'digest-algo SHA1',
      'default-sig-expire 1d',
      'comment hello',
      'verbose',
    ];
    writeFileSync(join(odd.directory, 'gpg.conf'), `${conf.join('\n')}\n`);
    const signature = await detachSign({ localUser: key, data: DATA }, odd.env);
    odd.close();
    const certificate = parseCertificate(home.export(key));
    expect(verifyDetached(signature, DATA, certificate, new Date())).toMatchObject({
      ok: true,
      signingKey: key,
      hash: 'sha512',
    });
  });

  test('says that the secret key is not here', async () => {
    const other = new GnupgHome();
    other.gpg(['--import'], home.export(key));
    await expect(detachSign({ localUser: key, data: DATA }, other.env)).rejects.toMatchObject({
      kind: 'unable',
      code: 'agent-no-key',
    });
    other.close();
  });

  test('asks for the passphrase as gpg does, and takes cancel for an answer', async () => {
    const locked = new GnupgHome();
    const lockedKey = locked.generate({ userId: 'locked', passphrase: 'sesame' });
    locked.configureAgent(`pinentry-program ${new FakePinentry(locked.directory, null).program}`);
    await expect(detachSign({ localUser: lockedKey, data: DATA }, locked.env)).rejects.toMatchObject({
      code: 'agent-cancelled',
    });
    locked.configureAgent(`pinentry-program ${new FakePinentry(locked.directory, 'wrong').program}`);
    await expect(detachSign({ localUser: lockedKey, data: DATA }, locked.env)).rejects.toMatchObject({
      code: 'agent-locked',
      message: expect.stringMatching(/^wrong passphrase/),
    });
    const pinentry = new FakePinentry(locked.directory, 'sesame');
    const env = { ...locked.env, GPG_TTY: '/dev/pts/4321', COUNTERSIGN_TICKET: 'ours alone' };
    expect(await detachSign({ localUser: lockedKey, data: DATA }, env)).toBeInstanceOf(Buffer);
    expect(pinentry.heard()).toContain('OPTION ttyname=/dev/pts/4321');
    expect(pinentry.heard().join('\n')).not.toContain('ours alone');
    locked.close();
  });
});

test('keys on cards, and keys of versions that we do not use, in a listing', () => {
  const fingerprint = 'A'.repeat(40);
  const record = (type: string, token: string) =>
    `${type}:u:255:22:AAAAAAAAAAAAAAAA:1::::::sSC:::${token}::ed25519:::0:`;
  const about = (fpr: string) => `fpr:::::::::${fpr}:\ngrp:::::::::${'B'.repeat(40)}:\n`;
  const card = `${record('sec', 'D2760001240100000006123456780000')}\n${about(fingerprint)}uid:u::::1::x::me:\n`;
  expect(parseColons(card)).toMatchObject([{ fingerprint, onCard: true, problem: null }]);
  expect(parseColons(`${record('sec', '+')}\n${about('A'.repeat(64))}`)).toEqual([]);
  expect(parseColons('')).toEqual([]);
});
