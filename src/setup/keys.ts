/** The certificates of a new project: got from gpg or a file, and believed once our reading and gpg's agree. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unable, usage } from '../failure.ts';
import { readFileBounded } from '../host/files.ts';
import { run } from '../host/process.ts';
import { dearmorKey } from '../openpgp/armor.ts';
import { keyProblem, MAX_CERTIFICATE_BYTES, parseCertificate, signingKeys } from '../openpgp/certificate.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { parseColons } from '../openpgp/colons.ts';
import type { ListedKey } from '../openpgp/colons.ts';
import { exportCertificate } from '../openpgp/gpg.ts';
import { encryptionProblem } from '../openpgp/sealed.ts';

/** Armor makes a certificate a third longer. */
const MAX_KEY_FILE = 2 * MAX_CERTIFICATE_BYTES;

/**
 * The certificate that `named` says: a fingerprint that gpg knows here, or a key file, binary or armored.
 * `role` is for messages: `release key`. Throws usage: `key-not-found`, `key-malformed`.
 */
export async function loadCertificate(named: string, role: string): Promise<Certificate> {
  const fingerprint = named.replace(/^0x|\s/gi, '').toUpperCase();
  const bytes = /^[0-9A-F]{40}$/.test(fingerprint)
    ? await exportCertificate(fingerprint)
    : await readFileBounded(named, MAX_KEY_FILE);
  if (bytes === null)
    throw usage(
      'key-not-found',
      `${role}: '${named}' is neither a fingerprint of 40 hex digits nor a file`,
      'gpg --list-keys shows fingerprints',
    );
  try {
    return parseCertificate(dearmorKey(bytes));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw usage(
      'key-malformed',
      `${role} ${named}: ${why}`,
      'gpg --export --armor FPR writes a good one',
      error,
    );
  }
}

/**
 * Checks that a certificate has a key that may sign now, by our reading and by gpg's.
 * Throws usage `key-unusable`, which says why.
 */
export async function checkCanSign(certificate: Certificate, role: string, now: Date): Promise<void> {
  const { fingerprint } = certificate.primary;
  const ours = signingKeys(certificate, now).map((key) => key.fingerprint);
  if (ours.length === 0) {
    const reasons = certificate.keys.map(({ key }) => keyProblem(certificate, key, now)?.reason ?? '');
    throw usage(
      'key-unusable',
      `${role} ${fingerprint} cannot sign: ${reasons.join('; ')}`,
      'use another key',
    );
  }
  const theirs = (await showKeys(certificate))
    .filter((key) => key.problem === null)
    .map((key) => key.fingerprint);
  if (ours.every((key) => theirs.includes(key))) return;
  throw usage('key-unusable', `${role} ${fingerprint}: gpg would not sign with it`, 'see gpg --list-keys');
}

/** Checks that nonces can be sealed to the certificate now. Throws usage `key-unusable`, which says why. */
export function checkCanEncrypt(certificate: Certificate, now: Date): void {
  const problem = encryptionProblem(certificate, now);
  if (problem === null) return;
  const { fingerprint } = certificate.primary;
  throw usage(
    'key-unusable',
    `signer key ${fingerprint}: ${problem}`,
    `give it a subkey that encrypts: gpg --quick-add-key ${fingerprint} cv25519 encr 2y; or name another key`,
  );
}

/** What gpg says about a certificate, in a home of its own: the caller's keyring and options have no part in it. */
async function showKeys(certificate: Certificate): Promise<ListedKey[]> {
  const home = await mkdtemp(join(tmpdir(), 'countersign-'));
  try {
    const options = ['--homedir', home, '--batch', '--no-tty', '--no-options', '--no-autostart'];
    const result = await run('gpg', [...options, '--with-colons', '--with-keygrip', '--show-keys'], {
      input: certificate.bytes,
      timeoutMs: 60_000,
      maxOutput: 16 * 1024 * 1024,
    });
    if (result.code !== 0)
      throw unable(
        'gpg-failed',
        `gpg --show-keys: ${result.stderr.toString().trim()}`,
        'see whether gpg works',
      );
    return parseColons(result.stdout.toString());
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}
