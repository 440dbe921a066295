/**
 * From the log key to every file of a release (protocol §4 and §7): the proof names the entry, the entry
 * names `release.json`, that names the manifest and `signatures.list`, and the list names each signature.
 *
 * Each link takes the verified one before it, so the chain cannot be entered in the middle. All throw
 * refused: `chain-broken`, `proof-invalid`, or what a parser says of malformed bytes.
 */
import { refused } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { parseEnrolment } from '../records/enrolment.ts';
import type { Enrolment } from '../records/enrolment.ts';
import { parseLogEntry } from '../records/log-entry.ts';
import type { BuildEntry, BuildEntryType } from '../records/log-entry.ts';
import { parseManifest } from '../records/manifest.ts';
import type { Manifest } from '../records/manifest.ts';
import type { Sha256 } from '../records/names.ts';
import {
  enrolmentFile,
  manifestFile,
  refusalFile,
  releaseFile,
  signaturesListFile,
} from '../records/paths.ts';
import { parseRefusal } from '../records/refusal.ts';
import type { Refusal } from '../records/refusal.ts';
import { parseRelease } from '../records/release.ts';
import type { Release } from '../records/release.ts';
import { sha256Hex } from '../records/sha256.ts';
import { CHECKSUMS_FILE, parseSignaturesList } from '../records/signatures-list.ts';
import type { Checkpoint } from '../tlog/checkpoint.ts';
import type { Cosignature } from '../tlog/cosignature.ts';
import { parseProof, verifyProof } from '../tlog/proof.ts';
import type { LogTrust, Proof } from '../tlog/proof.ts';
import { ephemeralCertificate } from './builder-key.ts';
import { verifiedRecord } from './verified.ts';
import type { Verified } from './verified.ts';

/** An entry, and where in the log it is. */
export interface ProvenEntry {
  readonly entry: BuildEntry;
  readonly index: number;
  /** The tree that it is proven to be in. */
  readonly checkpoint: Checkpoint;
  /** Of that tree, by witnesses of the project file. */
  readonly cosignatures: readonly Cosignature[];
}

/** The files of a release's chain, exactly as received. */
export interface ReleaseFiles {
  readonly proof: Buffer;
  readonly logEntry: Buffer;
  readonly release: Buffer;
  readonly manifest: Buffer;
  readonly signaturesList: Buffer;
}

/** What the whole chain establishes. */
export type VerifiedRelease = Verified<
  ProvenEntry & {
    readonly release: Release;
    readonly manifest: Manifest;
    /** `<name>.asc` to the digest of that file. */
    readonly signatures: ReadonlyMap<string, Sha256>;
  }
>;

/** All links, and that they speak of the same thing. That it is the build asked for is the caller's to compare. */
export function verifyReleaseChain(files: ReleaseFiles, log: LogTrust): VerifiedRelease {
  // 1. proof → entry
  const proven = verifyReleaseEntry(files.proof, files.logEntry, log);
  // 2. entry → release.json
  const release = verifyRelease(proven, files.release);
  // 3. release.json → manifest.json
  const manifest = verifyManifest(release, files.manifest);
  // 4. release.json → signatures.list
  const signatures = verifySignaturesList(release, files.signaturesList);

  // 5. One signature for each artifact and one for the checksums, no more.
  if (signatures.size !== manifest.subjects.length + 1)
    throw broken(`${signatures.size} signatures are listed for ${manifest.subjects.length} artifacts`);
  for (const name of [CHECKSUMS_FILE, ...manifest.subjects.map((subject) => subject.name)])
    if (!signatures.has(`${name}.asc`)) throw broken(`${signaturesListFile} has no ${name}.asc`);
  // 6. The builders are those whose statements were believed.
  if (slots(release.builders) !== slots(manifest.statements))
    throw broken(`${releaseFile} and ${manifestFile} name other builders`);
  return verifiedRecord({ ...proven, release, manifest, signatures });
}

/** Link 1: the log key vouches that this entry of type `release` is in the log. */
export function verifyReleaseEntry(proof: Buffer, logEntry: Buffer, log: LogTrust): Verified<ProvenEntry> {
  const parsed = parseProof(proof);
  // What stands in `extra` nobody signed; the entry is a file of its own here.
  if (parsed.extra !== null) throw broken('the proof of a release has an extra line');
  return proveEntry(parsed, logEntry, 'release', log);
}

/** Link 2: the entry names these bytes as `release.json`, and both name the same build, version and manifest. */
export function verifyRelease({ entry }: Verified<ProvenEntry>, bytes: Buffer): Verified<Release> {
  requireDigest(bytes, entry.records[releaseFile], releaseFile);
  const release = parseRelease(bytes);
  requireSameBuild(release, entry, releaseFile);
  if (release.manifest !== entry.records[manifestFile])
    throw broken(`${releaseFile} names another manifest than the log entry`);
  return verifiedRecord(release);
}

