/**
 * One build from one depot into another, in the order in which each part is the authority for the next. `releases/`
 * is not copied: the other depot publishes what it has verified itself.
 */
import { Failure, conflict, refused } from '../../failure.ts';
import { MAX_SIGNATURE_BYTES } from '../../openpgp/signature.ts';
import { isExpired } from '../../policy/approval-policy.ts';
import { attempt } from '../../policy/attempt.ts';
import { slotsOf } from '../../policy/builder-key.ts';
import { parseApproval } from '../../records/approval.ts';
import type { Approval } from '../../records/approval.ts';
import { LARGE_RECORD_MAX, RECORD_MAX } from '../../records/canonical.ts';
import { LOG_ENTRY_MAX } from '../../records/log-entry.ts';
import { parseManifest } from '../../records/manifest.ts';
import type { Manifest } from '../../records/manifest.ts';
import type { Sha256 } from '../../records/names.ts';
import {
  approvalFile,
  approvalSignatureFile,
  buildPath,
  logEntryFile,
  manifestFile,
} from '../../records/paths.ts';
import {
  refusalFile,
  refusalProofFile,
  releaseDir,
  releaseFile,
  releaseProofFile,
  statementFile,
} from '../../records/paths.ts';
import { signaturesListFile } from '../../records/paths.ts';
import { parseRelease } from '../../records/release.ts';
import { sha256Hex } from '../../records/sha256.ts';
import { parseSignaturesList } from '../../records/signatures-list.ts';
import { PROOF_MAX } from '../../tlog/proof.ts';
import { inParallel } from '../parallel.ts';
import { carryBlobs, lackingBlobs, publishedSource, quarantine } from './blobs.ts';
import { carryEnrolments } from './enrolments.ts';
import type { Passage } from './passage.ts';
import { carryRevocations } from './revocations.ts';
import { TOKEN_HINT, carryStatement, carryWithBlobs, shownStatements } from './statements.ts';
import type { Shown } from './statements.ts';

type Files = ReadonlyMap<string, Buffer>;

const RELEASE = [
  [logEntryFile, LOG_ENTRY_MAX],
  [releaseProofFile, PROOF_MAX],
  [releaseFile, RECORD_MAX],
  [manifestFile, LARGE_RECORD_MAX],
  [signaturesListFile, LARGE_RECORD_MAX],
] as const;
const REFUSAL = [
  [refusalFile, RECORD_MAX],
  [refusalProofFile, PROOF_MAX],
] as const;
const PROOFS: readonly string[] = [releaseProofFile, refusalProofFile];

/** So many signatures are a body that a depot takes without a token, too. */
const SIGNATURES_AT_ONCE = 500;
const READERS = 8;

/** Carries what the other depot lacks. Throws refused (what its gate says, and what is not whole), unable. */
export async function carryBuild(passage: Passage): Promise<void> {
  if (!(await isSettled(passage))) await carryAll(passage);
  await carryRevocations(passage);
}

async function carryAll(passage: Passage): Promise<void> {
  const approval = await passage.need(approvalFile, RECORD_MAX);
  const [release, refusal] = [await takeAll(passage, RELEASE), await takeAll(passage, REFUSAL)];
  if (release !== null) await carryRelease(passage, approval, release);
  else if (refusal !== null) await carryRefusal(passage, approval, refusal);
  else await carryWaiting(passage, approval);
}

/** Whether the other depot has the end of the build: nothing comes after that. Asked of every build, every time. */
async function isSettled(passage: Passage): Promise<boolean> {
  const { to, build } = passage;
  const bytes = await to.read(buildPath(build, releaseFile), RECORD_MAX);
  if (bytes === null) {
    for (const file of [refusalFile, refusalProofFile, approvalFile])
      if (!(await passage.isThere(file))) return false;
    return true;
  }
  const release = attempt(() => parseRelease(bytes));
  if (release instanceof Failure) return false;
  // nothing of a release is shown before its proof is there
  const visible = `${releaseDir(release.project, release.version)}/countersign/${releaseFile}`;
  return (await to.read(visible, RECORD_MAX))?.equals(bytes) === true;
}

