/** The sealed nonce: what gpg seals only the signer's gpg opens, and whatever else is offered as one does no harm. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import type { Certificate } from '../../src/openpgp/certificate.ts';
import { encodePacket, parsePackets } from '../../src/openpgp/packet.ts';
import { encryptionProblem, openNonce, sealNonce } from '../../src/openpgp/sealed.ts';
import type { Fingerprint } from '../../src/records/names.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { FakePinentry } from '../harness/pinentry.ts';
import { refused as malformed } from '../../src/failure.ts';

const nonce = randomBytes(32);
let signer: GnupgHome;
let stranger: GnupgHome;
let keys: Record<'rsa' | 'cv25519' | 'release' | 'signing' | 'expired' | 'revoked' | 'locked', Fingerprint>;

/** A passphrase that takes no time. */
const WEAK = ['--passphrase', 'x', '--s2k-mode', '1'];
const fail = (text: string) => malformed('test', text);
const certificate = (key: Fingerprint): Certificate => parseCertificate(signer.export(key));
const open = (sealed: Buffer, home = signer): Promise<Buffer> =>
  openNonce(sealed, { env: home.env, pinentry: 'error' });

function encrypted(to: Fingerprint[], data: Buffer, more: readonly string[] = []): Buffer {
  const recipients = to.flatMap((key) => ['--recipient', key]);
  return signer.gpg(
    ['--trust-model', 'always', '--compress-algo', 'none', ...more, ...recipients, '--encrypt'],
    data,
  );
}

beforeAll(() => {
  [signer, stranger] = [new GnupgHome(), new GnupgHome()];
  const made = (name: string, usage = 'cert', passphrase = ''): Fingerprint =>
    signer.generate({ userId: `${name} <${name}@example.org>`, usage, passphrase });
  const subkey = (primary: Fingerprint, algorithm: string, passphrase = '') =>
    signer.gpg(['--passphrase', passphrase, '--quick-add-key', primary, algorithm, 'encr', 'never']);
  keys = {
    rsa: made('rsa'),
    cv25519: made('cv25519'),
    release: made('release'),
    signing: made('signing', 'sign'),
    expired: signer.generate({ userId: 'old', usage: 'cert', at: '20260101T000000' }),
    revoked: made('revoked'),
    locked: made('locked', 'cert', 'secret'),
  };
  subkey(keys.rsa, 'rsa3072');
  subkey(keys.cv25519, 'cv25519');
  signer.addSubkey(keys.release, 'ed25519', 'sign');
  subkey(keys.release, 'cv25519');
  const then = ['--faked-system-time', '20260101T000000!', '--passphrase', ''];
  signer.gpg([...then, '--quick-add-key', keys.expired, 'cv25519', 'encr', '2d']);
  subkey(keys.revoked, 'cv25519');
  const edit = ['--command-fd', '0', '--status-fd', '2', '--edit-key', keys.revoked];
  signer.gpg(edit, 'key 1\nrevkey\ny\n0\n\ny\nsave\n');
  subkey(keys.locked, 'cv25519', 'secret');
  signer.killAgent();
});
afterAll(() => {
  signer.close();
  stranger.close();
});

describe('a nonce sealed to the signer', () => {
  test.each(['rsa', 'cv25519', 'release'] as const)(
    '%s: opens to the same, with its key alone',
    async (name) => {
      expect(encryptionProblem(certificate(keys[name]), new Date())).toBeNull();
      const sealed = await sealNonce(nonce, certificate(keys[name]));
      expect(sealed.includes(nonce)).toBe(false);
      expect(await open(sealed)).toEqual(nonce);
      await expect(open(sealed, stranger)).rejects.toMatchObject({
        ...{
          kind: 'unable',
          code: 'nonce-locked',
          message: expect.stringContaining('the secret key is not here'),
        },
        hint: expect.stringContaining('gpg --list-secret-keys'),
      });
    },
  );

  test('and to somebody else: either opens it', async () => {
    expect(await open(encrypted([keys.rsa, keys.locked], nonce))).toEqual(nonce);
    expect(await open(encrypted([keys.locked, keys.cv25519], nonce))).toEqual(nonce);
  });

  test('a locked key: nobody is asked where nobody is to be; what to do is said; unlocked, it opens', async () => {
    const sealed = await sealNonce(nonce, certificate(keys.locked));
    await expect(open(sealed)).rejects.toMatchObject({
      kind: 'unable',
      code: 'nonce-locked',
      hint: expect.stringContaining('gpg-preset-passphrase'),
    });
    const pinentry = new FakePinentry(signer.directory, null);
    signer.configureAgent(`pinentry-program ${pinentry.program}`);
    await expect(openNonce(sealed, { env: signer.env })).rejects.toMatchObject({
      code: 'nonce-locked',
      message: expect.stringContaining('cancelled'),
    });
    expect(pinentry.heard().join('\n')).not.toContain(nonce.toString('base64'));
    const giving = new FakePinentry(signer.directory, 'secret');
    expect(await openNonce(sealed, { env: signer.env }), giving.program).toEqual(nonce);
    expect(await open(sealed), 'remembered by the agent').toEqual(nonce);
  });
});

