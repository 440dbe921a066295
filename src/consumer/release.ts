/**
 * The records of a release, from the log key of the project file down to what was to be signed. Protocol §7,
 * "check a release offline", and the approvals and statements that it rests on.
 */
import { refused } from '../failure.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { keyProblem } from '../openpgp/certificate.ts';
import type { PublicKey } from '../openpgp/public-key.ts';
import { MAX_SIGNATURE_BYTES } from '../openpgp/signature.ts';
import { verifyDetached } from '../openpgp/verify.ts';
import type { SignatureVerdict } from '../openpgp/verify.ts';
import { countApprovers, missingApprovers } from '../policy/approval-verdict.ts';
import { requireApproved } from '../policy/believed.ts';
import type { Project } from '../policy/project.ts';
import { verifyReleaseChain } from '../policy/release-chain.ts';
import type { ReleaseFiles, VerifiedRelease } from '../policy/release-chain.ts';
import { parseApproval } from '../records/approval.ts';
import type { Approval } from '../records/approval.ts';
import { LARGE_RECORD_MAX, RECORD_MAX } from '../records/canonical.ts';
import { timestampDate } from '../records/names.ts';
import type { Fingerprint } from '../records/names.ts';
import {
  approvalFile,
  approvalSignatureFile,
  logEntryFile,
  manifestFile,
  releaseFile,
  releaseProofFile,
  signaturesListFile,
} from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import { CHECKSUMS_FILE, formatChecksums } from '../records/signatures-list.ts';
import { PROOF_MAX, parseProof } from '../tlog/proof.ts';
import type { LogTrust } from '../tlog/proof.ts';
import { otherRecord, readRecord, readRequired, readSignature, record, requireGood } from './copy.ts';
import type { ReleaseCopy } from './copy.ts';
import { factsOf } from './facts.ts';
import { checkStatements } from './statements.ts';
import { Subjects } from './subjects.ts';
import type { Finding, ReleaseFacts } from './verdict.ts';
import { timeWarnings } from './witnesses.ts';

/** A release whose records all hold; its artifacts are looked at one by one. */
export interface CheckedRelease {
  readonly copy: ReleaseCopy;
  readonly chain: VerifiedRelease;
  /** Its artifacts and signatures, to look files up in. */
  readonly subjects: Subjects;
  /** The checkpoint of its proof, as it was signed. */
  readonly note: string;
  readonly certificate: Certificate;
  /** The key of the certificate that made every signature. */
  readonly signingKey: PublicKey;
  /** When the log took the release: the time at which its keys must have been good. */
  readonly signedBy: Date;
  readonly facts: ReleaseFacts;
  /** What is wrong unless the log's head, which contains the release, is cosigned by enough; null: its own proof is. */
  readonly unwitnessed: Finding | null;
  readonly warnings: readonly Finding[];
  readonly checked: readonly string[];
  /** What nobody but the signer can check. */
  readonly notChecked: readonly string[];
}

/** What the caller says the release must be; null: whatever it is. */
export interface Expected {
  readonly project: string | null;
  readonly version: string | null;
}

/**
 * Reads and checks the records of the release at `copy`.
 * Throws refused (its first fault), unable (`release-incomplete`, network, disk).
 */