/** Files that belong together; null if none of them is there. Throws refused('incomplete') if some are. */
async function takeAll(
  passage: Passage,
  names: readonly (readonly [string, number])[],
): Promise<Map<string, Buffer> | null> {
  const files = new Map<string, Buffer>();
  for (const [name, maxBytes] of names) {
    const bytes = await passage.take(name, maxBytes);
    if (bytes) files.set(name, bytes);
  }
  if (files.size === 0) return null;
  for (const [name, maxBytes] of names) if (!files.has(name)) await passage.need(name, maxBytes);
  return files;
}

async function carryRelease(passage: Passage, approval: Buffer, release: Files): Promise<void> {
  await carryRecords(passage, approval, release);
  const approved = parseApproval(approval);
  await carryEnrolments(passage, approved);
  // judged by the gate, now or when they came: each is the one that the log names
  const manifest = parseManifest(release.get(manifestFile) ?? Buffer.alloc(0));
  const signatures = parseSignaturesList(release.get(signaturesListFile) ?? Buffer.alloc(0));
  for await (const shown of shownStatements(passage, approved))
    if (manifest.statements[shown.slot] === sha256Hex(shown.bytes)) await carryStatement(passage, shown);
  const signed = await carrySignatures(passage, signatures);
  if ((await carryArtifacts(passage, manifest)) && signed) await publish(passage, manifest);
}

/** Whether all artifacts are there now. Where the other depot does not tell which it has, publishing does. */
async function carryArtifacts(passage: Passage, manifest: Manifest): Promise<boolean> {
  const lacking = await lackingBlobs(passage, manifest.subjects);
  if (lacking === null) {
    if (await canPublish(passage)) return true;
    passage.leave('signer-sends', 'it lacks artifacts, and takes them from the signer alone', TOKEN_HINT);
    return false;
  }
  if (lacking.length === 0) return true;
  const source = passage.from.quarantine ? quarantine(passage) : await publishedSource(passage, manifest);
  if (source !== null) return carryBlobs(passage, lacking, source);
  passage.leave('quarantined', 'its artifacts are not published there yet', TOKEN_HINT);
  return false;
}

async function canPublish({ to, build }: Passage): Promise<boolean> {
  try {
    await to.publish(build);
    return true;
  } catch (error) {
    if (error instanceof Failure && error.code === 'release-incomplete') return false;
    throw error;
  }
}

async function publish(passage: Passage, { project, version }: Manifest): Promise<void> {
  await passage.to.publish(passage.build);
  passage.published = `${project} ${version} is published there`;
}

/** Also of a refused build the other depot keeps the statements, as far as it takes them without their artifacts. */
async function carryRefusal(passage: Passage, approval: Buffer, refusal: Files): Promise<void> {
  await carryRecords(passage, approval, refusal);
  const approved = parseApproval(approval);
  await carryEnrolments(passage, approved);
  for await (const shown of shownStatements(passage, approved))
    await carryStatement(passage, shown).catch(unlessRefused);
}

async function carryWaiting(passage: Passage, bytes: Buffer): Promise<void> {
  const approval = parseApproval(bytes);
  if (isExpired(approval, passage.now())) {
    await leaveExpired(passage, approval);
    return;
  }
  await carryRecords(passage, bytes, new Map());
  await carryEnrolments(passage, approval);
  for await (const shown of shownStatements(passage, approval)) await carryWaitingStatement(passage, shown);
}

