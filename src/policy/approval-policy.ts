/**
 * What the project file says about an approval, whoever signed it (protocol §5 step 1: "`signer`, policy, time").
 *
 * Pure and without the log, so that `approve` can say it before anybody signs, the gate before anything is
 * kept, and the signer once more when it decides.
 */
import { Failure } from '../failure.ts';
import type {
  Approval,
  ArtifactLimits,
  EnrolBuilder,
  KeypairBuilder,
  MacBuilder,
} from '../records/approval.ts';
import { timestampDate } from '../records/names.ts';
import type { Fingerprint, Sha256, Slot } from '../records/names.ts';
import { hasWildcard, matchesAny } from '../records/pattern.ts';
import type { Reason, ReasonCode } from '../records/refusal.ts';
import { attempt } from './attempt.ts';
import { builderOf, ephemeralCertificate, ephemeralCreation, slotsOf } from './builder-key.ts';
import { digestModeOff } from './digest-mode.ts';
import { formatDuration } from './duration.ts';
import { projectSigningKeys } from './project.ts';
import type { Project, ProjectPolicy } from './project.ts';

/** Whether the approval has ended at `now`: nothing new is taken for it. */
export const isExpired = (approval: Approval, now: Date): boolean => now >= timestampDate(approval.expires);

/** What bounds the artifacts: the lower of the approval's limits and the project's, whose file may have changed since. */
export function effectiveLimits(
  policy: ProjectPolicy,
  { artifacts }: Approval,
): Omit<ArtifactLimits, 'patterns'> {
  return {
    maxCount: Math.min(artifacts.maxCount, policy.maxCount),
    maxBytes: Math.min(artifacts.maxBytes, policy.maxBytes),
    maxTotalBytes: Math.min(artifacts.maxTotalBytes, policy.maxTotalBytes),
  };
}

/** Everything in the approval that the project file does not allow at `now`. Empty: nothing. */
export function approvalProblems(project: Project, approval: Approval, now: Date): Reason[] {
  return [
    ...purposeProblems(project, approval),
    ...limitProblems(project, approval),
    ...modeProblems(project, approval),
    ...timeProblems(project, approval, now),
    ...builderProblems(project, approval),
  ];
}

/** What to do about an approval of somebody else's: look where one is. Empty for any other reasons. */
export const elsewhereHint = (reasons: readonly Reason[]): string =>
  reasons.some(({ code }) => code === 'signer' || code === 'project')
    ? 'this depot serves another project or signer: check the depot and -c'
    : '';

const reason = (code: ReasonCode, field: string, text: string): Reason => ({
  code,
  where: `approval.json: ${field}`,
  text,
});

/** Meant for this signer, this project, this release key. */
export function purposeProblems(project: Project, approval: Approval): Reason[] {
  const reasons: Reason[] = [];
  const { origin } = project.log;
  if (approval.signer !== origin)
    reasons.push(reason('signer', 'signer', `it is meant for signer ${approval.signer}, this is ${origin}`));
  if (approval.project !== project.name)
    reasons.push(reason('project', 'project', `it is for ${approval.project}, this is ${project.name}`));
  const releaseKey = project.release.certificate.primary.fingerprint;
  if (approval.releaseKey !== releaseKey)
    reasons.push(
      reason('release-key', 'releaseKey', `it names ${approval.releaseKey}, the project's is ${releaseKey}`),
    );
  return reasons;
}

/** An approval may allow less than the project's policy, never more. */
function limitProblems(project: Project, { artifacts }: Approval): Reason[] {
  const { policy } = project;
  const reasons: Reason[] = [];
  for (const limit of ['maxCount', 'maxBytes', 'maxTotalBytes'] as const)
    if (artifacts[limit] > policy[limit]) {
      const text = `${artifacts[limit]} is more than the project's ${policy[limit]}`;
      reasons.push(reason('policy-limits', `artifacts.${limit}`, text));
    }
  // A pattern without wildcards must be in the build (§2): one that the project refuses can't ever be met.
  for (const pattern of artifacts.patterns)
    if (!hasWildcard(pattern) && !matchesAny(policy.patterns, pattern))
      reasons.push(reason('policy-artifacts', 'artifacts.patterns', `the project allows no ${pattern}`));
  return reasons;
}

function modeProblems(project: Project, { mode }: Approval): Reason[] {
  const off = mode === 'digest' ? digestModeOff(project) : null;
  return off === null ? [] : [reason('policy-mode', 'mode', off)];
}

