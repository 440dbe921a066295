/** What is said of a release whose records all hold. */
import { keyFact } from '../openpgp/key-fact.ts';
import type { Project } from '../policy/project.ts';
import type { VerifiedRelease } from '../policy/release-chain.ts';
import type { Approval } from '../records/approval.ts';
import type { Fingerprint } from '../records/names.ts';
import type { Statement } from '../records/statement.ts';
import type { ReleaseFacts } from './verdict.ts';
import { sightings } from './witnesses.ts';

/** All of it verified before. */
export function factsOf(
  project: Project,
  { release, manifest, entry, index, checkpoint, cosignatures }: VerifiedRelease,
  approval: Approval,
  approvers: readonly Fingerprint[],
  statements: readonly Statement[],
): ReleaseFacts {
  const source = approval.source;
  return {
    project: manifest.project,
    version: manifest.version,
    build: manifest.build,
    artifacts: manifest.subjects.length,
    signedAt: manifest.signedAt,
    releaseKey: keyFact(project.release.certificate),
    signingKey: manifest.signingKey,
    approvers: project.approvers
      .filter(({ primary }) => approvers.includes(primary.fingerprint))
      .map(keyFact),
    requester: approval.requester,
    threshold: project.threshold,
    builders: release.builders,
    buildersNeeded: approval.quorum,
    buildersApproved: Object.keys(approval.builders).length,
    assurance: release.assurance,
    mode: approval.mode,
    source: source && { uri: source.uri, commit: source.digest.gitCommit },
    command: statements[0]?.command ?? null,
    log: { origin: project.log.origin, index, size: checkpoint.size, time: entry.time },
    witnesses: sightings(cosignatures),
    quorum: project.log.quorum,
    witnessesNamed: project.log.witnesses.length,
  };
}