export async function checkRelease(
  copy: ReleaseCopy,
  project: Project,
  expected: Expected,
  now: Date,
): Promise<CheckedRelease> {
  const checked: string[] = [];
  const read = (name: string, maxBytes: number): Promise<Buffer> => readRecord(copy, name, maxBytes);

  // 1. From the proof to the list of signatures, under the log key and the witnesses of the project file.
  const proof = await read(releaseProofFile, PROOF_MAX);
  const files: ReleaseFiles = {
    proof,
    logEntry: await read(logEntryFile, RECORD_MAX),
    release: await read(releaseFile, RECORD_MAX),
    manifest: await read(manifestFile, LARGE_RECORD_MAX),
    signaturesList: await read(signaturesListFile, LARGE_RECORD_MAX),
  };
  //    A quorum that its own proof does not meet may be met by the log's head: that is for whoever reads on.
  const chain = verifyReleaseChain(files, { ...project.log, quorum: 0 });
  const { manifest, entry, index, checkpoint, cosignatures } = chain;
  checked.push(`entry ${index} of the log ${project.log.origin}, in its tree of ${checkpoint.size} entries`);
  const unwitnessed = unwitnessedProof(chain, project.log);
  if (project.log.quorum > 0 && unwitnessed === null)
    checked.push(`cosignatures of ${cosignatures.length} of its witnesses, ${project.log.quorum} needed`);
  checked.push(
    `${releaseFile}, ${manifestFile} and ${signaturesListFile}, each by its digest in the one before`,
  );

  // 2. It is the release that was asked for, signed with the project's key.
  const certificate = project.release.certificate;
  requireSame('project', manifest.project, project.name);
  requireSame('project', manifest.project, expected.project);
  requireSame('version', manifest.version, expected.version);
  requireSame('release key', manifest.releaseKey, certificate.primary.fingerprint);
  const signingKey = certificate.keys.find(({ key }) => key.fingerprint === manifest.signingKey)?.key;
  if (signingKey === undefined)
    throw refused(
      'release-key',
      `it was signed by ${manifest.signingKey}, no key of the release certificate`,
    );

  // 3. Approvers of the project file allowed it. Keys are judged at the time that the log vouches for.
  const signedBy = timestampDate(entry.time);
  const approvalBytes = await read(approvalFile, RECORD_MAX);
  if (sha256Hex(approvalBytes) !== manifest.approval) throw otherRecord(approvalFile);
  const approval = parseApproval(approvalBytes);
  const approvers = await checkApprovers(copy, project, chain, approval, approvalBytes, signedBy);
  checked.push(
    `the approval, signed by ${approvers.length} of the project's approvers, ${project.threshold} needed`,
  );

  // 4. As many builders as the approval asks for stated exactly these artifacts.
  const statements = await checkStatements({ copy, chain, approval, log: project.log, at: signedBy });
  checked.push(...statements.checked);

  // 5. SHA256SUMS is what the manifest makes it, and signed.
  const checksums = await readRequired(copy, CHECKSUMS_FILE, LARGE_RECORD_MAX);
  if (!checksums.equals(formatChecksums(manifest.subjects)))
    throw refused('checksums', `${CHECKSUMS_FILE} is not the list of the artifacts in the manifest`);
  const signature = await readSignature(copy, chain.signatures, CHECKSUMS_FILE);
  requireGood(CHECKSUMS_FILE, verifyDetached(signature, checksums, certificate, signedBy));
  checked.push(
    `${CHECKSUMS_FILE} and its signature by ${manifest.signingKey}${since(certificate, signingKey, now)}`,
  );

  const facts = factsOf(project, chain, approval, approvers, statements.all);
  const judged = { logged: signedBy, certificate, key: signingKey };
  const warnings = timeWarnings(cosignatures, project.log, judged);
  const { checkpoint: note } = parseProof(proof);
  const { notChecked } = statements;
  return {
    ...{ copy, chain, subjects: new Subjects(manifest.subjects, chain.signatures), note },
    ...{ certificate, signingKey, signedBy, facts, unwitnessed, warnings },
    ...{ checked, notChecked },
  };
}

/** Too few witnesses may be no fault of the release: a project's witnesses change. */
function unwitnessedProof(
  { cosignatures }: VerifiedRelease,
  { quorum, witnesses }: LogTrust,
): Finding | null {
  if (cosignatures.length >= quorum) return null;
  return {
    code: 'witnesses-missing',
    text: `the proof of the release is cosigned by ${cosignatures.length} of ${witnesses.length} witnesses, ${quorum} needed`,
    hint: `${OTHER_PROJECT_FILE} without --offline, a cosigned head of the log that contains it will do`,
  };
}

const OTHER_PROJECT_FILE = 'is the project file of the time of this release?';

/** The approvers whom the release names, their signatures verified, enough of them and the requester among them. */
async function checkApprovers(
  copy: ReleaseCopy,
  project: Project,
  chain: VerifiedRelease,
  approval: Approval,
  bytes: Buffer,
  at: Date,
): Promise<Fingerprint[]> {
  const { release } = chain;
  requireApproved(approval, chain, project);

  const verdicts = new Map<Fingerprint, SignatureVerdict>();
  for (const certificate of project.approvers) {
    const { fingerprint } = certificate.primary;
    if (!release.approvers.includes(fingerprint)) continue;
    const name = record(approvalSignatureFile(fingerprint));
    const signature = await readRequired(copy, name, MAX_SIGNATURE_BYTES);
    verdicts.set(fingerprint, verifyDetached(signature, bytes, certificate, at));
  }
  const approvers = countApprovers(project, verdicts);
  const missing = missingApprovers(project, approval, approvers);
  if (missing !== null) throw refused('approvers', `its approval: ${missing}`, OTHER_PROJECT_FILE);
  return approvers;
}

/** A signature made in time stays good when its key expires; that it has is said. */
function since(certificate: Certificate, key: PublicKey, now: Date): string {
  const problem = keyProblem(certificate, key, now);
  return problem === null ? '' : `, made while that key was good; today: ${problem.reason}`;
}

function requireSame(what: string, actual: string, expected: string | null): void {
  if (expected === null || actual === expected) return;
  throw refused(`other-${what.replace(' ', '-')}`, `it is signed for ${what} ${actual}, not ${expected}`);
}