function timeProblems(project: Project, approval: Approval, now: Date): Reason[] {
  const reasons: Reason[] = [];
  const milliseconds =
    timestampDate(approval.expires).getTime() - timestampDate(approval.notBefore).getTime();
  const { maxLifetime } = project.policy;
  if (milliseconds > maxLifetime * 1000) {
    const text = `it is valid for ${formatDuration(milliseconds / 1000)}, the project allows ${formatDuration(maxLifetime)}`;
    reasons.push(reason('policy-lifetime', 'expires', text));
  }
  if (isExpired(approval, now)) reasons.push(reason('expired', 'expires', `it ended at ${approval.expires}`));
  return reasons;
}

/** As many builders as the project asks for, each of a scheme that it allows. */
function builderProblems(project: Project, approval: Approval): Reason[] {
  const { leastQuorum, schemes } = project.policy;
  const reasons: Reason[] = [];
  if (approval.quorum < leastQuorum) {
    const text = `${approval.quorum} must agree, the project asks for ${leastQuorum}`;
    reasons.push(reason('policy-quorum', 'quorum', text));
  }
  const holders = new Map<Fingerprint, string>();
  for (const key of projectSigningKeys(project)) holders.set(key, 'the project file');
  for (const slot of slotsOf(approval)) {
    const builder = builderOf(approval, slot);
    const { scheme } = builder;
    if (!schemes.includes(scheme)) {
      const text = `the project allows ${schemes.join(', ')}, not ${scheme}`;
      reasons.push(reason('policy-scheme', `builders.${slot}.scheme`, text));
    }
    if (builder.scheme !== 'keypair') reasons.push(...nonceProblems(project, approval, slot, builder));
    else reasons.push(...keyProblems(approval, slot, builder, holders));
  }
  return [...reasons, ...sharedNonces(approval)];
}

/** Two builders with one nonce would be one: either can speak for both. */
function sharedNonces(approval: Approval): Reason[] {
  const holders = new Map<Sha256, Slot>();
  return slotsOf(approval).flatMap((slot) => {
    const builder = builderOf(approval, slot);
    if (builder.scheme === 'keypair') return [];
    const holder = holders.get(builder.nonceSha256);
    holders.set(builder.nonceSha256, slot);
    if (holder === undefined) return [];
    return [
      reason('nonce-unusable', `builders.${slot}.nonceSha256`, `its nonce is that of builder ${holder}`),
    ];
  });
}

/** A key of the one shape (§6), of this approval's hour, and nobody else's; `holders` takes it in. */
function keyProblems(
  approval: Approval,
  slot: Slot,
  builder: KeypairBuilder,
  holders: Map<Fingerprint, string>,
): Reason[] {
  const field = `builders.${slot}.certificate`;
  const problem = ephemeralProblem(approval, builder);
  if (problem !== null) return [reason('key-unusable', field, problem)];
  const { fingerprint } = ephemeralCertificate(builder).primary;
  const holder = holders.get(fingerprint);
  holders.set(fingerprint, `builder ${slot}`);
  return holder === undefined ? [] : [reason('key-seen', field, `key ${fingerprint} is that of ${holder}`)];
}

/** Why this is no ephemeral key of the approval (§6); null if it is. */
export function ephemeralProblem(
  { notBefore }: Approval,
  holder: { readonly certificate: string },
): string | null {
  const certificate = attempt(() => ephemeralCertificate(holder));
  if (certificate instanceof Failure) return certificate.message;
  if (certificate.primary.created === ephemeralCreation(notBefore)) return null;
  return 'its key was not created an hour before notBefore';
}

/** Somebody to open it, and, to enrol, a time for it. */
function nonceProblems(
  { encryption }: Project,
  { notBefore, expires }: Approval,
  slot: Slot,
  builder: MacBuilder | EnrolBuilder,
): Reason[] {
  const reasons: Reason[] = [];
  if (encryption === null) {
    const text = 'the project file names no encryption certificate of the signer';
    reasons.push(reason('nonce-unusable', `builders.${slot}.sealedNonce`, text));
  }
  if (builder.scheme === 'enrol' && (builder.enrolBy <= notBefore || builder.enrolBy >= expires)) {
    const text = `${builder.enrolBy} is not between ${notBefore} and ${expires}`;
    reasons.push(reason('enrol-by', `builders.${slot}.enrolBy`, text));
  }
  return reasons;
}
