/**
 * The release signatures, verified again over the depot's own bytes: one pass over each artifact gives its digest,
 * its size and the verdict on its signature. Protocol §4, "publish".
 */
import { refused, unable } from '../../failure.ts';
import type { Failure } from '../../failure.ts';
import { verifyWithGpgv } from '../../openpgp/gpgv.ts';
import { beginVerify, verifyDetached } from '../../openpgp/verify.ts';
import type { SignatureVerdict, Verification } from '../../openpgp/verify.ts';
import type { Certificate } from '../../openpgp/certificate.ts';
import type { VerifiedRelease } from '../../policy/release-chain.ts';
import { timestampDate } from '../../records/names.ts';
import { blobFile, buildPath, signatureFile } from '../../records/paths.ts';
import type { Signed } from '../../records/paths.ts';
import { sha256Hex } from '../../records/sha256.ts';
import { CHECKSUMS_FILE, formatChecksums } from '../../records/signatures-list.ts';
import type { Subject } from '../../records/statement.ts';
import type { BuildFiles } from './records.ts';
import { incomplete } from './records.ts';
import { BATCH } from '../tree.ts';
import type { Tree } from '../tree.ts';

export interface SignatureCheck {
  readonly tree: Tree;
  readonly files: BuildFiles;
  readonly verified: VerifiedRelease;
  readonly certificate: Certificate;
  readonly now: Date;
}

/** One artifact is there, with its size: seen before any is read. Throws refused('release-incomplete' | 'blob-damaged'). */
export async function requireArtifact({ tree, verified }: SignatureCheck, subject: Subject): Promise<void> {
  const path = buildPath(verified.manifest.build, blobFile(subject.sha256));
  const size = await tree.size(path);
  if (size === null) throw incomplete(`there is no ${path}, which is ${subject.name}`);
  if (size !== subject.size) throw damaged(subject);
}

/**
 * One artifact: the bytes are those of the manifest, the signature file is the one that the release lists, and it is
 * what the release key made of these bytes when the manifest says.
 * Throws refused('release-incomplete' | 'blob-mismatch' | 'signature-invalid' | 'chain-broken').
 */
export async function checkArtifact(check: SignatureCheck, subject: Subject): Promise<void> {
  const { tree, certificate, now, verified } = check;
  const signature = await listedSignature(check, subject.name);
  const begun = beginVerify(signature, certificate, now);
  if (!('pass' in begun)) throw invalid(subject.name, begun.reason);
  const path = buildPath(verified.manifest.build, blobFile(subject.sha256));
  const { sha256, size, ...verdict } = await passAll(tree, path, subject, begun);
  if (sha256 !== subject.sha256 || size !== subject.size) throw damaged(subject);
  expectManifest(subject.name, verdict, verified);
}

/**
 * `SHA256SUMS`, which covers every artifact at once, by our own verifier and by gpgv. Returns its bytes.
 * Throws as `checkArtifact`, and unable('gpgv-missing' | 'gpgv-failed').
 */
export async function checkChecksums(check: SignatureCheck): Promise<Buffer> {
  const { certificate, now, verified } = check;
  const data = formatChecksums(verified.manifest.subjects);
  const signature = await listedSignature(check, CHECKSUMS_FILE);
  expectManifest(CHECKSUMS_FILE, verifyDetached(signature, data, certificate, now), verified);
  expectManifest(CHECKSUMS_FILE, await verifyWithGpgv({ signature, data, certificate, now }), verified);
  return data;
}

async function listedSignature({ files, verified }: SignatureCheck, signed: Signed): Promise<Buffer> {
  const signature = await files.need(signatureFile(signed));
  if (sha256Hex(signature) === verified.signatures.get(`${signed}.asc`)) return signature;
  throw refused('chain-broken', `${signatureFile(signed)} is not what signatures.list names`);
}

/** All of a blob through the verification; small ones without the cost of a stream. */
async function passAll(
  tree: Tree,
  path: string,
  subject: Subject,
  verification: Verification,
): Promise<ReturnType<Verification['conclude']>> {
  if (subject.size <= BATCH.fileBytes) {
    const bytes = await tree.read(path);
    if (!bytes) throw incomplete(`there is no ${path}, which is ${subject.name}`);
    verification.pass.update(bytes);
    return verification.conclude();
  }
  const file = await tree.open(path);
  if (!file) throw incomplete(`there is no ${path}, which is ${subject.name}`);
  if (file.size !== subject.size) {
    // a sparse file may have any size, and reading all of it takes hours
    file.stream.destroy();
    throw damaged(subject);
  }
  for await (const chunk of file.stream as AsyncIterable<Buffer>) verification.pass.update(chunk);
  return verification.conclude();
}

function expectManifest(name: string, verdict: SignatureVerdict, { manifest }: VerifiedRelease): void {
  if (!verdict.ok) throw invalid(name, verdict.reason);
  const created = timestampDate(manifest.signedAt).getTime() / 1000;
  if (verdict.signingKey !== manifest.signingKey)
    throw invalid(name, 'it is by another key than the manifest says');
  if (verdict.hash !== manifest.hash) throw invalid(name, 'it has another hash than the manifest says');
  if (verdict.created !== created) throw invalid(name, 'it has another date than the manifest says');
}

const invalid = (name: string, reason: string): Failure =>
  refused('signature-invalid', `${name}.asc: ${reason}`);

const damaged = ({ name, sha256 }: Subject): Failure =>
  unable(
    'blob-damaged',
    `the depot's blob ${sha256} (${name}) is not what its name says`,
    'check the disk of the depot',
  );
