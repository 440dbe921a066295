/** Steps 6 and 7 of protocol §5: the intent, the signatures, the release. */
import { unable } from '../failure.ts';
import type { Passed } from '../openpgp/pass.ts';
import { encodeSignature, parseSignature } from '../openpgp/signature.ts';
import { builderOf, slotsOf } from '../policy/builder-key.ts';
import { assuranceOf } from '../records/assurance.ts';
import { encodeManifest } from '../records/manifest.ts';
import { timestamp } from '../records/names.ts';
import type { Sha256 } from '../records/names.ts';
import { manifestFile, releaseFile, signaturesListFile } from '../records/paths.ts';
import { encodeRelease } from '../records/release.ts';
import { formatChecksums, formatSignaturesList } from '../records/signatures-list.ts';
import { sha256Hex } from '../records/sha256.ts';
import { inParallel } from '../tree/parallel.ts';
import { countAgain } from './approval.ts';
import type { Approved } from './approval.ts';
import { withStatements } from './plan.ts';
import type { Plan } from './plan.ts';
import { sealedSince } from './quorum.ts';
import type { Sealed } from './quorum.ts';
import { refuse } from './refuse.ts';
import { findReleaseKey, requireReleaseKey } from './release-key.ts';
import { Stop } from './result.ts';
import { endIfRevoked } from './revocation.ts';
import { endIfStolen } from './second-key.ts';
import { Signatures } from './signatures.ts';
import type { Round } from './signer.ts';
import { spoilt } from './spoilt.ts';
import { unfitForMode } from './states.ts';
import { disallowed } from './vouched.ts';

/** Signatures under way: enough that the agent never waits for us, who check and keep what it has made. */
const AT_ONCE = 32;

/**
 * Step 6. Looks for statements and enrolments that came meanwhile, counts the approvers again, keeps the manifest, logs the intent:
 * after that the release key may be used, for the manifest of the plan that is returned only. Or why not. Throws unable.
 */
export async function declareIntent(
  round: Round,
  approved: Approved,
  before: Sealed,
  planned: Plan,
): Promise<Plan | Stop> {
  const sealed = await sealedSince(round, approved, before);
  if (sealed instanceof Stop) return sealed;
  const plan = withStatements(planned, sealed);
  const { build, project, version } = plan.manifest;
  const current = await round.loadProject();
  requireReleaseKey(current, plan.manifest.releaseKey);
  const not = await disallowed(round, current, approved);
  if (not) return not;
  // Hours may have passed over the question and the artifacts: the key must still be one that may sign.
  const releaseKey = await findReleaseKey(current, round.now(), plan.manifest.signingKey);
  const unfit = unfitForMode(approved.approval, releaseKey);
  if (unfit) return spoilt(round, approved, unfit);
  const counted = await countAgain(round, current, approved);
  if (counted.missing !== null) return new Stop('waiting', 'built', 'approval-waits', counted.missing);
  // A build that had expired has lost its version to another, though the clock may say by now that it has not.
  const holder = round.state.journal.history.holder(project, version);
  if (holder !== null && holder.build !== build) {
    const text = `${project} ${version} is bound to build ${holder.build}`;
    return refuse(round, approved, [{ code: 'version-taken', where: 'approval.json: version', text }]);
  }
  const stolen = await endIfStolen(round, approved);
  if (stolen) return stolen;
  const revoked = await endIfRevoked(round, plan.manifest);
  if (revoked) return revoked;
  const manifest = encodeManifest(plan.manifest);
  await round.state.write(build, manifestFile, manifest);
  await Signatures.discard(round.state, build);
  await round.state.journal.append({
    type: 'intent',
    time: timestamp(round.now()),
    ...{ build, project, version },
    records: { [manifestFile]: sha256Hex(manifest), ...counted.records },
    keys: [],
  });
  return plan;
}