/** Link 3: `release.json` names these bytes as its manifest, and both name the same build and version. */
export function verifyManifest(release: Verified<Release>, bytes: Buffer): Verified<Manifest> {
  requireDigest(bytes, release.manifest, manifestFile);
  const manifest = readManifest(bytes, release.manifest);
  requireSameBuild(manifest, release, manifestFile);
  return verifiedRecord(manifest);
}

/** Link 4: `release.json` names these bytes as its list of signatures, of that length. */
export function verifySignaturesList(
  release: Verified<Release>,
  bytes: Buffer,
): Verified<ReadonlyMap<string, Sha256>> {
  requireDigest(bytes, release.signatures.sha256, signaturesListFile);
  const signatures = readSignaturesList(bytes, release.signatures.sha256);
  if (signatures.size !== release.signatures.count)
    throw broken(
      `${signaturesListFile} has ${signatures.size} lines, ${releaseFile} says ${release.signatures.count}`,
    );
  return verifiedRecord(signatures);
}

/** A refusal that the log holds: the proof brings its own entry, as its `extra` line (§7). Throws as the links do. */
export function verifyRefusal(
  proof: Buffer,
  bytes: Buffer,
  log: LogTrust,
): Verified<ProvenEntry & { readonly refusal: Refusal }> {
  const parsed = parseProof(proof);
  if (parsed.extra === null) throw broken('the proof of a refusal has no extra line with its entry');
  // No witness is needed to say no: else one that is silent would keep it from being heard.
  const proven = proveEntry(parsed, parsed.extra, 'refusal', { ...log, quorum: 0 });
  requireDigest(bytes, proven.entry.records[refusalFile], refusalFile);
  const refusal = parseRefusal(bytes);
  if (refusal.build !== proven.entry.build)
    throw broken(`${refusalFile} and its log entry name other builds`);
  return verifiedRecord({ ...proven, refusal });
}

/** An enrolment that the log holds; its receipt brings its own entry, as the proof of a refusal does. Throws as the links do. */
export function verifyEnrolment(
  receipt: Buffer,
  bytes: Buffer,
  log: LogTrust,
): Verified<ProvenEntry & { readonly enrolment: Enrolment }> {
  const parsed = parseProof(receipt);
  if (parsed.extra === null) throw broken('a receipt has an extra line with its entry');
  // No witness is needed: a builder waits for it, and nothing is released by it.
  const proven = proveEntry(parsed, parsed.extra, 'enrolment', { ...log, quorum: 0 });
  const enrolment = parseEnrolment(bytes);
  requireDigest(bytes, proven.entry.records[enrolmentFile(enrolment.slot)], enrolmentFile(enrolment.slot));
  const { fingerprint } = ephemeralCertificate(enrolment).primary;
  if (enrolment.build !== proven.entry.build || !proven.entry.keys.includes(fingerprint))
    throw broken('the enrolment and its log entry name another build or key');
  return verifiedRecord({ ...proven, enrolment });
}

/** A proof authorises a record only if the entry's type is the record's (§7): so the type is part of the question. */
function proveEntry(proof: Proof, leaf: Buffer, type: BuildEntryType, log: LogTrust): Verified<ProvenEntry> {
  const { checkpoint, cosignatures } = verifyProof(proof, leaf, log);
  const entry = parseLogEntry(leaf);
  if (entry.type !== type) throw broken(`the log entry is of type ${entry.type}, not ${type}`);
  return verifiedRecord({ entry, index: proof.index, checkpoint, cosignatures });
}

/**
 * Keeps what it last read, by its digest. A depot follows the chain of a release when it takes it, when it
 * remembers what was decided, and when it publishes it; while it reads a hundred thousand artifacts it answers nobody.
 */
function lastRead<Value>(parse: (bytes: Buffer) => Value): (bytes: Buffer, sha256: Sha256) => Value {
  let last: { readonly sha256: Sha256; readonly value: Value } | null = null;
  return (bytes, sha256) => {
    if (last?.sha256 !== sha256) last = { sha256, value: parse(bytes) };
    return last.value;
  };
}

const readManifest = lastRead<Manifest>(parseManifest);
const readSignaturesList = lastRead<ReadonlyMap<string, Sha256>>(parseSignaturesList);

const slots = (record: object): string => Object.keys(record).sort().join(' ');

const broken = (text: string): Failure => refused('chain-broken', text);

function requireDigest(bytes: Buffer, expected: Sha256 | undefined, name: string): void {
  if (expected === undefined || sha256Hex(bytes) !== expected)
    throw broken(`these are not the bytes of ${name} that were logged`);
}

interface BuildNames {
  readonly build: string;
  readonly project: string;
  readonly version: string;
}

function requireSameBuild(record: BuildNames, before: BuildNames, name: string): void {
  if (record.build !== before.build || record.project !== before.project || record.version !== before.version)
    throw broken(`${name} is of another build, project or version than what names it`);
}
