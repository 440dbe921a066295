/** Certificates and signatures that gpg makes, as release engineers have them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dearmorKey } from '../../src/openpgp/armor.ts';
import { allSigningFingerprints, parseCertificate, signingKeys } from '../../src/openpgp/certificate.ts';
import { verifyDetached } from '../../src/openpgp/verify.ts';
import type { Fingerprint } from '../../src/records/names.ts';
import { GnupgHome } from '../harness/gnupg.ts';

const data = Buffer.from('release notes\n');
let home: GnupgHome;

beforeAll(() => {
  home = new GnupgHome();
});
afterAll(() => {
  home.close();
});

const certificateOf = (key: string) => parseCertificate(home.export(key));
const verdictOf = (key: string, signature: Buffer, at = new Date()) =>
  verifyDetached(signature, data, certificateOf(key), at);

describe.each(['ed25519', 'rsa2048', 'rsa3072', 'rsa4096', 'nistp256', 'nistp384', 'nistp521'])(
  '%s',
  (algorithm) => {
    let key: Fingerprint;
    beforeAll(() => {
      key = home.generate({
        userId: `${algorithm} <${algorithm}@example.org>`,
        algorithm,
        usage: 'sign,cert',
      });
    });

    test('its certificate is read, and the key may sign', () => {
      const certificate = certificateOf(key);
      expect(certificate.userIds).toEqual([`${algorithm} <${algorithm}@example.org>`]);
      expect(signingKeys(certificate, new Date()).map(({ fingerprint }) => fingerprint)).toEqual([key]);
    });

    test.each([[], ['--digest-algo', 'SHA512'], ['--armor']])(
      'its signature is good: %s %s',
      (...options) => {
        const signature = home.sign(key, data, options);
        expect(verdictOf(key, signature)).toMatchObject({ ok: true, primary: key, signingKey: key });
        expect(verifyDetached(signature, Buffer.from('other'), certificateOf(key), new Date())).toMatchObject(
          {
            ok: false,
          },
        );
      },
    );
  },
);

test('a primary key that certifies and a subkey that signs', () => {
  const primary = home.generate({ userId: 'with subkeys', usage: 'cert' });
  const encrypting = home.addSubkey(primary, 'cv25519', 'encr');
  const subkey = home.addSubkey(primary, 'rsa3072', 'sign');
  const certificate = certificateOf(primary);
  expect(certificate.keys.map(({ key }) => key.fingerprint)).toEqual([primary, encrypting, subkey]);
  expect(signingKeys(certificate, new Date()).map(({ fingerprint }) => fingerprint)).toEqual([subkey]);
  expect(allSigningFingerprints(certificate)).toEqual([primary, subkey]);
  expect(verdictOf(primary, home.sign(`${subkey}!`, data))).toMatchObject({
    ok: true,
    primary,
    signingKey: subkey,
  });
});

test('two subkeys of one person are one person', () => {
  const primary = home.generate({ userId: 'one person', usage: 'cert' });
  const subkeys = [
    home.addSubkey(primary, 'ed25519', 'sign'),
    home.addSubkey(primary, 'nistp256/ecdsa', 'sign'),
  ];
  for (const signingKey of subkeys) {
    expect(verdictOf(primary, home.sign(`${signingKey}!`, data))).toMatchObject({
      ok: true,
      primary,
      signingKey,
    });
  }
});

test('several user ids, one of them revoked', () => {
  const key = home.generate({ userId: 'Ada' });
  home.gpg(['--quick-add-uid', key, 'Ada Lovelace']);
  home.gpg(['--quick-revoke-uid', key, 'Ada']);
  expect(certificateOf(key).userIds.toSorted()).toEqual(['Ada', 'Ada Lovelace']);
  expect(verdictOf(key, home.sign(key, data))).toMatchObject({ ok: true });
});

test('an expired key: what it signed while it was valid is refused too', () => {
  const key = home.generate({ userId: 'expired', at: '20200101T000000', expires: '2020-06-01' });
  const signature = home.sign(key, data, ['--faked-system-time', '20200201T000000!']);
  expect(verdictOf(key, signature)).toMatchObject({ ok: false, code: 'key-expired' });
  expect(verdictOf(key, signature, new Date('2020-03-01T00:00:00Z'))).toMatchObject({ ok: true });
  expect(verdictOf(key, signature, new Date('2019-03-01T00:00:00Z'))).toMatchObject({
    code: 'key-not-yet-valid',
  });

  home.gpg(['--passphrase', '', '--quick-set-expire', key, '0']);
  expect(verdictOf(key, signature)).toMatchObject({ ok: true });
});

test('an expired subkey under a primary key that is not', () => {
  const primary = home.generate({ userId: 'expired subkey', usage: 'cert', at: '20200101T000000' });
  home.gpg([
    '--faked-system-time',
    '20200101T000100!',
    '--passphrase',
    '',
    '--quick-add-key',
    primary,
    'ed25519',
    'sign',
    '1y',
  ]);
  const signature = home.sign(primary, data, ['--faked-system-time', '20200201T000000!']);
  expect(verdictOf(primary, signature)).toMatchObject({ ok: false, code: 'key-expired' });
  expect(verdictOf(primary, signature, new Date('2020-03-01T00:00:00Z'))).toMatchObject({ ok: true });
});

test('a revoked key', () => {
  const key = home.generate({ userId: 'revoked' });
  const signature = home.sign(key, data);
  const file = home.revocationCertificate(key);
  home.gpg(['--import'], file);
  expect(verdictOf(key, signature)).toMatchObject({ ok: false, code: 'key-revoked' });
});

test('a revoked subkey', () => {
  const primary = home.generate({ userId: 'revoked subkey', usage: 'cert' });
  const subkey = home.addSubkey(primary, 'ed25519', 'sign');
  const signature = home.sign(`${subkey}!`, data);
  home.gpg(
    ['--no-batch', '--passphrase', '', '--command-fd', '0', '--edit-key', primary],
    'key 1\nrevkey\ny\n0\n\ny\nsave\n',
  );
  expect(verdictOf(primary, signature)).toMatchObject({ ok: false, code: 'key-revoked' });
});

test('a key certified by others: their signatures change nothing', () => {
  const key = home.generate({ userId: 'certified' });
  const other = home.generate({ userId: 'certifier', usage: 'sign,cert' });
  home.gpg(['--yes', '--local-user', other, '--quick-sign-key', key]);
  expect(verdictOf(key, home.sign(key, data))).toMatchObject({ ok: true, primary: key });
});

test('two people in one file, and a private key, are refused', () => {
  const both = home.gpg(['--export', 'certifier', 'certified']);
  expect(() => parseCertificate(both)).toThrow('more than one certificate');
  const secret = home.gpg(['--passphrase', '', '--export-secret-keys', 'certified']);
  expect(() => parseCertificate(secret)).toThrow('does not start with a public key');
});

test('an armored key file is read as the binary one is', () => {
  const armored = home.gpg(['--armor', '--comment', 'of Ada', '--export', 'certified']);
  expect(dearmorKey(armored)).toEqual(home.export('certified'));
});

test.each([
  ['SHA-1', ['--digest-algo', 'SHA1', '--allow-weak-digest-algos'], 'signature-malformed'],
  ['text mode', ['--textmode'], 'signature-malformed'],
  ['a signature that expires', ['--default-sig-expire', '1y'], 'signature-malformed'],
  ['a critical notation', ['--sig-notation', '!a@example.org=b'], 'signature-malformed'],
  ['a date in the future', ['--faked-system-time', '20990101T000000!'], 'signature-from-future'],
])('what gpg can be told to write and we refuse: %s', (_, options, code) => {
  expect(verdictOf('certified', home.sign('certified', data, options))).toMatchObject({ ok: false, code });
});

test.each([
  ['a notation', ['--sig-notation', 'a@example.org=b']],
  ['a policy URL, critical', ['--sig-policy-url', '!https://example.org']],
  ['a sender', ['--sender', 'ada@example.org']],
])('what gpg can be told to write and we take: %s', (_, options) => {
  expect(verdictOf('certified', home.sign('certified', data, options))).toMatchObject({ ok: true });
});
