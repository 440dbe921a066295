/**
 * What the signer's log has decided for good: the records and artifacts that a release or a refusal names by
 * their digests. For those the log's proof is the authority (protocol §4), also when tokens and times have long
 * passed: so a depot that lost some gets them back, and a copy of a depot can be made.
 */
import { Failure } from '../../failure.ts';
import { timestampDate } from '../../records/names.ts';
import type { BuildId, Sha256, Slot } from '../../records/names.ts';
import { logEntryFile, manifestFile, refusalFile, refusalProofFile } from '../../records/paths.ts';
import { releaseFile, releaseProofFile, signaturesListFile } from '../../records/paths.ts';
import type { Release } from '../../records/release.ts';
import { attempt } from '../attempt.ts';
import { verifyManifest, verifyRefusal, verifyRelease } from '../release-chain.ts';
import { verifyReleaseEntry, verifySignaturesList } from '../release-chain.ts';
import type { Verified } from '../verified.ts';
import type { View } from '../view.ts';
import type { GateRules } from './rules.ts';

export interface Decided {
  /** Digest of the approval that was acted on. */
  readonly approval: Sha256;
  /** By slot, those that the signer believed. */
  readonly statements: Readonly<Partial<Record<Slot, Sha256>>>;
  /** What was released, by digest, with sizes. */
  readonly artifacts: ReadonlyMap<Sha256, number>;
  /** The signature files that were released, `<name>.asc`, by their list's digest; null where the list is not known. */
  readonly signatures: { readonly sha256: Sha256; readonly listed: ReadonlyMap<string, Sha256> } | null;
  /** When: keys are judged as they were then. */
  readonly at: Date;
}

/** When signatures under this approval count as made: when the log decided on it, else now. */
export const judgedAt = (decided: Decided | null, approval: Sha256, now: Date): Date =>
  decided?.approval === approval ? decided.at : now;

/** What the log's proofs in the build's directory establish; null while there are none that verify. */
export async function readDecided(
  rules: GateRules,
  build: BuildId,
  directory: Pick<View, 'read'>,
): Promise<Decided | null> {
  return (await released(rules, build, directory)) ?? (await refusedByLog(rules, build, directory));
}

async function released(
  { log, name }: GateRules,
  build: BuildId,
  directory: Pick<View, 'read'>,
): Promise<Decided | null> {
  const proof = await directory.read(releaseProofFile);
  if (proof === null) return null;
  const [entry, release, manifest] = await Promise.all(
    [logEntryFile, releaseFile, manifestFile].map((file) => directory.read(file)),
  );
  if (!entry || !release || !manifest) return null;
  const named = attempt(() =>
    verifyRelease(verifyReleaseEntry(proof, entry, { ...log, quorum: 0 }), release),
  );
  if (named instanceof Failure) return null;
  const verified = attempt(() => verifyManifest(named, manifest));
  if (verified instanceof Failure || verified.build !== build || verified.project !== name) return null;
  const { approval, statements, subjects, signedAt } = verified;
  return {
    ...{ approval, statements, at: timestampDate(signedAt) },
    artifacts: new Map(subjects.map(({ sha256, size }) => [sha256, size])),
    signatures: listed(named, await directory.read(signaturesListFile)),
  };
}

function listed(release: Verified<Release>, list: Buffer | null): Decided['signatures'] {
  const signatures = list && attempt(() => verifySignaturesList(release, list));
  if (signatures === null || signatures instanceof Failure) return null;
  return { sha256: release.signatures.sha256, listed: signatures };
}

async function refusedByLog(
  { log }: GateRules,
  build: BuildId,
  directory: Pick<View, 'read'>,
): Promise<Decided | null> {
  const proof = await directory.read(refusalProofFile);
  const bytes = proof && (await directory.read(refusalFile));
  if (!proof || !bytes) return null;
  const verified = attempt(() => verifyRefusal(proof, bytes, log));
  if (verified instanceof Failure || verified.refusal.build !== build) return null;
  const { approval, time } = verified.refusal;
  return { approval, statements: {}, artifacts: new Map(), signatures: null, at: timestampDate(time) };
}
