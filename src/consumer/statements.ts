/**
 * What the builders of a release said, and how each proves that it was them (protocol §2, statement, enrolment, quorum):
 * by the key in the approval, by one that the log says was introduced, or to the signer alone.
 */
import { refused } from '../failure.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { MAX_SIGNATURE_BYTES } from '../openpgp/signature.ts';
import { verifyDetached } from '../openpgp/verify.ts';
import { believedBuilders } from '../policy/believed.ts';
import type { VerifiedRelease } from '../policy/release-chain.ts';
import { slotCertificate } from '../policy/slot-key.ts';
import type { Approval, Scheme } from '../records/approval.ts';
import { LARGE_RECORD_MAX, RECORD_MAX } from '../records/canonical.ts';
import { parseEnrolment } from '../records/enrolment.ts';
import { MAC_FILE_BYTES } from '../records/mac.ts';
import type { Slot } from '../records/names.ts';
import {
  enrolmentFile,
  enrolmentMacFile,
  enrolmentReceiptFile,
  enrolmentSignatureFile,
  statementAuthenticatorFile,
  statementFile,
} from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import { parseStatement } from '../records/statement.ts';
import type { Statement, Subject } from '../records/statement.ts';
import { subjectsJson } from '../records/subject.ts';
import { PROOF_MAX } from '../tlog/proof.ts';
import type { LogTrust } from '../tlog/proof.ts';
import { otherRecord, readRecord, requireGood } from './copy.ts';
import type { ReleaseCopy } from './copy.ts';

interface Resting {
  readonly copy: ReleaseCopy;
  readonly chain: VerifiedRelease;
  readonly approval: Approval;
  readonly log: LogTrust;
  /** The time at which keys must have been good. */
  readonly at: Date;
}

/** The statements that the manifest names, each checked, and what that came to. */
export interface Statements {
  readonly all: readonly Statement[];
  readonly checked: readonly string[];
  /** What only the signer could check. */
  readonly notChecked: readonly string[];
}

/**
 * Every statement that the release rests on; all name exactly its artifacts, and they are as many as the approval asks for.
 * Throws refused (the first fault), unable (`release-incomplete`, network, disk).
 */
export async function checkStatements(resting: Resting): Promise<Statements> {
  const { chain, approval } = resting;
  const schemes = believedBuilders(chain, approval);
  // a manifest has no hash states
  const named = (list: readonly Subject[]): string => JSON.stringify(subjectsJson(list));
  const subjects = named(chain.manifest.subjects);
  const all: Statement[] = [];
  for (const [slot, scheme] of schemes) {
    const name = statementFile(slot);
    const bytes = await authentic(resting, slot, scheme);
    const statement = parseStatement(bytes);
    const { build, approval: approved } = chain.manifest;
    if (statement.build !== build || statement.approval !== approved || statement.slot !== slot)
      throw refused('statement', `${name} is of another build, approval or slot`);
    if (named(statement.subjects) !== subjects)
      throw refused('statement', `${name} names other artifacts than the manifest`);
    all.push(statement);
  }
  const of = (scheme: Scheme): string =>
    [...schemes].flatMap(([slot, own]) => (own === scheme ? [slot] : [])).join(', ');
  const [keypair, enrol, mac] = [of('keypair'), of('enrol'), of('mac')];
  return {
    all,
    checked: [
      ...(keypair ? [`the statement of ${keypair}, signed with the build's own key`] : []),
      ...(enrol ? [`the statement of ${enrol}, signed with the key that the log says was enrolled`] : []),
      ...(mac ? [`the statement of ${mac}: the one that the manifest names`] : []),
    ],
    notChecked: mac
      ? [`the MAC of ${mac}: it convinces the signer alone, who believed it by log entry ${chain.index}`]
      : [],
  };
}

/** The statement's bytes: those that the manifest names, and of its builder. */
async function authentic(resting: Resting, slot: Slot, scheme: Scheme): Promise<Buffer> {
  const { copy, chain, at } = resting;
  const name = statementFile(slot);
  const bytes = await readRecord(copy, name, LARGE_RECORD_MAX);
  if (sha256Hex(bytes) !== chain.manifest.statements[slot]) throw otherRecord(name);
  const proofFile = statementAuthenticatorFile(scheme, slot);
  const proof = await readRecord(copy, proofFile, MAX_SIGNATURE_BYTES);
  const certificate = await keyOf(resting, slot, scheme);
  if (certificate !== null) requireGood(name, verifyDetached(proof, bytes, certificate, at));
  else if (proof.length !== MAC_FILE_BYTES) throw refused('mac', `${proofFile} is no MAC`);
  return bytes;
}

/** The slot's key; null for one that has a nonce alone. */
async function keyOf(resting: Resting, slot: Slot, scheme: Scheme): Promise<Certificate | null> {
  const { copy, chain, approval, log, at } = resting;
  if (scheme !== 'enrol') return slotCertificate(approval, slot, { read: () => Promise.resolve(null) }, log);
  // What is missing is no verdict, so all is read first; the MAC is for who has the nonce.
  const [name, receiptName] = [enrolmentFile(slot), enrolmentReceiptFile(slot)];
  const bytes = await readRecord(copy, name, RECORD_MAX);
  const signature = await readRecord(copy, enrolmentSignatureFile(slot), MAX_SIGNATURE_BYTES);
  await readRecord(copy, enrolmentMacFile(slot), MAC_FILE_BYTES);
  const receipt = await readRecord(copy, receiptName, PROOF_MAX);
  const files = new Map([
    [name, bytes],
    [receiptName, receipt],
  ]);
  // 1. The log says that this enrolment is the builder's, and names its key.
  const read = (path: string): Promise<Buffer | null> => Promise.resolve(files.get(path) ?? null);
  const certificate = await slotCertificate(approval, slot, { read }, log);
  // 2. It answers this approval. 3. Its key was in the builder's hands.
  if (parseEnrolment(bytes).approval !== chain.manifest.approval)
    throw refused('enrolment', `${name} is of another approval`);
  if (certificate !== null) requireGood(name, verifyDetached(signature, bytes, certificate, at));
  return certificate;
}
