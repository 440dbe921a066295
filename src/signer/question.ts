/** What a person is asked before the release key is used, as data: whoever asks shows it. */
import type { Project } from '../policy/project.ts';
import type { Fingerprint } from '../records/names.ts';
import type { Approved } from './approval.ts';
import type { Plan } from './plan.ts';
import type { SigningQuestion } from './signer.ts';
import type { Sealed } from './statement.ts';

export function signingQuestion(
  project: Project,
  { approval }: Approved,
  { slot, statement }: Sealed,
  { manifest, key }: Plan,
  approvers: readonly Fingerprint[],
): SigningQuestion {
  const { certificate } = project.release;
  return {
    build: approval.build,
    project: approval.project,
    version: approval.version,
    source: statement.source,
    artifacts: manifest.subjects.map(({ name, size }) => ({ name, size })),
    bytes: totalSize(manifest.subjects),
    builder: { slot, id: statement.builderId, command: statement.command },
    approvers: project.approvers
      .filter(({ primary }) => approvers.includes(primary.fingerprint))
      .map(({ primary, userIds }) => ({ fingerprint: primary.fingerprint, userId: userIds[0] ?? '' })),
    threshold: project.threshold,
    assurance: 'single-builder',
    releaseKey: { fingerprint: certificate.primary.fingerprint, userId: certificate.userIds[0] ?? '' },
    signingKey: key.fingerprint,
  };
}

/** Of artifacts, in bytes. */
export const totalSize = (artifacts: Iterable<{ readonly size: number }>): number => {
  let bytes = 0;
  for (const { size } of artifacts) bytes += size;
  return bytes;
};
