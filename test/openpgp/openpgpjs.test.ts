/** Another implementation reads what we write, and we read what it writes. */
import * as openpgp from 'openpgp';
import type { KeyOptions, PrivateKey } from 'openpgp';
import { expect, test } from 'vitest';
import { decodeArmor } from '../../src/openpgp/armor.ts';
import { parseCertificate, signingKeys } from '../../src/openpgp/certificate.ts';
import { makeEphemeral, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { parseSignature } from '../../src/openpgp/signature.ts';
import { verifyDetached } from '../../src/openpgp/verify.ts';
import { craftKey, craftSignature, nowSeconds } from '../harness/craft.ts';
import type { CraftKind } from '../harness/craft.ts';
import { craftCertificate } from '../harness/craft-certificate.ts';

const data = Buffer.from('between implementations\n');
const userIDs = [{ name: 'Ada', email: 'ada@example.org' }];
const hourAgo = nowSeconds() - 3600;

/** Whether openpgp.js accepts the signature, and by which key. */
async function theirVerdict(certificate: Buffer, signature: Buffer): Promise<string> {
  const { signatures } = await openpgp.verify({
    message: await openpgp.createMessage({ binary: data }),
    signature: await openpgp.readSignature({ binarySignature: signature }),
    verificationKeys: await openpgp.readKey({ binaryKey: certificate }),
  });
  const [only, ...more] = signatures;
  expect(more).toEqual([]);
  await only?.verified;
  return only?.keyID.toHex().toUpperCase() ?? '';
}

test('openpgp.js verifies the statement of an ephemeral key', async () => {
  const { certificate, secretKey } = makeEphemeral({ userId: 'build 1 slot b1', created: hourAgo });
  const secret = parseEphemeralSecret(secretKey);
  const signature = secret.sign(data, nowSeconds());
  expect(await theirVerdict(certificate, signature)).toBe(secret.fingerprint.slice(-16));
});

test('openpgp.js reads the private half and signs with it; its certificate is ours', async () => {
  const { certificate, secretKey } = makeEphemeral({ userId: 'build 1 slot b1', created: hourAgo });
  const signingKeys = await openpgp.readPrivateKey({ binaryKey: secretKey });
  const signature = await signDetached(signingKeys);
  expect(verifyDetached(signature, data, parseCertificate(certificate), new Date())).toMatchObject({
    ok: true,
  });
  expect(Buffer.from(signingKeys.toPublic().write()).length).toBe(certificate.length);
});

test.each<CraftKind>(['ed25519', 'rsa2048', 'p256'])(
  'openpgp.js verifies our re-written signature by %s',
  async (kind) => {
    const key = craftKey(kind, hourAgo);
    const signature = parseSignature(craftSignature(key, data)).rewritten;
    expect(await theirVerdict(craftCertificate(key), signature)).toBe(key.keyId);
  },
);

type Options = Omit<KeyOptions, 'userIDs'>;

/** One key, without subkeys unless told. */
const makeKey = (options: Options) =>
  openpgp.generateKey({ subkeys: [], ...options, userIDs, format: 'object' });

const makers: Record<string, Options> = {
  'Ed25519 without subkeys': { type: 'ecc', curve: 'ed25519Legacy' },
  'Ed25519 with a subkey that signs': { type: 'ecc', curve: 'ed25519Legacy', subkeys: [{ sign: true }] },
  'P-256 with an encryption subkey': { type: 'ecc', curve: 'nistP256', subkeys: [{}] },
  'P-384': { type: 'ecc', curve: 'nistP384' },
  'P-521': { type: 'ecc', curve: 'nistP521' },
  'RSA 2048': { type: 'rsa', rsaBits: 2048 },
};

async function signDetached(signingKeys: PrivateKey): Promise<Buffer> {
  const message = await openpgp.createMessage({ binary: data });
  return Buffer.from(await openpgp.sign({ message, signingKeys, detached: true, format: 'binary' }));
}

test.each(Object.entries(makers))(
  'we read its certificate and verify its signature: %s',
  async (_, options) => {
    const { privateKey } = await makeKey(options);
    const certificate = parseCertificate(Buffer.from(privateKey.toPublic().write()));
    const primary = privateKey.getFingerprint().toUpperCase();
    expect(certificate.primary.fingerprint).toBe(primary);
    expect(certificate.userIds).toEqual(['Ada <ada@example.org>']);
    expect(signingKeys(certificate, new Date()).length).toBeGreaterThan(0);

    const signature = await signDetached(privateKey);
    expect(verifyDetached(signature, data, certificate, new Date())).toMatchObject({ ok: true, primary });
    expect(verifyDetached(signature, Buffer.alloc(1), certificate, new Date())).toMatchObject({
      code: 'signature-bad',
    });
  },
);

test('we read its armor', async () => {
  const { privateKey } = await makeKey({ type: 'ecc', curve: 'ed25519Legacy' });
  const message = await openpgp.createMessage({ binary: data });
  const armored = await openpgp.sign({ message, signingKeys: privateKey, detached: true, format: 'armored' });
  expect(parseSignature(Buffer.from(armored)).algorithm).toBe('eddsa');
  expect(decodeArmor(Buffer.from(armored), 'PGP SIGNATURE').readUInt8() & 0x80).toBe(0x80);
});

test('an expired key of its making is refused', async () => {
  const date = new Date(Date.now() - 3_600_000);
  const { privateKey } = await makeKey({ type: 'ecc', curve: 'ed25519Legacy', keyExpirationTime: 60, date });
  const message = await openpgp.createMessage({ binary: data });
  const signed = await openpgp.sign({
    message,
    signingKeys: privateKey,
    detached: true,
    format: 'binary',
    date,
  });
  const certificate = parseCertificate(Buffer.from(privateKey.toPublic().write()));
  const verdict = verifyDetached(Buffer.from(signed), data, certificate, new Date());
  expect(verdict).toMatchObject({ ok: false, code: 'key-expired' });
});

test('an Ed25519 key of algorithm 27 is refused: what is released today does not verify it', async () => {
  const { privateKey } = await makeKey({ type: 'curve25519' });
  const problem = { code: 'certificate-malformed', message: expect.stringContaining('algorithm 27') };
  const binary = Buffer.from(privateKey.toPublic().write());
  expect(() => parseCertificate(binary)).toThrow(expect.objectContaining(problem));
});
