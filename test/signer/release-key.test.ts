/** Which key signs, and that what gpg would refuse is refused. */
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import type { ListedKey } from '../../src/openpgp/colons.ts';
import { chooseReleaseKey, findReleaseKey } from '../../src/signer/release-key.ts';
import type { Project } from '../../src/policy/project.ts';
import type { Fingerprint } from '../../src/records/names.ts';
import { craftCertificate } from '../harness/craft-certificate.ts';
import { craftKey } from '../harness/craft.ts';
import { GnupgHome } from '../harness/gnupg.ts';

let home: GnupgHome;
beforeEach(() => {
  home = new GnupgHome();
  process.env['GNUPGHOME'] = home.directory;
});
afterEach(() => home.close());

const project = (key: Fingerprint): Pick<Project, 'release'> => ({
  release: { certificate: parseCertificate(home.export(key)), hash: 'sha256' },
});
const unusable = { kind: 'usage', code: 'release-key-unusable' };

describe('of a certificate with signing subkeys', () => {
  test('the newest signs, unless another is named', async () => {
    const primary = home.generate({ userId: 'Release', usage: 'cert', at: '20260101T000000' });
    const time = ['--faked-system-time', '20260102T000000!', '--passphrase', ''];
    home.gpg([...time, '--quick-add-key', primary, 'ed25519', 'sign', 'never']);
    const newest = home.addSubkey(primary, 'ed25519', 'sign');
    const found = await findReleaseKey(project(primary), new Date());
    expect(found).toMatchObject({ key: { fingerprint: newest }, keygrip: home.keygrip(newest) });

    const older = project(primary).release.certificate.keys[1]?.key.fingerprint;
    expect((await findReleaseKey(project(primary), new Date(), older)).key.fingerprint).toBe(older);
    await expect(findReleaseKey(project(primary), new Date(), primary)).rejects.toMatchObject({
      ...unusable,
      kind: 'unable',
    });
  });
});

describe('refused, with the reason', () => {
  test('a key that has expired', async () => {
    const key = home.generate({ userId: 'Release', expires: '20260201T000000', at: '20260101T000000' });
    await expect(findReleaseKey(project(key), new Date())).rejects.toThrow(/expired/);
    await expect(findReleaseKey(project(key), new Date())).rejects.toMatchObject(unusable);
  });

  test('a key that gpg knows to be revoked, though keys/ has the certificate of before', async () => {
    const key = home.generate({ userId: 'Release' });
    const before = project(key);
    const text = `${home.directory}/openpgp-revocs.d/${key}.rev`;
    home.gpg(['--import'], readFileSync(text, 'utf8').replace(':-----BEGIN', '-----BEGIN'));
    await expect(findReleaseKey(before, new Date())).rejects.toThrow(/revoked/);
  });

  test('a key that may not sign', async () => {
    const key = home.generate({ userId: 'Release', usage: 'cert' });
    await expect(findReleaseKey(project(key), new Date())).rejects.toMatchObject(unusable);
  });

  test('a key whose secret half is not here', async () => {
    const key = home.generate({ userId: 'Release' });
    const elsewhere = project(key);
    home.gpg(['--yes', '--delete-secret-keys', key]);
    await expect(findReleaseKey(elsewhere, new Date())).rejects.toThrow(/no secret half/);
  });
});

describe('what could certify with a secret of this host', () => {
  const certifying = async (of: Pick<Project, 'release'>): Promise<string | null> =>
    (await findReleaseKey(of, new Date())).certifying;
  let primary: Fingerprint;
  let subkey: Fingerprint;
  beforeEach(() => {
    primary = home.generate({ userId: 'Release', usage: 'cert' });
    subkey = home.addSubkey(primary, 'ed25519', 'sign');
  });

  test('is the primary, until it is offline', async () => {
    expect(await certifying(project(primary))).toBe(primary);
    home.takeOffline(primary);
    expect(await certifying(project(primary))).toBe(null);
  });

  test('is the primary of another certificate, if that is the same secret', async () => {
    home.takeOffline(primary);
    const grip = home.keygrip(subkey);
    const parameters = `Key-Type: eddsa\nKey-Curve: ed25519\nKey-Grip: ${grip}\nName-Real: Another`;
    home.gpg(['--full-generate-key'], `%no-protection\n${parameters}\n%commit\n`);
    const listing = home.gpg(['--with-colons', '--list-secret-keys', 'Another']).toString();
    expect(await certifying(project(primary))).toBe(/^fpr:+([0-9A-F]{40}):/m.exec(listing)?.[1]);
    // another secret of this gpg is nobody's business
    home.gpg(['--yes', '--delete-keys', '--expert', 'Another']);
    home.generate({ userId: 'Person', usage: 'cert' });
    expect(await certifying(project(primary))).toBe(null);
  });

  test('is the signing key itself, if the project’s certificate says so, whatever gpg has', () => {
    const [release, signing] = [craftKey('ed25519', 1_700_000_000), craftKey('ed25519', 1_700_000_001)];
    const listed: ListedKey = {
      ...{ fingerprint: signing.fingerprint, primary: release.fingerprint, keygrip: 'AB'.repeat(20) },
      ...{ capabilities: 's', onCard: false, secretElsewhere: false, problem: null },
    };
    const chosen = (flags: number) => {
      const binary = craftCertificate(release, { subkeys: [{ key: signing, flags }] });
      const of = { release: { certificate: parseCertificate(binary), hash: 'sha256' as const } };
      return chooseReleaseKey(of, [listed], new Date()).certifying;
    };
    expect(chosen(0x02)).toBe(null);
    expect(chosen(0x03)).toBe(signing.fingerprint);
  });
});
