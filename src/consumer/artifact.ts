/**
 * One file against a release: read once, its digest looked up in the manifest, its signature checked over the
 * digest of that same pass.
 */
import { basename, resolve, sep } from 'node:path';
import { SignaturePass } from '../openpgp/pass.ts';
import type { Passed } from '../openpgp/pass.ts';
import { hashedPart } from '../openpgp/signature.ts';
import { examineSignature } from '../openpgp/verify.ts';
import { timestampDate } from '../records/names.ts';
import { sha256Hex } from '../records/sha256.ts';
import { CHECKSUMS_FILE, formatChecksums } from '../records/signatures-list.ts';
import type { Subject } from '../records/statement.ts';
import { chunksOf, openFile, readSignature } from './copy.ts';
import type { CheckedRelease } from './release.ts';
import { unjudged } from './verdict.ts';
import type { FileVerdict, Finding } from './verdict.ts';

export type FileProgress = (done: number, bytes: number) => void;

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
  const passed = await passOver(path, await openFile(path), release, progress);
  const { subjects } = release.chain.manifest;
  const same = subjects.filter(({ sha256, size }) => sha256 === passed.sha256 && size === passed.size);
  const claimed = claimedName(path, subjects);
  const match =
    same.find(({ name }) => name === claimed) ?? same.find(({ name }) => sameLastPart(path, name));

  const wrongName = (subject: Subject, text: string): FileVerdict =>
    verdictOf(path, passed, subject, [{ code: 'wrong-name', text }]);
  if (match !== undefined) {
    if (claimed === null || claimed === match.name)
      return verdictOf(path, passed, match, await signatureFindings(passed, match, release));
    return wrongName(match, `${path} is where ${claimed} belongs, but its bytes are those of ${match.name}`);
  }
  const [otherwise] = same;
  if (otherwise !== undefined)
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
    file.stream.destroy();
    const findings = [altered(subject, { size: file.size, sha256: null })];
    return { ...unjudged(subject.name), size: file.size, findings };
  }
  const passed = await passOver(path, file, release, progress);
  const findings =
    passed.sha256 === subject.sha256 && passed.size === subject.size
      ? await signatureFindings(passed, subject, release)
      : [altered(subject, passed)];
  return verdictOf(subject.name, passed, findings.length === 0 ? subject : undefined, findings);
}

/** All signatures of a build share one key and one time, so what is hashed after the data is known beforehand. */
async function passOver(
  path: string,
  { size, stream }: Awaited<ReturnType<typeof openFile>>,
  release: CheckedRelease,
  progress: FileProgress,
): Promise<Passed> {
  const { manifest } = release.chain;
  const { algorithmId, fingerprint: issuer } = release.signingKey;
  const created = timestampDate(manifest.signedAt).getTime() / 1000;
  const expected = hashedPart({ algorithmId, hash: manifest.hash, created, issuer });
  const pass = new SignaturePass(release.signingKey, manifest.hash, expected);
  let done = 0;
  for await (const chunk of chunksOf(path, stream)) {
    pass.update(chunk);
    done += chunk.length;
    progress(done, size);
  }
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
function isOwnFile(path: string, { sha256 }: Passed, { chain }: CheckedRelease): boolean {
  if (basename(path) === CHECKSUMS_FILE)
    return sha256 === sha256Hex(formatChecksums(chain.manifest.subjects));
  return [...chain.signatures].some(([name, digest]) => digest === sha256 && sameLastPart(path, name));
}

/** Bytes that are nothing of the release: says what they should have been, going by the name. */
function stranger(path: string, passed: Passed, { chain }: CheckedRelease): Finding {
  const { subjects, project, version } = chain.manifest;
  const claimed = claimedName(path, subjects);
  const meant =
    subjects.find(({ name }) => name === claimed) ?? subjects.find(({ name }) => sameLastPart(path, name));
  if (meant !== undefined) return altered(meant, passed);
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

/** The longest artifact name that the path ends with; null if it ends with none. */
function claimedName(path: string, subjects: readonly Subject[]): string | null {
  const parts = resolve(path).split(sep);
  const names: ReadonlySet<string> = new Set(subjects.map(({ name }) => name));
  for (let from = Math.max(0, parts.length - 8); from < parts.length; from++) {
    const tail = parts.slice(from).join('/');
    if (names.has(tail)) return tail;
  }
  return null;
}

const sameLastPart = (path: string, name: string): boolean => basename(path) === basename(name);

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
