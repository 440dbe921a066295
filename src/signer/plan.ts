/** What is to be signed, by which key, with which time: the manifest, fixed before any artifact is read (§5.5). */
import { ALGORITHM_ID } from '../openpgp/public-key.ts';
import { SignaturePass } from '../openpgp/pass.ts';
import { hashedPart } from '../openpgp/signature.ts';
import { parseManifest } from '../records/manifest.ts';
import type { Manifest } from '../records/manifest.ts';
import { timestamp, timestampDate } from '../records/names.ts';
import { manifestFile } from '../records/paths.ts';
import type { Approved } from './approval.ts';
import type { BuildHistory } from '../policy/history.ts';
import { findReleaseKey, requireReleaseKey } from './release-key.ts';
import type { ReleaseKey } from './release-key.ts';
import type { Round } from './signer.ts';
import type { Sealed } from './quorum.ts';

export interface Plan extends ReleaseKey {
  readonly manifest: Manifest;
  /** Of every signature: type, algorithm, time and issuer. */
  readonly hashedPart: Buffer;
  /** Starts the one pass over an artifact, from which both its digest and its signature come. */
  readonly newPass: () => SignaturePass;
}

/** A plan for a sealed build; its signing time is now. Throws usage (no usable key), unable. */
export async function newPlan(round: Round, { approval, sha256 }: Approved, sealed: Sealed): Promise<Plan> {
  const { project } = round;
  requireReleaseKey(project, approval.releaseKey);
  const now = round.now();
  const releaseKey = await findReleaseKey(project, now);
  const { build, version } = approval;
  return planOf(releaseKey, {
    ...{ build, project: approval.project, version },
    approval: sha256,
    statements: digestsOf(sealed),
    subjects: sealed.subjects,
    releaseKey: approval.releaseKey,
    signingKey: releaseKey.key.fingerprint,
    hash: project.release.hash,
    signedAt: timestamp(now),
  });
}

/** The same, of all the statements that agree by now: the subjects are theirs too. */
export const withStatements = (plan: Plan, sealed: Sealed): Plan => ({
  ...plan,
  manifest: { ...plan.manifest, statements: digestsOf(sealed) },
});

const digestsOf = ({ statements }: Sealed): Manifest['statements'] =>
  Object.fromEntries(statements.map(({ slot, sha256 }) => [slot, sha256]));

/** The plan that the log's intent names, with the same key and the same time. Throws usage, unable. */
export async function loggedPlan(round: Round, { build, intent }: BuildHistory): Promise<Plan> {
  if (intent === null) throw new RangeError('no intent is logged');
  const manifest = parseManifest(await round.state.kept(build, manifestFile, intent.sha256));
  return planOf(await findReleaseKey(round.project, round.now(), manifest.signingKey), manifest);
}

function planOf(releaseKey: ReleaseKey, manifest: Manifest): Plan {
  const { key } = releaseKey;
  if (key.algorithm === 'unsupported') throw new RangeError('a release key of an unsupported algorithm');
  const part = hashedPart({
    algorithmId: ALGORITHM_ID[key.algorithm],
    hash: manifest.hash,
    created: timestampDate(manifest.signedAt).getTime() / 1000,
    issuer: key.fingerprint,
  });
  return {
    ...releaseKey,
    manifest,
    hashedPart: part,
    newPass: () => new SignaturePass(key, manifest.hash, part),
  };
}
