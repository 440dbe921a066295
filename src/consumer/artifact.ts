/**
 * One file against a release: read once, its digest looked up in the manifest, its signature checked over the
 * digest of that same pass.
 */
import { basename } from 'node:path';
import { SignaturePass } from '../openpgp/pass.ts';
import type { Passed } from '../openpgp/pass.ts';
import { hashedPart } from '../openpgp/signature.ts';
import { examineSignature } from '../openpgp/verify.ts';
import { timestampDate } from '../records/names.ts';
import { sha256Hex } from '../records/sha256.ts';
import { CHECKSUMS_FILE, formatChecksums } from '../records/signatures-list.ts';
import type { Subject } from '../records/statement.ts';
import { openFile, readSignature } from './copy.ts';
import type { OpenFile } from './copy.ts';
import type { CheckedRelease } from './release.ts';
import { unjudged } from './verdict.ts';
import type { FileVerdict, Finding } from './verdict.ts';

/** So many bytes more were read. */
export type FileProgress = (bytes: number) => void;

/**
 * The verdict on a file as a user has it, wherever it lies.
 *
 * Its name must be the artifact's: its last part at least, and not the full name of another artifact, so that
 * `arm64/app` is not taken for `amd64/app`. Throws refused `chain-broken`, unable (disk, `release-incomplete`).
 */
export async function checkFile(
  path: string,
  release: CheckedRelease,
  progress: FileProgress,
): Promise<FileVerdict> {
  const passed = await passOver(await openFile(path), release, progress);
  const claimed = release.subjects.claimedBy(path)?.name ?? null;
  const match = release.subjects.matching(path, passed);

  const wrongName = (subject: Subject, text: string): FileVerdict =>
    verdictOf(path, passed, subject, [{ code: 'wrong-name', text }]);
  if (match !== null) {
    if (claimed === null || claimed === match.name)
      return verdictOf(path, passed, match, await signatureFindings(passed, match, release));
    return wrongName(match, `${path} is where ${claimed} belongs, but its bytes are those of ${match.name}`);
  }
  const otherwise = release.subjects.withContent(passed);
  if (otherwise !== null)
    return wrongName(otherwise, `the bytes of ${path} were signed as ${otherwise.name}, not under this name`);
  if (isOwnFile(path, passed, release))
    return { ...verdictOf(path, passed, undefined, []), name: basename(path) };
  return verdictOf(path, passed, undefined, [stranger(path, passed, release)]);
}

/** The verdict on an artifact in a copy of the whole release, where its name is given. */
export async function checkArtifact(
  path: string,
  subject: Subject,
  release: CheckedRelease,
  progress: FileProgress,
): Promise<FileVerdict> {
  const file = await openFile(path);
  if (file.size !== subject.size) {
    // a sparse file may have any size, and reading all of it takes hours
    await file.close();
    const findings = [altered(subject, { size: file.size, sha256: null })];
    return { ...unjudged(subject.name), size: file.size, findings };
  }
  const passed = await passOver(file, release, progress);
  const findings =
    passed.sha256 === subject.sha256 && passed.size === subject.size
      ? await signatureFindings(passed, subject, release)
      : [altered(subject, passed)];
  return verdictOf(subject.name, passed, findings.length === 0 ? subject : undefined, findings);
}

/** All signatures of a build share one key and one time, so what is hashed after the data is known beforehand. */
async function passOver(file: OpenFile, release: CheckedRelease, progress: FileProgress): Promise<Passed> {
  const { manifest } = release.chain;
  const { algorithmId, fingerprint: issuer } = release.signingKey;
  const created = timestampDate(manifest.signedAt).getTime() / 1000;
  const expected = hashedPart({ algorithmId, hash: manifest.hash, created, issuer });
  const pass = new SignaturePass(release.signingKey, manifest.hash, expected);
  await file.scan((chunk) => {
    pass.update(chunk);
    progress(chunk.length);
  });
  return pass.finish();
}

/** What is wrong with the signature over the bytes of that pass; empty: nothing. */
async function signatureFindings(
  passed: Passed,
  { name }: Subject,
  release: CheckedRelease,
): Promise<Finding[]> {
  const file = await readSignature(release.copy, release.chain.signatures, name);
  const examined = examineSignature(file, release.certificate, release.signedBy);
  if ('ok' in examined) return [{ code: examined.code, text: `${name}: ${examined.reason}` }];
  const { signature, key } = examined;
  const good =
    key.fingerprint === release.signingKey.fingerprint &&
    signature.hash === release.chain.manifest.hash &&
    signature.digestPrefix.equals(passed.signatureDigest.subarray(0, 2)) &&
    passed.check(signature.mpis);
  return good
    ? []
    : [{ code: 'signature-bad', text: `${name}.asc is no signature of the release key over these bytes` }];
}

/** SHA256SUMS, or a signature that the release lists: `verify *` comes across them too. */
function isOwnFile(path: string, { sha256 }: Passed, { chain, subjects }: CheckedRelease): boolean {
  if (basename(path) === CHECKSUMS_FILE)
    return sha256 === sha256Hex(formatChecksums(chain.manifest.subjects));
  return subjects.isSignature(path, sha256);
}

/** Bytes that are nothing of the release: says what they should have been, going by the name. */
function stranger(path: string, passed: Passed, { chain, subjects }: CheckedRelease): Finding {
  const { project, version } = chain.manifest;
  const meant = subjects.claimedBy(path) ?? subjects.withLastPart(path);
  if (meant !== null) return altered(meant, passed);
  return { code: 'not-in-release', text: `${path} is nothing of ${project} ${version}` };
}

function altered({ name, size, sha256 }: Subject, passed: { size: number; sha256: string | null }): Finding {
  const text =
    size === passed.size
      ? `its SHA-256 is ${passed.sha256}, the one signed is ${sha256}`
      : passed.size < size
        ? `it is shorter, ${passed.size} of ${size} bytes: is the copy complete?`
        : `it has ${passed.size} bytes, the one signed has ${size}`;
  return { code: 'altered', text: `this is not the ${name} that was signed: ${text}` };
}

const verdictOf = (
  file: string,
  passed: Passed,
  subject: Subject | undefined,
  findings: readonly Finding[],
): FileVerdict => ({
  file,
  valid: findings.length === 0,
  name: subject?.name ?? null,
  sha256: passed.sha256,
  size: passed.size,
  findings,
});