/** A build that nobody sealed is forgotten; of one that came too late its operator wants to hear. */
async function leaveExpired(passage: Passage, approval: Approval): Promise<void> {
  const text = `its approval ended at ${approval.expires}, and nothing was decided`;
  for (const slot of slotsOf(approval)) {
    const path = buildPath(passage.build, statementFile(slot));
    if ((await passage.from.depot.size(path)) === null) continue;
    const again = `countersign approve ${approval.version} --expires 1d --tickets DIR`;
    passage.leave('too-late', `it is sealed, but ${text}`, `if the signer has not seen it: ${again}`);
  }
  passage.leave('expired', text);
}

async function carryWaitingStatement(passage: Passage, shown: Shown): Promise<void> {
  try {
    await carryWithBlobs(passage, shown);
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'refused') throw error;
    if (error.code === 'token-missing' || error.code === 'token-unknown')
      passage.leave('builder-sends', `only its builder can send the statement of ${shown.slot} there`);
    else passage.spoil(error);
  }
}

/**
 * The approval with what was decided on it, and each approver's signature: one that is no good keeps nothing from
 * travelling with another.
 */
async function carryRecords(passage: Passage, approval: Buffer, decided: Files): Promise<void> {
  let records = await lackingRecords(passage, new Map([[approvalFile, approval], ...decided]));
  let problem: Failure | null = null;
  for (const { primary } of passage.project.approvers) {
    const name = approvalSignatureFile(primary.fingerprint);
    // one with other bytes is as good as this: the gate there took it
    if (await passage.isThere(name)) continue;
    const signature = await passage.take(name, MAX_SIGNATURE_BYTES);
    if (signature === null) continue;
    try {
      await passage.submit(new Map([...records, [name, signature]]));
      records = new Map();
    } catch (error) {
      if (!(error instanceof Failure) || error.kind !== 'refused') throw error;
      problem = error;
      passage.spoil(error);
    }
  }
  try {
    await passage.submit(records);
  } catch (error) {
    // what was wrong with a signature, or with what it signs, says more than that there is none
    throw error instanceof Failure && error.kind === 'refused' && problem !== null ? problem : error;
  }
}

/** Throws refused('conflict') where the other depot has another one. Of two proofs of the same either will do. */
async function lackingRecords(passage: Passage, files: Files): Promise<Map<string, Buffer>> {
  const lacking = new Map<string, Buffer>();
  for (const [name, bytes] of files) {
    const there = await passage.compare(name, bytes);
    if (there === null) lacking.set(name, bytes);
    else if (there === 'other' && !PROOFS.includes(name)) throw conflict(buildPath(passage.build, name));
  }
  return lacking;
}

/** Whether all of them are there now. */
async function carrySignatures(passage: Passage, listed: ReadonlyMap<string, Sha256>): Promise<boolean> {
  const names = [...listed.keys()];
  let whole = true;
  for (let start = 0; start < names.length; start += SIGNATURES_AT_ONCE) {
    const files: { name: string; bytes: Buffer }[] = [];
    // asking costs as much as sending: worth it only where an earlier run was here
    const begun = await passage.isThere(`signatures/${names[start]}`);
    await inParallel(names.slice(start, start + SIGNATURES_AT_ONCE), READERS, async (name) => {
      if (begun && (await passage.isThere(`signatures/${name}`))) return;
      const bytes = await passage.take(`signatures/${name}`, MAX_SIGNATURE_BYTES);
      if (bytes !== null && sha256Hex(bytes) === listed.get(name)) files.push({ name, bytes });
      else {
        whole = false;
        const [code, is] =
          bytes === null
            ? ['incomplete', 'not there']
            : ['chain-broken', `not what ${signaturesListFile} names`];
        passage.spoil(refused(code, `signatures/${name} is ${is}`, 'copy it again, then run this again'));
      }
    });
    if (files.length === 0) continue;
    await passage.to.putSignatures(passage.build, files);
    for (const { bytes } of files) passage.count(bytes.length);
  }
  return whole;
}

function unlessRefused(error: unknown): void {
  if (!(error instanceof Failure) || error.kind !== 'refused') throw error;
}
