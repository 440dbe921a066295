/** Which key signs: one of the release certificate that is here, and that gpg and we would both use now. */
import { unable, usage } from '../failure.ts';
import { keyProblem } from '../openpgp/certificate.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import type { ListedKey } from '../openpgp/colons.ts';
import { allSecretKeys } from '../openpgp/gpg.ts';
import { mayCertify } from '../openpgp/key-status.ts';
import { isLongEnough } from '../openpgp/pass.ts';
import type { PublicKey } from '../openpgp/public-key.ts';
import type { Project } from '../policy/project.ts';
import type { Fingerprint } from '../records/names.ts';

export interface ReleaseKey {
  readonly key: PublicKey;
  /** By what gpg-agent knows it. */
  readonly keygrip: string;
  /**
   * A key that can certify, and whose secret half is here too: by the release certificate, or by what gpg has of that;
   * or this very secret as a key of any other certificate.
   */
  readonly certifying: Fingerprint | null;
}

/**
 * As `chooseReleaseKey`, of the secret keys that gpg has here. Throws unable too (gpg can't be asked).
 */
export async function findReleaseKey(
  project: Pick<Project, 'release'>,
  now: Date,
  wanted: Fingerprint | null = null,
): Promise<ReleaseKey> {
  return chooseReleaseKey(project, await allSecretKeys(), now, wanted);
}

/**
 * The newest key of the release certificate that may sign at `now`; or `wanted`, which an intent names. What gpg
 * would refuse (expired, revoked, another purpose, a secret half elsewhere) is refused here too. `secret`: the keys
 * that gpg has secret halves of, of other certificates too.
 * Throws `release-key-unusable` saying what is wrong with each key: usage, or, for the one that is wanted, unable,
 * as other builds may have other keys.
 */
export function chooseReleaseKey(
  { release }: Pick<Project, 'release'>,
  secret: readonly ListedKey[],
  now: Date,
  wanted: Fingerprint | null = null,
): ReleaseKey {
  const { certificate } = release;
  const primary = certificate.primary.fingerprint;
  const own = secret.filter((each) => each.primary === primary);
  const here = new Map(own.map((listed) => [listed.fingerprint, listed]));
  const candidates = certificate.keys
    .map(({ key }) => key)
    .filter(({ fingerprint }) => wanted === null || fingerprint === wanted)
    .sort((a, b) => b.created - a.created);

  const problems: string[] = [];
  for (const key of candidates) {
    const listed = here.get(key.fingerprint);
    const problem =
      keyProblem(certificate, key, now)?.reason ??
      (isLongEnough(release.hash, key) ? null : `${key.curve} needs hash = "sha512" in the project file`) ??
      (listed ? listed.problem : 'gpg has no secret half of it here');
    if (listed && problem === null)
      return { key, keygrip: listed.keygrip, certifying: certifyingKey(certificate, secret, listed) };
    problems.push(`${key.fingerprint}: ${problem}`);
  }
  if (problems.length === 0) problems.push(`it has no key ${wanted}`);
  throw (wanted === null ? usage : unable)(
    'release-key-unusable',
    `no key of release certificate ${primary} can sign (${problems.join('; ')})`,
    'see gpg --list-secret-keys here; after a change copy the certificate to keys/ on every host',
  );
}

/** A key that can certify with a secret of this host, of the chosen key's certificate or with its very secret; or null. */
function certifyingKey(
  { primary, keys }: Certificate,
  secret: readonly ListedKey[],
  chosen: ListedKey,
): Fingerprint | null {
  // by what consumers go by, whatever gpg here has imported of it
  const certifying = new Set(keys.filter(mayCertify).map(({ key }) => key.fingerprint));
  const found = secret.find((each) => {
    const can =
      each.fingerprint === each.primary ||
      each.capabilities.includes('c') ||
      certifying.has(each.fingerprint);
    const isHere = each.primary === primary.fingerprint && !each.secretElsewhere;
    return can && (isHere || each.keygrip === chosen.keygrip);
  });
  return found?.fingerprint ?? null;
}

/** Throws unable(`release-key-changed`) if the project file names another key than the approvers allowed. */
export function requireReleaseKey({ release }: Project, allowed: Fingerprint): void {
  const { fingerprint } = release.certificate.primary;
  if (fingerprint === allowed) return;
  const message = `it was approved for release key ${allowed}, the project file now names ${fingerprint}`;
  throw unable('release-key-changed', message, 'approve it again, or restore the project file');
}
