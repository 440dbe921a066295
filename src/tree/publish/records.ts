/**
 * The records of a release, read from its build and verified again: what goes under `countersign/`, so that every
 * check can be repeated from the release alone. Protocol §3.
 */
import { refused } from '../../failure.ts';
import type { Failure } from '../../failure.ts';
import { verifyDetached } from '../../openpgp/verify.ts';
import type { SignatureVerdict } from '../../openpgp/verify.ts';
import { countApprovers, missingApprovers } from '../../policy/approval-verdict.ts';
import { builderCertificate, slotsOf } from '../../policy/builder-key.ts';
import { envelopeProblem } from '../../policy/envelope.ts';
import { loggedApproval } from '../../policy/logged.ts';
import type { Project } from '../../policy/project.ts';
import type { VerifiedRelease } from '../../policy/release-chain.ts';
import type { Approval } from '../../records/approval.ts';
import { timestampDate } from '../../records/names.ts';
import type { BuildId, Fingerprint, Slot } from '../../records/names.ts';
import { VARIANTS, approvalFile, approvalSignatureFile, buildPath } from '../../records/paths.ts';
import { statementEnvelopeFile, statementFile, statementSignatureFile } from '../../records/paths.ts';
import { sha256Hex } from '../../records/sha256.ts';
import type { Tree } from '../tree.ts';

/** By name below `countersign/`. */
export type Records = Map<string, Buffer>;

/** The files of one build. */
export class BuildFiles {
  readonly #tree: Tree;
  readonly #build: BuildId;

  constructor(tree: Tree, build: BuildId) {
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
 * Throws refused('release-incomplete' | 'threshold' | 'signature-invalid' | 'chain-broken').
 */
export async function readRecords(
  files: BuildFiles,
  { manifest }: VerifiedRelease,
  project: Project,
): Promise<Records> {
  const bytes = await files.need(approvalFile);
  const approval = loggedApproval(bytes, manifest.approval);
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

  for (const slot of slotsOf(approval)) {
    const digest = manifest.statements[slot];
    if (digest !== undefined) await readStatement(files, records, { approval, slot, digest, decided });
  }
  return records;
}

interface Wanted {
  readonly approval: Approval;
  readonly slot: Slot;
  readonly digest: string;
  readonly decided: Date;
}

/** The statement that the signer believed, whichever of the slot's it was. */
async function readStatement(files: BuildFiles, records: Records, wanted: Wanted): Promise<void> {
  const { approval, slot, digest, decided } = wanted;
  for (const variant of VARIANTS) {
    const bytes = await files.read(statementFile(slot, variant));
    if (!bytes || sha256Hex(bytes) !== digest) continue;
    const name = statementSignatureFile(slot, variant);
    const signature = await files.need(name);
    const certificate = builderCertificate(approval, slot);
    const verdict = verifyDetached(signature, bytes, certificate, decided);
    if (!verdict.ok) throw refused('signature-invalid', `${name}: ${verdict.reason}`);
    records.set(statementFile(slot), bytes).set(statementSignatureFile(slot), signature);
    // nothing rests on it: one that has spoilt meanwhile is left out
    const envelope = await files.read(statementEnvelopeFile(slot, variant));
    if (envelope && envelopeProblem(envelope, bytes, certificate.primary) === null)
      records.set(statementEnvelopeFile(slot), envelope);
    return;
  }
  throw incomplete(`build ${approval.build} has no statement ${digest} of ${slot}`);
}