describe('a certificate that nothing can be sealed to', () => {
  test.each([
    ['signing', /has no subkey for encryption/],
    ['expired', /^subkey [0-9A-F]{40} expired at 2026-01-03T/],
    ['revoked', /^subkey [0-9A-F]{40} has been revoked$/],
  ] as const)('%s', async (name, why) => {
    expect(encryptionProblem(certificate(keys[name]), new Date())).toMatch(why);
    await expect(sealNonce(nonce, certificate(keys[name]))).rejects.toMatchObject({
      kind: 'unable',
      code: 'gpg-failed',
    });
  });

  test('one that expires later is good until then', () => {
    expect(encryptionProblem(certificate(keys.expired), new Date('2026-01-02T00:00:00Z'))).toBeNull();
  });
});

describe('what is no sealed nonce is refused', () => {
  const refused = async (bytes: Buffer): Promise<void> =>
    expect(open(bytes)).rejects.toMatchObject({ kind: 'refused', code: 'nonce-unusable' });

  test.each(['rsa', 'cv25519'] as const)('any bit of it flipped (%s)', async (name) => {
    const sealed = await sealNonce(nonce, certificate(keys[name]));
    const { length } = sealed;
    // session key, encrypted session key, and at both ends of the encrypted part
    for (const at of [length - 1, length - 40, length - 80, length - 95]) {
      const flipped = Buffer.from(sealed);
      flipped.writeUInt8(flipped.readUInt8(at) ^ 1, at);
      await expect(open(flipped), `byte ${at} of ${length}`).rejects.toMatchObject({
        code: 'nonce-unusable',
      });
    }
  });

  test.each<[string, () => Buffer]>([
    ['nothing', () => Buffer.alloc(0)],
    ['text', () => Buffer.from('nonsense')],
    ['another length', () => encrypted([keys.rsa], Buffer.alloc(31))],
    ['twice the length', () => encrypted([keys.rsa], Buffer.alloc(64))],
    ['a compressed bomb', () => encrypted([keys.rsa], Buffer.alloc(4_000_000), ['--compress-algo', 'zlib'])],
    ['armor', () => encrypted([keys.rsa], nonce, ['--armor'])],
    ['signed too', () => encrypted([keys.rsa], nonce, ['--sign', '--local-user', keys.signing])],
    ['signed only', () => signer.gpg(['--local-user', keys.signing, '--sign'], nonce)],
    ['a passphrase', () => signer.gpg([...WEAK, '--symmetric'], nonce)],
    ['a passphrase or a key', () => encrypted([keys.rsa], nonce, [...WEAK, '--symmetric'])],
    ['a certificate', () => signer.export(keys.rsa)],
    [
      'more behind it',
      () => Buffer.concat([encrypted([keys.rsa], nonce), encodePacket(11, Buffer.from('b\0\0\0\0\0x'))]),
    ],
    [
      'another before it',
      () => Buffer.concat([encodePacket(10, Buffer.from('PGP')), encrypted([keys.rsa], nonce)]),
    ],
    [
      'no session key',
      () =>
        Buffer.concat(
          parsePackets(encrypted([keys.rsa], nonce), fail)
            .slice(1)
            .map(({ tag, body }) => encodePacket(tag, body)),
        ),
    ],
    [
      'no integrity protection',
      () =>
        Buffer.concat(
          parsePackets(encrypted([keys.rsa], nonce), fail).map(({ tag, body }) =>
            encodePacket(tag === 18 ? 9 : tag, body),
          ),
        ),
    ],
    [
      'too many session keys',
      () =>
        Buffer.concat([
          ...Array<Buffer>(60).fill(encodePacket(1, Buffer.alloc(150, 3))),
          encrypted([keys.rsa], nonce),
        ]),
    ],
  ])('%s', async (_, make) => {
    await refused(make());
  });
});
