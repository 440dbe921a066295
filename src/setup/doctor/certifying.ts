/** A release key that can certify, on the host that signs with it. */
import type { Project } from '../../policy/project.ts';
import { problem, warning } from './finding.ts';
import type { Finding, Host } from './finding.ts';
import type { HeldKey } from './gnupg.ts';
import { keyFile } from './project-file.ts';

/** Says that it is here, and how to keep a subkey alone. */
export function certifying(host: Host, project: Project, held: readonly HeldKey[]): Finding[] {
  const { certificate } = project.release;
  const { digestMode } = project.policy;
  const primary = held.find(({ listed }) => listed.capabilities.includes('c'));
  if (primary === undefined) return [];
  const { fingerprint } = primary.listed;
  const text =
    `release key ${fingerprint} can certify, and its secret is on this host: whoever takes the host can make ` +
    'new keys that everybody believes. Keep the primary key offline, and only a subkey that signs here' +
    (digestMode ? '. Digest mode signs nothing until the primary key is off this host' : '');
  const level = digestMode ? problem : warning;
  if (primary.secret.onCard)
    return [level('release-key-certifies', text, 'give this host a card with a subkey that can only sign')];

  const subkey = held.some(({ listed }) => listed !== primary.listed && listed.capabilities.includes('s'));
  const file = keyFile(host, certificate);
  const add = `gpg --quick-add-key ${fingerprint} ed25519 sign 2y && gpg --export ${fingerprint} > ${file}`;
  const reduce =
    // gpg writes over no file of an earlier time, as a redirection would
    `gpg --output primary.pgp --export-secret-keys ${fingerprint} && ` +
    `gpg --output subkeys.pgp --export-secret-subkeys ${fingerprint} && ` +
    `gpg --delete-secret-keys ${fingerprint} && gpg --import subkeys.pgp`;
  const revocation = `openpgp-revocs.d/${fingerprint}.rev`;
  const then = `then take primary.pgp offline, with ${revocation} of this GnuPG home, and shred -u all three here, subkeys.pgp too`;
  const hint = subkey
    ? `${reduce}   # ${then}`
    : `${add} && ${reduce}   # ${then}; copy ${file} to every host`;
  return [level('release-key-certifies', text, hint)];
}
