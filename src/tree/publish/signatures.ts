/** Every artifact and every signature of a release, verified again. Protocol §4, "publish". */
import { availableParallelism } from 'node:os';
import { Workers } from '../../host/workers.ts';
import { verifyWithGpgv } from '../../openpgp/gpgv.ts';
import { verifyDetached } from '../../openpgp/verify.ts';
import type { Certificate } from '../../openpgp/certificate.ts';
import type { VerifiedRelease } from '../../policy/release-chain.ts';
import { blobFile, buildPath, signatureFile } from '../../records/paths.ts';
import type { Signed } from '../../records/paths.ts';
import { CHECKSUMS_FILE, formatChecksums } from '../../records/signatures-list.ts';
import type { Subject } from '../../records/subject.ts';
import { inParallel } from '../parallel.ts';
import type { Tree } from '../tree.ts';
import { batches } from '../wire.ts';
import { damaged, expectMade, listedSignature, work } from './artifacts.ts';
import type { ArtifactsJob } from './artifacts.ts';
import type { BuildFiles } from './records.ts';
import { incomplete } from './records.ts';

export interface SignatureCheck {
  readonly tree: Tree;
  readonly files: BuildFiles;
  readonly verified: VerifiedRelease;
  readonly certificate: Certificate;
  readonly now: Date;
}

/** How many sizes are asked for at a time. */
const LOOKS = 64;
/** What is verified sooner than a thread has started. */
const LITTLE = { files: 100, bytes: 16 * 1024 * 1024 };

/** The threads of all releases that this process publishes. */
const workers = new Workers('publish', work);

/**
 * Every artifact is there, with its size, and every signature: seen before any is read.
 * Throws refused('release-incomplete'), unable('blob-damaged').
 */
export async function requireArtifacts({ tree, verified: { manifest } }: SignatureCheck): Promise<void> {
  const { build, subjects } = manifest;
  const requireSignature = async (signed: Signed): Promise<void> => {
    const file = signatureFile(signed);
    if ((await tree.size(buildPath(build, file))) === null) throw incomplete(`build ${build} has no ${file}`);
  };
  await requireSignature(CHECKSUMS_FILE);
  await inParallel(subjects, LOOKS, async (subject) => {
    await requireSignature(subject.name);
    const path = buildPath(build, blobFile(subject.sha256));
    const size = await tree.size(path);
    if (size === null) throw incomplete(`there is no ${path}, which is ${subject.name}`);
    if (size !== subject.size) throw damaged(subject);
  });
}

/** Every artifact and its signature, on all cores. Throws what `work` finds of the first that is not as it should be. */
export async function checkArtifacts(check: SignatureCheck): Promise<void> {
  const { subjects } = check.verified.manifest;
  const bytes = subjects.reduce((sum, { size }) => sum + size, 0);
  if (subjects.length <= LITTLE.files && bytes <= LITTLE.bytes) {
    await work(jobOf(check, subjects), { progress: () => {}, signal: new AbortController().signal });
    return;
  }
  // what is larger than a batch is a job by itself; no more wait than can be done, for other releases' sake
  const jobs = batches(subjects, ({ size }) => size);
  await inParallel(jobs, availableParallelism(), (some) => workers.run(jobOf(check, some)));
}

function jobOf(
  { tree, verified, certificate, now }: SignatureCheck,
  subjects: readonly Subject[],
): ArtifactsJob {
  const { build, signingKey, hash, signedAt } = verified.manifest;
  const artifacts = subjects.map(({ name, sha256, size }) => ({
    ...{ name, sha256, size },
    signature: verified.signatures.get(`${name}.asc`),
  }));
  const made = { signingKey, hash, signedAt };
  return { directory: tree.directory, build, certificate: certificate.bytes, made, now, artifacts };
}

/**
 * `SHA256SUMS`, which covers every artifact at once, by our own verifier and by gpgv. Returns its bytes.
 * Throws refused('release-incomplete' | 'signature-invalid' | 'chain-broken'), unable('gpgv-missing' | 'gpgv-failed').
 */
export async function checkChecksums({ files, certificate, now, verified }: SignatureCheck): Promise<Buffer> {
  const { manifest, signatures } = verified;
  const data = formatChecksums(manifest.subjects);
  const signature = await listedSignature(files, CHECKSUMS_FILE, signatures.get(`${CHECKSUMS_FILE}.asc`));
  expectMade(CHECKSUMS_FILE, verifyDetached(signature, data, certificate, now), manifest);
  expectMade(CHECKSUMS_FILE, await verifyWithGpgv({ signature, data, certificate, now }), manifest);
  return data;
}
