/**
 * The records of a release, read from its build and verified again: what goes under `countersign/`, so that every
 * check can be repeated from the release alone. Protocol §3.
 */
import { Failure, refused } from '../../failure.ts';
import type { Certificate } from '../../openpgp/certificate.ts';
import { verifyDetached } from '../../openpgp/verify.ts';
import type { SignatureVerdict } from '../../openpgp/verify.ts';
import { countApprovers, missingApprovers } from '../../policy/approval-verdict.ts';
import { believedBuilders, requireApproved } from '../../policy/believed.ts';
import { builderCertificate, builderOf, ephemeralCertificate } from '../../policy/builder-key.ts';
import { envelopeProblem } from '../../policy/envelope.ts';
import { loggedApproval } from '../../policy/logged.ts';
import type { Project } from '../../policy/project.ts';
import type { VerifiedRelease } from '../../policy/release-chain.ts';
import { provenEnrolment } from '../../policy/slot-key.ts';
import type { ProvenEnrolment } from '../../policy/slot-key.ts';
import type { Approval } from '../../records/approval.ts';
import { timestampDate } from '../../records/names.ts';
import type { BuildId, Fingerprint, Slot } from '../../records/names.ts';
import { VARIANTS, approvalFile, approvalSignatureFile, buildPath } from '../../records/paths.ts';
import { enrolmentFile, enrolmentMacFile, enrolmentReceiptFile } from '../../records/paths.ts';
import { enrolmentSignatureFile, statementAuthenticatorFile } from '../../records/paths.ts';
import { statementEnvelopeFile, statementFile, statementSignatureFile } from '../../records/paths.ts';
import { sha256Hex } from '../../records/sha256.ts';
import type { Tree } from '../tree.ts';

/** By name below `countersign/`. */
export type Records = Map<string, Buffer>;

/** The files of one build. */
export class BuildFiles {
  readonly #tree: Pick<Tree, 'read'>;
  readonly #build: BuildId;

  constructor(tree: Pick<Tree, 'read'>, build: BuildId) {
    this.#tree = tree;
    this.#build = build;
  }

  read(file: string): Promise<Buffer | null> {
    return this.#tree.read(buildPath(this.#build, file));
  }

  /** Throws refused('release-incomplete') if it is not there (yet). */
  async need(file: string): Promise<Buffer> {
    const bytes = await this.read(file);
    if (bytes) return bytes;
    throw incomplete(`build ${this.#build} has no ${file}`);
  }
}

export const incomplete = (problem: string): Failure =>
  refused('release-incomplete', problem, 'send what is missing, then sign or sync again');

/**
 * The approval with the signatures of its approvers, and the statements with theirs.
 * Throws refused('release-incomplete' | 'threshold' | 'signature-invalid' | 'chain-broken'), and as `requireApproved` and `believedBuilders`.
 */
export async function readRecords(
  files: BuildFiles,
  chain: VerifiedRelease,
  project: Project,
): Promise<Records> {
  const { manifest } = chain;
  const bytes = await files.need(approvalFile);
  const approval = loggedApproval(bytes, manifest.approval);
  requireApproved(approval, chain, project);
  // when the signer decided: that a key has expired since makes no signature of it false
  const decided = timestampDate(manifest.signedAt);
  const records: Records = new Map([[approvalFile, bytes]]);

  const verdicts = new Map<Fingerprint, SignatureVerdict>();
  for (const certificate of project.approvers) {
    const name = approvalSignatureFile(certificate.primary.fingerprint);
    const signature = await files.read(name);
    if (!signature) continue;
    const verdict = verifyDetached(signature, bytes, certificate, decided);
    verdicts.set(certificate.primary.fingerprint, verdict);
    if (verdict.ok) records.set(name, signature);
  }
  const missing = missingApprovers(project, approval, countApprovers(project, verdicts));
  if (missing !== null) throw refused('threshold', `build ${approval.build}: ${missing}`);

  for (const slot of believedBuilders(chain, approval).keys()) {
    const digest = manifest.statements[slot];
    if (digest !== undefined)
      await readStatement(files, records, { project, approval, slot, digest, decided });
  }
  return records;
}

interface Wanted {
  readonly project: Project;
  readonly approval: Approval;
  readonly slot: Slot;
  readonly digest: string;
  readonly decided: Date;
}

/** The statement that the signer believed, whichever of the slot's it was. */
async function readStatement(files: BuildFiles, records: Records, wanted: Wanted): Promise<void> {
  const { approval, slot, digest } = wanted;
  const { scheme } = builderOf(approval, slot);
  for (const variant of VARIANTS) {
    const bytes = await files.read(statementFile(slot, variant));
    if (!bytes || sha256Hex(bytes) !== digest) continue;
    const authenticator = await files.need(statementAuthenticatorFile(scheme, slot, variant));
    records.set(statementFile(slot), bytes).set(statementAuthenticatorFile(scheme, slot), authenticator);
    // a MAC says nothing to a depot: the log's word for the statement, the digest, is all there is
    if (scheme === 'mac') return;
    const key = scheme === 'enrol' ? await readEnrolment(files, records, wanted) : null;
    const certificate = key ?? builderCertificate(approval, slot);
    const verdict = verifyDetached(authenticator, bytes, certificate, wanted.decided);
    if (!verdict.ok)
      throw refused('signature-invalid', `${statementSignatureFile(slot, variant)}: ${verdict.reason}`);
    // nothing rests on it: one that has spoilt meanwhile is left out
    const envelope = await files.read(statementEnvelopeFile(slot, variant));
    if (envelope && envelopeProblem(envelope, bytes, certificate.primary) === null)
      records.set(statementEnvelopeFile(slot), envelope);
    return;
  }
  throw incomplete(`build ${approval.build} has no statement ${digest} of ${slot}`);
}

/** The key that the log says the builder introduced, with all that shows it. Throws refused('release-incomplete'). */
async function readEnrolment(files: BuildFiles, records: Records, wanted: Wanted): Promise<Certificate> {
  const { project, approval, slot, decided } = wanted;
  let proven: ProvenEnrolment;
  try {
    proven = await provenEnrolment(approval, slot, files, project.log);
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'enrolment-unproven') throw error;
    throw incomplete(error.message);
  }
  const { variant, bytes, receipt, enrolment } = proven;
  const signature = await files.need(enrolmentSignatureFile(slot, variant));
  const mac = await files.need(enrolmentMacFile(slot, variant));
  const certificate = ephemeralCertificate(enrolment);
  const verdict = verifyDetached(signature, bytes, certificate, decided);
  if (!verdict.ok)
    throw refused('signature-invalid', `${enrolmentSignatureFile(slot, variant)}: ${verdict.reason}`);
  records.set(enrolmentFile(slot), bytes).set(enrolmentSignatureFile(slot), signature);
  records.set(enrolmentMacFile(slot), mac).set(enrolmentReceiptFile(slot), receipt);
  return certificate;
}
