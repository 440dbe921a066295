/**
 * Whether a project can have digest mode at all: what its file says, and its release certificate. Known before anybody
 * builds, so `approve` and `doctor` say it, and nothing is built that the signer never signs.
 */
import { signingKeys } from '../openpgp/certificate.ts';
import type { Project } from './project.ts';

/** Of the project file alone: off unless it says otherwise; the digest that is signed goes on from the statement's, which is SHA-256. */
export function digestModeOff({ policy, release }: Pick<Project, 'policy' | 'release'>): string | null {
  if (!policy.digestMode) return 'the project allows no digest mode (digest-mode)';
  if (release.hash === 'sha256') return null;
  return `digest mode signs SHA-256 alone, the project asks for ${release.hash}`;
}

/** Of the release certificate: all that may sign at `now` are ECDSA keys, whose signatures the signer cannot check without the file. */
export function onlyEcdsa({ release }: Pick<Project, 'release'>, now: Date): boolean {
  const keys = signingKeys(release.certificate, now);
  return keys.length > 0 && keys.every(({ algorithm }) => algorithm === 'ecdsa');
}
