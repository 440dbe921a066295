/**
 * Artifacts of a release and their signatures, verified again over the depot's own bytes: one pass over each artifact
 * gives its digest, its size and the verdict on its signature. Protocol §4, "publish". Done in worker threads.
 */
import { refused, unable } from '../../failure.ts';
import type { Failure } from '../../failure.ts';
import type { Work } from '../../host/workers.ts';
import { parseCertificate } from '../../openpgp/certificate.ts';
import type { Certificate } from '../../openpgp/certificate.ts';
import { beginVerify } from '../../openpgp/verify.ts';
import type { SignatureVerdict, Verification } from '../../openpgp/verify.ts';
import type { Manifest } from '../../records/manifest.ts';
import { timestampDate } from '../../records/names.ts';
import type { BuildId, Sha256 } from '../../records/names.ts';
import { blobFile, buildPath, signatureFile } from '../../records/paths.ts';
import type { Signed } from '../../records/paths.ts';
import { sha256Hex } from '../../records/sha256.ts';
import type { Subject } from '../../records/subject.ts';
import { DirectoryTree } from '../directory.ts';
import { BATCH } from '../tree.ts';
import type { Tree } from '../tree.ts';
import { BuildFiles, incomplete } from './records.ts';

/** What a release says of one artifact. */
export interface Artifact extends Pick<Subject, 'name' | 'sha256' | 'size'> {
  /** Digest of its signature file, of `signatures.list`. */
  readonly signature: Sha256 | undefined;
}

/** What the manifest says of each signature. */
export type Made = Pick<Manifest, 'signingKey' | 'hash' | 'signedAt'>;

export interface ArtifactsJob {
  /** Where the tree is. */
  readonly directory: string;
  readonly build: BuildId;
  /** The project's release certificate. */
  readonly certificate: Uint8Array;
  readonly made: Made;
  readonly now: Date;
  readonly artifacts: readonly Artifact[];
}

/** All artifacts of the job. Throws what `checkArtifact` throws of the first that is not as it should be. */
export const work: Work<ArtifactsJob, void> = async (job) => {
  const here = await DirectoryTree.open(job.directory);
  const tree: Files = {
    // nothing else waits for this thread
    read: async (path) => here.readNow(path) ?? here.read(path),
    open: (path) => here.open(path),
  };
  const certificate = parseCertificate(Buffer.from(job.certificate));
  const check = { ...job, tree, files: new BuildFiles(tree, job.build), certificate };
  for (const artifact of job.artifacts) await checkArtifact(check, artifact);
};

type Files = Pick<Tree, 'read' | 'open'>;

interface Check extends Pick<ArtifactsJob, 'build' | 'made' | 'now'> {
  readonly tree: Files;
  readonly files: BuildFiles;
  readonly certificate: Certificate;
}

/**
 * One artifact: the bytes are those of the manifest, the signature file is the one that the release lists, and it is
 * what the release key made of these bytes when the manifest says.
 * Throws refused('release-incomplete' | 'signature-invalid' | 'chain-broken'), unable('blob-damaged').
 */
async function checkArtifact(
  { tree, files, build, certificate, made, now }: Check,
  artifact: Artifact,
): Promise<void> {
  const signature = await listedSignature(files, artifact.name, artifact.signature);
  const begun = beginVerify(signature, certificate, now);
  if (!('pass' in begun)) throw invalid(artifact.name, begun.reason);
  const path = buildPath(build, blobFile(artifact.sha256));
  const { sha256, size, ...verdict } = await passAll(tree, path, artifact, begun);
  if (sha256 !== artifact.sha256 || size !== artifact.size) throw damaged(artifact);
  expectMade(artifact.name, verdict, made);
}

/** The signature file that the release lists. Throws refused('release-incomplete' | 'chain-broken'). */
export async function listedSignature(
  files: BuildFiles,
  signed: Signed,
  listed: Sha256 | undefined,
): Promise<Buffer> {
  const signature = await files.need(signatureFile(signed));
  if (sha256Hex(signature) === listed) return signature;
  throw refused('chain-broken', `${signatureFile(signed)} is not what signatures.list names`);
}

/** A signature is good, and the one that the manifest says was made. Throws refused('signature-invalid'). */
export function expectMade(name: string, verdict: SignatureVerdict, made: Made): void {
  if (!verdict.ok) throw invalid(name, verdict.reason);
  const created = timestampDate(made.signedAt).getTime() / 1000;
  if (verdict.signingKey !== made.signingKey)
    throw invalid(name, 'it is by another key than the manifest says');
  if (verdict.hash !== made.hash) throw invalid(name, 'it has another hash than the manifest says');
  if (verdict.created !== created) throw invalid(name, 'it has another date than the manifest says');
}

/** All of a blob through the verification; small ones without the cost of a stream. */
async function passAll(
  tree: Files,
  path: string,
  artifact: Artifact,
  verification: Verification,
): Promise<ReturnType<Verification['conclude']>> {
  if (artifact.size <= BATCH.fileBytes) {
    const bytes = await tree.read(path);
    if (!bytes) throw incomplete(`there is no ${path}, which is ${artifact.name}`);
    verification.pass.update(bytes);
    return verification.conclude();
  }
  const file = await tree.open(path);
  if (!file) throw incomplete(`there is no ${path}, which is ${artifact.name}`);
  if (file.size !== artifact.size) {
    // a sparse file may have any size, and reading all of it takes hours
    file.stream.destroy();
    throw damaged(artifact);
  }
  for await (const chunk of file.stream as AsyncIterable<Buffer>) verification.pass.update(chunk);
  return verification.conclude();
}

const invalid = (name: string, reason: string): Failure =>
  refused('signature-invalid', `${name}.asc: ${reason}`);

export const damaged = ({ name, sha256 }: Pick<Artifact, 'name' | 'sha256'>): Failure =>
  unable(
    'blob-damaged',
    `the depot's blob ${sha256} (${name}) is not what its name says`,
    'check the disk of the depot',
  );