/**
 * Step 7. Signs what is not signed yet, artifacts and SHA256SUMS, and logs the release when every signature is
 * on the disk: then null; else why none of them leaves, as approvers have revoked the build by then. `passed` holds
 * every artifact of the manifest, verified; the session has it while signing goes on, and for the next round if it is
 * broken off. Throws unable.
 */
export async function signRelease(
  round: Round,
  plan: Plan,
  passed: ReadonlyMap<Sha256, Passed>,
): Promise<Stop | null> {
  const { manifest } = plan;
  // an ECDSA signature can be checked once after a pass (`Passed`)
  if (plan.key.algorithm !== 'ecdsa') round.session.verified = { build: manifest.build, passed };
  const checksums = plan.newPass();
  checksums.update(formatChecksums(manifest.subjects));
  const signatures = await Signatures.open(round.state, manifest.build);
  try {
    const all = [...passed.values(), checksums.finish()];
    const kept = all.filter(({ sha256 }) => signatures.get(sha256) !== null).length;
    if (kept > 0) {
      const text = `${kept} of ${all.length} signatures (with SHA256SUMS) are made already`;
      round.report({ kind: 'note', build: manifest.build, text });
    }
    let done = 0;
    await inParallel(all, AT_ONCE, async (one) => {
      await signOne(round, plan, signatures, one);
      round.report({ kind: 'signing', build: manifest.build, done: ++done, signatures: all.length });
    });
    await signatures.sync();
    const revoked = await logRelease(round, plan, signatures);
    round.session.verified = null;
    return revoked;
  } finally {
    await signatures.close();
  }
}

/** One signature: the one that is kept, or a new one. Either must be the key's, over the digest of this pass. */
async function signOne(round: Round, plan: Plan, signatures: Signatures, passed: Passed): Promise<void> {
  const kept = signatures.get(passed.sha256);
  if (kept !== null) {
    const { hashedPart, mpis } = parseSignature(kept);
    if (hashedPart.equals(plan.hashedPart) && passed.check(mpis)) return;
    throw unable('state-damaged', `the signature kept of ${passed.sha256} is not the release key's`);
  }
  const { keygrip } = plan;
  const { hash, project, version } = plan.manifest;
  const digest = passed.signatureDigest;
  const mpis = await round.session.agent.sign({ keygrip, hash, digest, what: `${project} ${version}` });
  if (!passed.check(mpis))
    throw unable('agent-wrong-signature', 'gpg-agent made a signature that does not verify', 'try again');
  await signatures.add(passed.sha256, encodeSignature(plan.hashedPart, passed.signatureDigest, mpis));
}

/** Every signature is there (§1 rule 5): the records that say so, then the entry. */
async function logRelease(round: Round, { manifest }: Plan, signatures: Signatures): Promise<Stop | null> {
  const { build, project, version } = manifest;
  const files = signatures.files(manifest.subjects);
  const list = formatSignaturesList(new Map([...files].map(([name, bytes]) => [name, sha256Hex(bytes)])));
  const { intent } = round.state.journal.history.build(build) ?? { intent: null };
  if (intent === null) throw new RangeError('a release without an intent');
  const approval = await round.state.approval(build, manifest.approval);
  const believed = slotsOf(approval).filter((slot) => manifest.statements[slot] !== undefined);
  const release = encodeRelease({
    ...{ build, project, version },
    manifest: intent.sha256,
    signatures: { count: files.size, sha256: sha256Hex(list) },
    builders: Object.fromEntries(believed.map((slot) => [slot, builderOf(approval, slot).scheme])),
    approvers: [...intent.approvers].sort(),
    assurance: assuranceOf(approval),
  });
  await round.state.write(build, signaturesListFile, list);
  await round.state.write(build, releaseFile, release);
  // Until the entry is on the disk a revocation wins.
  const revoked = await endIfRevoked(round, manifest);
  if (revoked) return revoked;
  await round.state.journal.append({
    type: 'release',
    time: timestamp(round.now()),
    ...{ build, project, version },
    records: { [releaseFile]: sha256Hex(release), [manifestFile]: intent.sha256 },
    keys: [],
  });
  return null;
}
