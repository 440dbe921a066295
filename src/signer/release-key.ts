/** Which key signs: one of the release certificate that is here, and that gpg and we would both use now. */
import { unable, usage } from '../failure.ts';
import { keyProblem } from '../openpgp/certificate.ts';
import type { ListedKey } from '../openpgp/colons.ts';
import { secretKeys } from '../openpgp/gpg.ts';
import { isLongEnough } from '../openpgp/pass.ts';
import type { PublicKey } from '../openpgp/public-key.ts';
import type { Project } from '../policy/project.ts';
import type { Fingerprint } from '../records/names.ts';

export interface ReleaseKey {
  readonly key: PublicKey;
  /** By what gpg-agent knows it. */
  readonly keygrip: string;
  /** A key of its certificate that can certify, and whose secret half is here too: itself, or the primary. */
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
  return chooseReleaseKey(
    project,
    await secretKeys(project.release.certificate.primary.fingerprint),
    now,
    wanted,
  );
}

/**
 * The newest key of the release certificate that may sign at `now`; or `wanted`, which an intent names. What gpg
 * would refuse (expired, revoked, another purpose, a secret half elsewhere) is refused here too. `secret`: the keys
 * of the certificate whose secret half is here.
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
  const certifying = secret.find(
    (each) => !each.secretElsewhere && (each.fingerprint === primary || each.capabilities.includes('c')),
  );
  const here = new Map(secret.map((listed) => [listed.fingerprint, listed]));
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
      return { key, keygrip: listed.keygrip, certifying: certifying?.fingerprint ?? null };
    problems.push(`${key.fingerprint}: ${problem}`);
  }
  if (problems.length === 0) problems.push(`it has no key ${wanted}`);
  throw (wanted === null ? usage : unable)(
    'release-key-unusable',
    `no key of release certificate ${primary} can sign (${problems.join('; ')})`,
    'see gpg --list-secret-keys here; after a change copy the certificate to keys/ on every host',
  );
}

/** Throws unable(`release-key-changed`) if the project file names another key than the approvers allowed. */
export function requireReleaseKey({ release }: Project, allowed: Fingerprint): void {
  const { fingerprint } = release.certificate.primary;
  if (fingerprint === allowed) return;
  const message = `it was approved for release key ${allowed}, the project file now names ${fingerprint}`;
  throw unable('release-key-changed', message, 'approve it again, or restore the project file');
}
